//! The fake auth service works, counts, and misbehaves as it is told, as seen by `HttpBackend` and by a bare socket.

use std::{sync::Arc, time::Duration};

use authproxy_core::{
    HttpBackend,
    backend::{
        AuthBackend, BackendError, Credentials, Login, RefreshError, RefreshRequest, Registration, RevokeRequest,
    },
    clock::ManualClock,
    token::{RefreshToken, TokenSet},
};
use authproxy_testing::{
    Answer, FakeAuthService, Gate, Lifetimes,
    fake_auth::{ConnectionFault, Endpoint, Misbehaviour, PASSWORD, USER},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const TIMEOUT: Duration = Duration::from_millis(400);

fn backend(service: &FakeAuthService) -> HttpBackend {
    HttpBackend::builder(&service.url()).timeout(TIMEOUT).build().unwrap()
}

async fn log_in(backend: &HttpBackend) -> TokenSet {
    match backend.login(&Credentials::password(USER, PASSWORD)).await {
        Ok(Login::Issued(issued)) => issued.tokens,
        other => panic!("{other:?}"),
    }
}

async fn refresh(backend: &HttpBackend, token: &RefreshToken) -> Result<TokenSet, RefreshError> {
    backend.refresh(RefreshRequest { refresh_token: token, idempotency_key: "key", timeout: TIMEOUT }).await
}

/// Logs in, then refreshes once while the service misbehaves.
async fn refresh_under(misbehaviour: Misbehaviour) -> (FakeAuthService, RefreshToken, Result<TokenSet, RefreshError>) {
    let service = FakeAuthService::start().await;
    let backend = backend(&service);
    let token = log_in(&backend).await.refresh_token.unwrap();
    service.script(Endpoint::Refresh, [misbehaviour]);
    let refreshed = refresh(&backend, &token).await;
    (service, token, refreshed)
}

async fn raw(service: &FakeAuthService, request: &str) -> String {
    let mut stream = TcpStream::connect(service.addr()).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8_lossy(&answer).into_owned()
}

fn post(path: &str, content_type: &str, body: &str) -> String {
    let length = body.len();
    format!("POST {path} HTTP/1.1\r\nhost: x\r\ncontent-type: {content_type}\r\ncontent-length: {length}\r\n\r\n{body}")
}

#[tokio::test]
async fn it_speaks_the_seeds_contract() {
    let service = FakeAuthService::start().await;
    let backend = backend(&service);
    let registration = Registration { email: "new@example.com".into(), password: "secret-1".to_owned().into() };
    assert_eq!(backend.register(&registration).await.unwrap().status, 201);
    assert_eq!(backend.register(&registration).await.unwrap().status, 400);
    let wrong = backend.login(&Credentials::password("new@example.com", "secret-2")).await;
    assert!(matches!(wrong, Ok(Login::Refused(reply)) if reply.status == 401));
    let login = backend.login(&Credentials::password("new@example.com", "secret-1")).await;
    let Ok(Login::Issued(issued)) = login else { panic!("{login:?}") };
    let first = issued.tokens.refresh_token.clone().unwrap();
    let second = refresh(&backend, &first).await.unwrap();
    assert_eq!(backend.protected(&second.access_token).await.unwrap().status, 200);
    let revoke = RevokeRequest { refresh_token: second.refresh_token.as_ref(), access_token: &second.access_token };
    backend.revoke(revoke).await.unwrap();
    assert_eq!(backend.protected(&second.access_token).await.unwrap().status, 401);
    assert!(service.is_revoked(second.refresh_token.unwrap().expose_secret()));
    assert_eq!((service.presentations(), service.reuses_detected()), (1, 0));
    assert_eq!(service.requests_to(Endpoint::Login).len(), 2);
    service.finish().await;
}

#[tokio::test]
async fn it_answers_malformed_requests_with_the_seeds_statuses() {
    let service = FakeAuthService::start().await;
    for (request, status) in [
        (post("/refresh", "application/json", "{"), "422"),
        (post("/login", "application/json", r#"{"username":"a"}"#), "422"),
        (post("/register", "application/json", "[]"), "422"),
        (post("/nowhere", "application/json", "{}"), "404"),
        ("GET /refresh HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(), "405"),
        ("GET /protected HTTP/1.1\r\nhost: x\r\n\r\n".to_owned(), "401"),
    ] {
        let answer = raw(&service, &request).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{request}: {answer}");
    }
}

#[tokio::test]
async fn a_spent_token_that_is_presented_again_ends_its_family_and_is_counted() {
    let service = FakeAuthService::start().await;
    let backend = backend(&service);
    let (token, other) = (log_in(&backend).await.refresh_token.unwrap(), log_in(&backend).await);
    let rotated = refresh(&backend, &token).await.unwrap();
    assert!(matches!(refresh(&backend, &token).await, Err(RefreshError::Rejected(_))));
    assert!(matches!(refresh(&backend, &rotated.refresh_token.unwrap()).await, Err(RefreshError::Rejected(_))));
    assert_eq!(service.reuses_detected(), 1);
    assert_eq!((service.presentations(), service.presentations_of(token.expose_secret())), (3, 2));
    assert_eq!(service.most_presentations_of_one_token(), 2);
    assert!(service.accepts_access(other.access_token.expose_secret()), "another login's family was ended");
    assert_eq!(service.live_refresh_tokens(), [other.refresh_token.unwrap().expose_secret()]);
}

#[tokio::test]
async fn tokens_expire_by_the_clock_that_it_was_given() {
    let clock = ManualClock::default();
    let service = FakeAuthService::builder().clock(Arc::new(clock.clone())).start().await.unwrap();
    let backend = backend(&service);
    let tokens = log_in(&backend).await;
    clock.advance(Duration::from_mins(2));
    assert_eq!(backend.protected(&tokens.access_token).await.unwrap().status, 401);
    clock.advance(Duration::from_mins(2));
    assert!(matches!(refresh(&backend, &tokens.refresh_token.unwrap()).await, Err(RefreshError::Rejected(_))));
    assert_eq!(service.reuses_detected(), 0);
}

#[tokio::test]
async fn lifetimes_that_it_does_not_tell_are_absent() {
    let silent = Lifetimes { access: None, refresh: None };
    let service = FakeAuthService::builder().lifetimes(silent).start().await.unwrap();
    let tokens = log_in(&backend(&service)).await;
    assert_eq!((tokens.access_expires_at, tokens.refresh_expires_at), (None, None));
}

#[tokio::test]
async fn what_was_not_processed_leaves_the_token_live() {
    for misbehaviour in [
        Misbehaviour::NeverAnswer,
        Misbehaviour::ResetBefore,
        Misbehaviour::TooManyRequests(Some(7)),
        Misbehaviour::Unavailable(None),
        Misbehaviour::Html,
        Misbehaviour::RedirectToItself,
        Misbehaviour::EndlessBody,
        Misbehaviour::Answer(Answer::json(500, "{}")),
        Misbehaviour::Answer(Answer::json(200, "[]")),
        Misbehaviour::Answer(Answer::json(200, "null")),
        Misbehaviour::Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n{".to_vec()),
        Misbehaviour::Raw(b"not HTTP at all\r\n\r\n".to_vec()),
    ] {
        let named = format!("{misbehaviour:?}");
        let (service, token, refreshed) = refresh_under(misbehaviour).await;
        assert!(refreshed.is_err() && !matches!(refreshed, Err(RefreshError::Rejected(_))), "{named}: {refreshed:?}");
        assert_eq!(service.live_refresh_tokens(), [token.expose_secret()], "{named}");
        assert_eq!(service.presentations_of(token.expose_secret()), 1, "{named}");
        service.finish().await;
    }
}

#[tokio::test]
async fn what_was_processed_without_an_answer_has_spent_the_token() {
    for misbehaviour in [
        Misbehaviour::LoseAnswer,
        Misbehaviour::ResetAfter,
        Misbehaviour::CloseAfter,
        Misbehaviour::ResetInHead,
        Misbehaviour::ResetInBody,
        Misbehaviour::Truncate,
        Misbehaviour::Dribble(Duration::from_millis(20)),
        Misbehaviour::Gzip,
    ] {
        let named = format!("{misbehaviour:?}");
        let (service, token, refreshed) = refresh_under(misbehaviour).await;
        assert!(matches!(refreshed, Err(RefreshError::Ambiguous { .. })), "{named}: {refreshed:?}");
        let live = service.live_refresh_tokens();
        assert!(live.len() == 1 && live[0] != token.expose_secret(), "{named}");
        assert_eq!(service.presentations(), 1, "{named}");
        service.finish().await;
    }
}

#[tokio::test]
async fn retry_after_arrives() {
    let (_, _, refreshed) = refresh_under(Misbehaviour::TooManyRequests(Some(7))).await;
    let Err(RefreshError::NotProcessed { retry_after, .. }) = refreshed else { panic!("{refreshed:?}") };
    assert_eq!(retry_after, Some(Duration::from_secs(7)));
}

#[tokio::test]
async fn a_member_is_replaced_left_out_or_doubled_and_the_rest_is_kept() {
    let form = post("/login", "application/x-www-form-urlencoded", "username=user%40example.com&password=password123");
    for (misbehaviour, present, absent) in [
        (
            Misbehaviour::Member("expires_in", Some("1e300")),
            r#""expires_in":1e300"#,
            r#""expires_in":1"#.to_owned() + "1",
        ),
        (Misbehaviour::Member("expires_in", Some(r#""120""#)), r#""expires_in":"120""#, r#""expires_in":120"#.into()),
        (Misbehaviour::Member("access_token", None), r#""refresh_token":"#, r#""access_token""#.into()),
        (Misbehaviour::Member("access_token", Some(r#""a\r\nb""#)), r#""access_token":"a\r\nb""#, "-access-".into()),
        (Misbehaviour::DuplicateMember("expires_in", "-5"), r#""expires_in":-5}"#, "\r\n\r\n\r\n".into()),
    ] {
        let service = FakeAuthService::start().await;
        let named = format!("{misbehaviour:?}");
        service.script(Endpoint::Login, [misbehaviour]);
        let answer = raw(&service, &form).await;
        assert!(answer.contains(present) && !answer.contains(&absent), "{named}: {answer}");
        assert!(answer.contains(r#""token_type":"bearer""#), "{named}: {answer}");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(&format!("content-length: {}", body.len())), "{named}: {answer}");
    }
}

#[tokio::test]
async fn gzip_that_nobody_asked_for_is_real_gzip() {
    let service = FakeAuthService::start().await;
    service.script(Endpoint::Login, [Misbehaviour::Gzip]);
    let mut stream = TcpStream::connect(service.addr()).await.unwrap();
    let form = post("/login", "application/x-www-form-urlencoded", "username=user%40example.com&password=password123");
    stream.write_all(form.as_bytes()).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).await.unwrap();
    let body_at = answer.windows(4).position(|window| window == b"\r\n\r\n").unwrap() + 4;
    let body = &answer[body_at..];
    // RFC 1952: magic, deflate; one stored block; the trailer's length is that of the JSON inside.
    assert_eq!(body[..3], [0x1f, 0x8b, 8]);
    let json = &body[15..body.len() - 8];
    assert!(json.starts_with(b"{\"access_token\"") && json.ends_with(b"}"));
    assert_eq!(body[body.len() - 4..], u32::try_from(json.len()).unwrap().to_le_bytes());
    assert_eq!(service.live_refresh_tokens().len(), 1);
}

#[tokio::test]
async fn a_redirect_to_itself_is_met_once() {
    let (service, _, refreshed) = refresh_under(Misbehaviour::RedirectToItself).await;
    assert!(refreshed.is_err());
    assert_eq!(service.requests_to(Endpoint::Refresh).len(), 1);
}

#[tokio::test]
async fn refused_connections_are_not_processed_and_can_be_accepted_again() {
    let service = FakeAuthService::start().await;
    let backend = backend(&service);
    let token = log_in(&backend).await.refresh_token.unwrap();
    service.refuse_connections().await;
    let refused = refresh(&backend, &token).await;
    assert!(matches!(refused, Err(RefreshError::NotProcessed { .. })), "{refused:?}");
    service.accept_connections().await;
    refresh(&backend, &token).await.unwrap();
    assert_eq!(service.presentations(), 1);
}

#[tokio::test]
async fn a_connection_is_reset_or_left_in_silence_before_anything_is_read() {
    for fault in [ConnectionFault::Reset, ConnectionFault::Silence] {
        let service = FakeAuthService::start().await;
        service.connections(fault);
        let login = backend(&service).login(&Credentials::password(USER, PASSWORD)).await;
        let expected = match fault {
            ConnectionFault::Silence => matches!(login, Err(BackendError::TimedOut)),
            _ => matches!(login, Err(BackendError::Malformed(_) | BackendError::Unreachable(_))),
        };
        assert!(expected, "{fault:?}: {login:?}");
        assert!(service.requests().is_empty(), "{fault:?}");
        assert!(service.connection_count() > 0, "{fault:?}");
    }
}

#[tokio::test]
async fn a_gate_holds_a_refresh_before_or_after_it_is_processed() {
    for processed in [false, true] {
        let service = FakeAuthService::start().await;
        let backend = HttpBackend::builder(&service.url()).build().unwrap();
        let token = log_in(&backend).await.refresh_token.unwrap();
        let gate = Gate::new();
        let held =
            if processed { Misbehaviour::HoldAfter(gate.clone()) } else { Misbehaviour::HoldBefore(gate.clone()) };
        service.script(Endpoint::Refresh, [held]);
        let (refreshing, presented) = (backend.clone(), token.clone());
        let timeout = Duration::from_secs(10);
        let flight = tokio::spawn(async move {
            let request = RefreshRequest { refresh_token: &presented, idempotency_key: "key", timeout };
            refreshing.refresh(request).await
        });
        gate.arrived().await;
        let spent = service.live_refresh_tokens() != [token.expose_secret()];
        assert_eq!(spent, processed);
        gate.release();
        flight.await.unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_standing_misbehaviour_lasts_until_it_is_lifted_and_a_queued_one_goes_first() {
    let service = FakeAuthService::start().await;
    let backend = backend(&service);
    service.always(Endpoint::Login, Some(Misbehaviour::Unavailable(None)));
    service.script(Endpoint::Login, [Misbehaviour::None]);
    log_in(&backend).await;
    for _ in 0..2 {
        let login = backend.login(&Credentials::password(USER, PASSWORD)).await;
        assert!(matches!(login, Err(BackendError::Overloaded { .. })), "{login:?}");
    }
    service.always(Endpoint::Login, None);
    log_in(&backend).await;
}
