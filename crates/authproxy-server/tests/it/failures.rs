//! The auth service down, slow, broken: the status says which, and no session is lost.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use authproxy_core::{
    backend::{AuthBackend, BackendError, Credentials, Login, RefreshError, RefreshRequest, Registration, Reply},
    clock::ManualClock,
    token::{AccessToken, TokenSet},
};
use serde_json::json;

use crate::{
    auth_service::{AuthService, Instead},
    harness::{Ask, Proxy},
};

fn answer(status: u16, content_type: &'static str, body: &str) -> Instead {
    Instead::Answer(status, content_type, body.into())
}

#[tokio::test]
async fn each_failure_of_the_service_has_its_status_and_no_words_of_its_own() {
    let nonsense = "The auth service gave no usable answer";
    let table = [
        (answer(500, "text/html", "<h1>Traceback secret</h1>"), 502, nonsense),
        (answer(502, "text/html", "secret"), 502, nonsense),
        (answer(302, "text/html", "secret"), 502, nonsense),
        (answer(200, "text/html", "<html>secret</html>"), 502, nonsense),
        (answer(200, "application/json", "[\"secret\"]"), 502, nonsense),
        (answer(200, "application/json", "null"), 502, nonsense),
        (answer(200, "application/json", r#"{"token": "secret"}"#), 502, nonsense),
        (answer(200, "application/json", &"x".repeat(2 * 1024 * 1024)), 502, nonsense),
        (Instead::Reset, 502, nonsense),
        (Instead::Hang, 504, "The auth service did not answer in time"),
        (Instead::RetryAfter(503, 7), 503, "The auth service is overloaded"),
    ];
    let proxy = Proxy::start().await;
    for (index, (instead, status, detail)) in table.into_iter().enumerate() {
        proxy.service.next("/login", instead);
        let answer = proxy.ask(&Ask::login("a@example.com", "password123")).await;
        assert_eq!((answer.status, answer.json()), (status, json!({ "detail": detail })), "row {index}");
        assert_eq!(answer.header("set-cookie"), None);
        assert_eq!(answer.header("retry-after"), (status == 503).then_some("7"));
    }
    assert_eq!(proxy.ask(&Ask::login("a@example.com", "password123")).await.status, 200);
}

#[tokio::test]
async fn a_service_that_is_down_is_502_on_every_endpoint() {
    let proxy = Proxy::start().await;
    proxy.service.stop();
    for request in [
        Ask::json("/register", r#"{"email": "a", "password": "b"}"#),
        Ask::login("a@example.com", "password123"),
        Ask::json("/refresh", r#"{"refresh_token": "a"}"#),
        Ask::get("/protected").header("authorization", "Bearer a"),
    ] {
        let answer = proxy.ask(&request).await;
        assert_eq!((answer.status, answer.detail()), (502, "The auth service cannot be reached".into()));
    }
}

#[tokio::test]
async fn an_outage_is_503_and_never_a_lost_session() {
    let proxy = Proxy::start().await;
    let cookie = proxy.log_in().await;
    let ask = Ask::get("/protected-auto").cookie(&cookie);
    for instead in [answer(500, "text/html", "secret"), Instead::Reset, Instead::Hang, Instead::RetryAfter(503, 7)] {
        proxy.service.next("/protected", instead);
        let answer = proxy.ask(&ask).await;
        assert_eq!((answer.status, answer.header("set-cookie")), (503, None));
        assert!(answer.header("retry-after").is_some() && !answer.body.contains("secret"));
    }
    proxy.clock.advance(Duration::from_secs(130));
    proxy.service.next("/refresh", Instead::RetryAfter(429, 3));
    let answer = proxy.ask(&ask).await;
    assert_eq!((answer.status, answer.header("set-cookie")), (503, None), "{answer:?}");
    assert!(answer.header("retry-after").is_some());
    proxy.clock.advance(Duration::from_secs(30));
    assert_eq!(proxy.ask(&ask).await.status, 200, "the session outlives the outage");
}

#[tokio::test]
async fn a_refusal_that_is_no_json_is_a_text_cut_to_a_bound() {
    let proxy = Proxy::start().await;
    proxy.service.next("/register", answer(409, "text/plain", &"taken ".repeat(1000)));
    let answer = proxy.ask(&Ask::json("/register", r#"{"email": "a", "password": "b"}"#)).await;
    assert_eq!((answer.status, answer.detail().as_str().unwrap().len()), (409, 1024));
    proxy.service.next("/register", Instead::RetryAfter(429, 9));
    let answer = proxy.ask(&Ask::json("/register", r#"{"email": "a", "password": "b"}"#)).await;
    assert_eq!((answer.status, answer.header("retry-after")), (429, Some("9")));
}

struct Panicking;

#[async_trait]
impl AuthBackend for Panicking {
    async fn register(&self, _: &Registration) -> Result<Reply, BackendError> {
        panic!("a secret in a panic")
    }

    async fn login(&self, _: &Credentials) -> Result<Login, BackendError> {
        panic!("a secret in a panic")
    }

    async fn refresh(&self, _: RefreshRequest<'_>) -> Result<TokenSet, RefreshError> {
        panic!("a secret in a panic")
    }

    async fn protected(&self, _: &AccessToken) -> Result<Reply, BackendError> {
        panic!("a secret in a panic")
    }
}

#[tokio::test]
async fn a_panic_is_a_500_without_detail_and_the_connection_lives_on() {
    let service = AuthService::start().await;
    let proxy = Proxy::with_backend(service, Arc::new(Panicking), ManualClock::default(), |_| {}, |store| store).await;
    let mut connection = proxy.connect().await;
    for request in [
        Ask::json("/register", r#"{"email": "a", "password": "b"}"#),
        Ask::get("/protected").header("authorization", "Bearer a"),
    ] {
        let answer = connection.ask(&request).await;
        assert_eq!((answer.status, answer.json()), (500, json!({ "detail": "Internal Server Error" })));
    }
    let answer = connection.ask(&Ask::login("a@example.com", "password123")).await;
    assert!([500, 503].contains(&answer.status) && !answer.body.contains("secret"));
    assert_eq!(connection.ask(&Ask::get("/session")).await.status, 401);
}
