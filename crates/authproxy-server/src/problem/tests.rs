#![allow(clippy::unwrap_used)]

use authproxy_core::{
    backend::Cause,
    error::{LogInReason, OpenError, StoreError, TokenError},
    session::DeathReason,
};
use http_body_util::BodyExt;

use super::*;

const COOKIE_NAME: SessionCookie = SessionCookie::new(false);

fn accept(value: &'static str) -> HeaderMap {
    HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(value))])
}

async fn read(response: Response) -> (StatusCode, HeaderMap, Value) {
    let (head, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    (head.status, head.headers, serde_json::from_slice(&body).unwrap())
}

fn reply(status: u16, body: &'static str, is_json: bool) -> Problem {
    let status = StatusCode::from_u16(status).unwrap();
    Problem::Refused { challenge: BEARER, reply: Reply { status, body: body.into(), is_json, retry_after: None } }
}

fn unavailable(reason: Unavailability, millis: u64) -> Problem {
    TokenError::Unavailable { reason, retry_after: Duration::from_millis(millis) }.into()
}

#[tokio::test]
async fn each_problem_has_its_status_its_text_and_its_retry_after() {
    let cause = || Cause::new("a cause with a secret path");
    let table: Vec<(Problem, u16, Value, Option<&str>)> = vec![
        (Problem::NotFound, 404, "Not Found".into(), None),
        (Problem::Internal, 500, "Internal Server Error".into(), None),
        (Problem::NoBearer, 401, "Not authenticated".into(), None),
        (Problem::NoCookie, 401, "No session cookie found. Please login first.".into(), None),
        (TokenError::LogInAgain(LogInReason::Unknown).into(), 401, "Invalid session. Please login again.".into(), None),
        (TokenError::LogInAgain(LogInReason::Ended(DeathReason::Rejected)).into(), 401, "Session expired".into(), None),
        (BackendError::Unreachable(cause()).into(), 502, "The auth service cannot be reached".into(), None),
        (BackendError::Malformed(cause()).into(), 502, NO_USABLE_ANSWER.into(), None),
        (BackendError::TimedOut.into(), 504, "The auth service did not answer in time".into(), None),
        (
            BackendError::Overloaded { retry_after: None }.into(),
            503,
            "The auth service is overloaded".into(),
            Some("2"),
        ),
        (
            unavailable(Unavailability::Backend, 0),
            503,
            "The auth service is not available; the session is kept".into(),
            Some("1"),
        ),
        (unavailable(Unavailability::Store, 1500), 503, "The session store is not available".into(), Some("2")),
        (OpenError::Full.into(), 503, "There is no room for another session".into(), Some("30")),
        (
            CloseError::from(StoreError::new("down")).into(),
            503,
            "The session could not be ended; try again".into(),
            Some("2"),
        ),
        (reply(401, r#"{"detail":"Invalid credentials"}"#, true), 401, json!({"detail": "Invalid credentials"}), None),
        (reply(418, "short and stout", false), 418, "short and stout".into(), None),
        (reply(302, "elsewhere", false), 502, NO_USABLE_ANSWER.into(), None),
        (reply(500, "Traceback", false), 502, NO_USABLE_ANSWER.into(), None),
    ];
    for (problem, status, detail, retry_after) in table {
        let name = format!("{problem:?}");
        let (got, headers, body) = read(problem.into_response(&HeaderMap::new(), COOKIE_NAME)).await;
        assert_eq!(got.as_u16(), status, "{name}");
        assert_eq!(body, json!({ "detail": detail }), "{name}");
        assert_eq!(headers.get(header::RETRY_AFTER).map(|value| value.to_str().unwrap()), retry_after, "{name}");
        assert_eq!(status == 401, headers.contains_key(header::WWW_AUTHENTICATE), "{name}");
    }
}

#[tokio::test]
async fn only_a_session_that_has_ended_clears_the_cookie() {
    let ended = TokenError::LogInAgain(LogInReason::Ended(DeathReason::Expired)).into();
    let table: [(Problem, bool); 5] = [
        (ended, true),
        (Problem::UnknownSession, false),
        (unavailable(Unavailability::Backend, 1), false),
        (CloseError::from(StoreError::new("down")).into(), false),
        (Problem::ConflictingCookies, false),
    ];
    for (problem, clears) in table {
        let response = problem.into_response(&HeaderMap::new(), COOKIE_NAME);
        assert_eq!(response.headers().contains_key(header::SET_COOKIE), clears, "{:?}", response.status());
    }
}

#[tokio::test]
async fn a_long_text_of_the_auth_service_is_cut() {
    let long: &'static str = Box::leak("\u{e9}".repeat(100_000).into_boxed_str());
    let (_, _, body) = read(reply(400, long, false).into_response(&HeaderMap::new(), COOKIE_NAME)).await;
    assert_eq!(body["detail"].as_str().unwrap().chars().count(), TEXT_LIMIT);
}

#[tokio::test]
async fn who_accepts_problem_json_gets_it() {
    let headers = accept("application/json, application/problem+json;q=0.9");
    let (_, headers, body) = read(Problem::NotFound.into_response(&headers, COOKIE_NAME)).await;
    assert_eq!(headers[header::CONTENT_TYPE], "application/problem+json");
    assert_eq!(headers[header::VARY], "Accept");
    assert_eq!(body, json!({"type": "about:blank", "title": "Not Found", "status": 404, "detail": "Not Found"}));

    let refused = reply(401, r#"{"detail":"Invalid credentials"}"#, true);
    let (_, _, body) = read(refused.into_response(&accept("application/problem+json"), COOKIE_NAME)).await;
    assert_eq!(body["detail"], "The auth service refused the request");
    assert_eq!(body["auth_service"], json!({"detail": "Invalid credentials"}));
}

#[test]
fn problem_json_must_be_named() {
    for (value, expected) in [
        ("application/problem+json", true),
        ("Application/Problem+JSON; q=0.1", true),
        ("text/html, application/problem+json", true),
        ("application/problem+json;q=0", false),
        ("application/problem+json; q=0.0", false),
        ("*/*", false),
        ("application/*", false),
        ("application/json", false),
    ] {
        assert_eq!(accepts_problem_json(&accept(value)), expected, "{value}");
    }
}
