//! The embedded service over real sockets, spoken to by `HttpBackend`: both ends of the seed's contract.
#![allow(clippy::unwrap_used, missing_docs)]

use std::{sync::Arc, time::Duration};

use authproxy_core::{
    AccessToken, Credentials, HttpBackend, RefreshToken, TokenSet,
    backend::{AuthBackend, Login, RefreshError, RefreshRequest, Registration, RevokeRequest},
    clock::ManualClock,
};
use authproxy_embedded::EmbeddedAuth;
use tokio::net::TcpListener;

struct Service {
    auth: EmbeddedAuth,
    backend: HttpBackend,
    clock: ManualClock,
    url: String,
}

async fn service() -> Service {
    let clock = ManualClock::default();
    let auth = EmbeddedAuth::builder().cheap_passwords().clock(Arc::new(clock.clone())).build();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(authproxy_embedded::run(listener, auth.clone(), std::future::pending()));
    let backend = HttpBackend::builder(&url).clock(Arc::new(clock.clone())).rotation(auth.rotation()).build().unwrap();
    Service { auth, backend, clock, url }
}

impl Service {
    async fn register(&self, email: &str) -> u16 {
        let registration = Registration { email: email.into(), password: "password123".to_owned().into() };
        self.backend.register(&registration).await.unwrap().status.as_u16()
    }

    async fn login(&self, email: &str) -> TokenSet {
        match self.backend.login(&Credentials::password(email, "password123")).await.unwrap() {
            Login::Issued(issued) => issued.tokens,
            other => panic!("{other:?}"),
        }
    }

    async fn refresh(&self, token: &RefreshToken) -> Result<TokenSet, RefreshError> {
        let timeout = Duration::from_secs(5);
        self.backend.refresh(RefreshRequest { refresh_token: token, idempotency_key: "key", timeout }).await
    }

    async fn protected(&self, token: &AccessToken) -> u16 {
        self.backend.protected(token).await.unwrap().status.as_u16()
    }
}

#[tokio::test]
async fn an_account_logs_in_refreshes_and_is_let_in() {
    let service = service().await;
    assert_eq!(service.register("user@example.com").await, 200);
    assert_eq!(service.register(" User@Example.com").await, 400, "one account, however it is written");
    let tokens = service.login("user@example.com").await;
    assert_eq!(service.protected(&tokens.access_token).await, 200);
    let first = tokens.refresh_token.unwrap();
    let second = service.refresh(&first).await.unwrap();
    assert_eq!(service.protected(&second.access_token).await, 200);
    assert_eq!(service.auth.stats().rotations, 1);
}

#[tokio::test]
async fn an_access_token_ends_after_two_minutes_and_a_refresh_token_after_four() {
    let service = service().await;
    service.register("user@example.com").await;
    let tokens = service.login("user@example.com").await;
    service.clock.advance(Duration::from_secs(121));
    assert_eq!(service.protected(&tokens.access_token).await, 401);
    service.clock.advance(Duration::from_secs(120));
    assert!(matches!(service.refresh(&tokens.refresh_token.unwrap()).await, Err(RefreshError::Rejected(_))));
}

#[tokio::test]
async fn a_lost_answer_inside_the_grace_costs_nothing_and_reuse_after_it_everything() {
    let service = service().await;
    service.register("user@example.com").await;
    let first = service.login("user@example.com").await.refresh_token.unwrap();
    let second = service.refresh(&first).await.unwrap().refresh_token.unwrap();
    let again = service.refresh(&first).await.unwrap().refresh_token.unwrap();
    assert_eq!(again.expose_secret(), second.expose_secret());
    service.clock.advance(Duration::from_secs(10));
    assert!(matches!(service.refresh(&first).await, Err(RefreshError::Rejected(_))));
    assert!(matches!(service.refresh(&second).await, Err(RefreshError::Rejected(_))));
    assert_eq!(service.auth.stats().reuses, 1);
}

#[tokio::test]
async fn revocation_is_final_for_both_tokens() {
    let service = service().await;
    service.register("user@example.com").await;
    let tokens = service.login("user@example.com").await;
    let refresh_token = tokens.refresh_token.unwrap();
    let request = RevokeRequest { refresh_token: Some(&refresh_token), access_token: &tokens.access_token };
    service.backend.revoke(request).await.unwrap();
    assert_eq!(service.protected(&tokens.access_token).await, 401);
    assert!(matches!(service.refresh(&refresh_token).await, Err(RefreshError::Rejected(_))));
    let other = service.login("user@example.com").await;
    let request = RevokeRequest { refresh_token: None, access_token: &other.access_token };
    service.backend.revoke(request).await.unwrap();
    assert_eq!(service.protected(&other.access_token).await, 401);
}

#[tokio::test]
async fn unknown_users_and_wrong_passwords_look_alike() {
    let service = service().await;
    service.register("user@example.com").await;
    let mut answers = Vec::new();
    for (user, password) in [("user@example.com", "wrong"), ("nobody@example.com", "password123")] {
        match service.backend.login(&Credentials::password(user, password)).await.unwrap() {
            Login::Refused(reply) => answers.push((reply.status, reply.body)),
            other => panic!("{other:?}"),
        }
    }
    assert_eq!(answers[0], answers[1]);
    assert_eq!(answers[0].0.as_u16(), 401);
}

#[tokio::test]
async fn bad_input_gets_fastapis_answers_without_the_input() {
    let service = service().await;
    let client = reqwest::Client::builder().no_proxy().build().unwrap();
    let post = |path: &str, body: &'static str| client.post(format!("{}{path}", service.url)).body(body).send();
    let rows = [
        ("/register", "", 422, "missing"),
        ("/register", "{\"email\":", 422, "json_invalid"),
        ("/register", "[]", 422, "model_attributes_type"),
        ("/register", r#"{"email":5,"password":"secret-input"}"#, 422, "string_type"),
        ("/login", "username=a", 422, "missing"),
        ("/login", "username=a&username=b&password=secret-input", 422, "string_type"),
        ("/refresh", "{}", 422, "missing"),
        ("/refresh", r#"{"refresh_token":"unknown"}"#, 401, "Invalid refresh token"),
    ];
    for (path, body, status, says) in rows {
        let answer = post(path, body).await.unwrap();
        assert_eq!(answer.status().as_u16(), status, "{path} {body}");
        let text = answer.text().await.unwrap();
        assert!(text.contains(says) && !text.contains("secret-input"), "{path} {body}: {text}");
    }
    let wrong = client.get(format!("{}/login", service.url)).send().await.unwrap();
    assert_eq!((wrong.status().as_u16(), wrong.headers()["allow"].to_str().unwrap()), (405, "POST"));
    assert_eq!(client.get(format!("{}/nowhere", service.url)).send().await.unwrap().status().as_u16(), 404);
    let large = client.post(format!("{}/refresh", service.url)).body("x".repeat(20_000)).send().await.unwrap();
    assert_eq!(large.status().as_u16(), 413);
}
