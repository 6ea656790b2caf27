//! Scenario 15 and the table of errors, row by row.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use zeroize::Zeroizing;

use super::*;

#[derive(Debug, PartialEq)]
enum Class {
    Tokens,
    Rejected,
    ClientRejected,
    NotProcessed,
    Ambiguous,
    Salvaged,
}

fn presented() -> RefreshToken {
    RefreshToken::new("presented").unwrap()
}

fn answer(status: u16, body: &str, end: End) -> Answer {
    Answer {
        status: StatusCode::from_u16(status).unwrap(),
        retry_after: Some(Duration::from_secs(7)),
        body: Zeroizing::new(body.into()),
        end,
    }
}

fn class_of(outcome: Result<Answer, NoAnswer>) -> Class {
    match refreshed(outcome, &presented(), Timestamp::from_secs(1)) {
        Ok(_) => Class::Tokens,
        Err(RefreshError::Rejected(_)) => Class::Rejected,
        Err(RefreshError::ClientRejected(_)) => Class::ClientRejected,
        Err(RefreshError::NotProcessed { .. }) => Class::NotProcessed,
        Err(RefreshError::Ambiguous { salvaged: Some(_), .. }) => Class::Salvaged,
        Err(RefreshError::Ambiguous { .. }) => Class::Ambiguous,
    }
}

fn class(status: u16, body: &str) -> Class {
    class_of(Ok(answer(status, body, End::Whole)))
}

#[test]
fn every_answer_has_its_class() {
    const TOKENS: &str = r#"{"access_token":"a","refresh_token":"r","expires_in":120}"#;
    const INVALID_GRANT: &str = r#"{"error":"invalid_grant"}"#;
    const SEED: &str = r#"{"detail":"Invalid refresh token"}"#;
    let rows = [
        (200, TOKENS, Class::Tokens),
        (201, TOKENS, Class::Tokens),
        (200, r#"{"access_token":"a","refresh_token":"r","expi"#, Class::Tokens),
        (200, r#"{"refresh_token":"r","expi"#, Class::Salvaged),
        (200, r#"{"refresh_token":"r","expires_in":120}"#, Class::Salvaged),
        (200, "<html>welcome</html>", Class::Ambiguous),
        (200, "[]", Class::Ambiguous),
        (200, "null", Class::Ambiguous),
        (200, "", Class::Ambiguous),
        (204, "", Class::Ambiguous),
        (200, r#"{"access_token":"a\r\nb"}"#, Class::Ambiguous),
        (400, INVALID_GRANT, Class::Rejected),
        (401, INVALID_GRANT, Class::Rejected),
        (401, SEED, Class::Rejected),
        (400, SEED, Class::ClientRejected),
        (401, r#"{"error":"invalid_client"}"#, Class::ClientRejected),
        (400, r#"{"error":"unauthorized_client"}"#, Class::ClientRejected),
        (400, r#"{"error":"invalid_request"}"#, Class::ClientRejected),
        (401, "<html>log in</html>", Class::ClientRejected),
        (401, "", Class::ClientRejected),
        (401, "[]", Class::ClientRejected),
        (401, "[null]", Class::ClientRejected),
        (400, r#"["invalid_grant"]"#, Class::ClientRejected),
        (401, r#"{"error":"Unauthorized"}"#, Class::ClientRejected),
        (401, r#"{"error":{"code":"invalid_grant"}}"#, Class::ClientRejected),
        (400, r#"{"error":"unsupported_grant_type"}"#, Class::ClientRejected),
        (400, r#"{"error":"invalid_scope"}"#, Class::ClientRejected),
        (401, "{}", Class::Rejected),
        (200, r#"{"error":"invalid_grant"}"#, Class::Ambiguous),
        (200, r#"{"refresh_token":"presented"}"#, Class::Ambiguous),
        (200, r#"{"access_token":"a","access_token":"b","refresh_token":"r"}"#, Class::Salvaged),
        (403, INVALID_GRANT, Class::ClientRejected),
        (404, INVALID_GRANT, Class::ClientRejected),
        (405, "", Class::ClientRejected),
        (422, SEED, Class::ClientRejected),
        (302, TOKENS, Class::ClientRejected),
        (307, "", Class::ClientRejected),
        (429, INVALID_GRANT, Class::NotProcessed),
        (408, "", Class::Ambiguous),
        (425, "", Class::NotProcessed),
        (418, SEED, Class::ClientRejected),
        (500, INVALID_GRANT, Class::Ambiguous),
        (502, "<html>", Class::Ambiguous),
        (503, SEED, Class::Ambiguous),
        (504, "", Class::Ambiguous),
    ];
    for (status, body, expected) in rows {
        assert_eq!(class(status, body), expected, "{status} {body}");
    }
}

#[test]
fn an_answer_that_was_cut_off_is_no_verdict() {
    for end in [End::TooLarge, End::TimedOut, End::CutOff(Cause::new("reset"))] {
        let class = |status, body| class_of(Ok(answer(status, body, end.clone())));
        assert_eq!(class(401, r#"{"detail":"Invalid refresh token"}"#), Class::Ambiguous);
        assert_eq!(class(400, r#"{"error":"invalid_grant"}"#), Class::Ambiguous);
        assert_eq!(class(429, r#"{"deta"#), Class::NotProcessed);
        assert_eq!(class(403, r#"{"deta"#), Class::ClientRejected);
        assert_eq!(class(200, r#"{"access_token":"a","refresh_token":"r"}"#), Class::Tokens);
        assert_eq!(class(200, r#"{"access_token":"a","refresh_token":"r","x"#), Class::Tokens);
        assert_eq!(class(200, r#"{"refresh_token":"r","access_t"#), Class::Salvaged);
        assert_eq!(class(200, r#"{"access_token":"a","refresh_t"#), Class::Ambiguous);
    }
}

#[test]
fn without_an_answer_it_counts_whether_the_token_left() {
    assert_eq!(class_of(Err(NoAnswer::NotSent(Cause::new("refused")))), Class::NotProcessed);
    assert_eq!(class_of(Err(NoAnswer::TimedOut)), Class::Ambiguous);
    assert_eq!(class_of(Err(NoAnswer::Lost(Cause::new("reset")))), Class::Ambiguous);
}

#[test]
fn a_request_to_be_left_alone_is_passed_on() {
    for status in [429, 425, 503, 500, 408] {
        let error = refreshed(Ok(answer(status, "", End::Whole)), &presented(), Timestamp::from_secs(1)).unwrap_err();
        let (RefreshError::NotProcessed { retry_after, .. } | RefreshError::Ambiguous { retry_after, .. }) = error
        else {
            panic!("{status}: {error:?}");
        };
        assert_eq!(retry_after, Some(Duration::from_secs(7)), "{status}");
    }
}

#[test]
fn a_reply_is_a_whole_success_or_refusal() {
    for status in [200, 201, 204, 400, 401, 403, 404, 409, 422, 429] {
        let reply = replied(Ok(answer(status, r#"{"a":1}"#, End::Whole))).unwrap();
        assert_eq!((reply.status.as_u16(), reply.is_json, &*reply.body), (status, true, &br#"{"a":1}"#[..]));
        assert_eq!(reply.retry_after, Some(Duration::from_secs(7)));
        assert!(matches!(replied(Ok(answer(status, "{}", End::TooLarge))), Err(BackendError::Malformed(_))));
        assert!(matches!(replied(Ok(answer(status, "{}", End::TimedOut))), Err(BackendError::TimedOut)));
        assert!(matches!(
            replied(Ok(answer(status, "{}", End::CutOff(Cause::new("reset"))))),
            Err(BackendError::Malformed(_))
        ));
    }
    for status in [301, 302, 304, 307, 308, 500, 501, 502, 504] {
        assert!(matches!(replied(Ok(answer(status, "", End::Whole))), Err(BackendError::Malformed(_))), "{status}");
    }
    let Err(BackendError::Overloaded { retry_after }) = replied(Ok(answer(503, "", End::Whole))) else {
        panic!("503 is an overload")
    };
    assert_eq!(retry_after, Some(Duration::from_secs(7)));
    assert!(!replied(Ok(answer(200, "<html>", End::Whole))).unwrap().is_json);
    assert!(!replied(Ok(answer(200, "{} {}", End::Whole))).unwrap().is_json);
}

#[test]
fn without_an_answer_a_call_was_unreachable_slow_or_lost() {
    assert!(matches!(replied(Err(NoAnswer::NotSent(Cause::new("x")))), Err(BackendError::Unreachable(_))));
    assert!(matches!(replied(Err(NoAnswer::TimedOut)), Err(BackendError::TimedOut)));
    assert!(matches!(replied(Err(NoAnswer::Lost(Cause::new("x")))), Err(BackendError::Malformed(_))));
}
