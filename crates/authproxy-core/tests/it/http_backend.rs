//! `HttpBackend` against raw sockets: what it writes, and what it makes of every way in which a service can answer.

mod connections;
mod contract;
mod failures;
mod limits;
mod race;
mod raw_server;
mod tls;
mod urls;

use std::{sync::Arc, time::Duration};

use authproxy_core::{
    AccessToken, AuthBackend, Credentials, HttpBackend, RefreshToken, TokenSet,
    backend::{HttpBackendBuilder, RefreshError, RefreshRequest},
    clock::{ManualClock, Timestamp},
};

use self::raw_server::RawServer;

const NOW: Timestamp = Timestamp::from_secs(1_800_000_000);
const TOKENS: &str =
    r#"{"access_token":"new-access","refresh_token":"new-refresh","token_type":"bearer","expires_in":120}"#;

/// Long enough to be never reached unless a test wants it to be.
const LONG: Duration = Duration::from_secs(30);

fn builder(server: &RawServer) -> HttpBackendBuilder {
    HttpBackend::builder(&server.url()).timeout(LONG).clock(Arc::new(ManualClock::new(NOW)))
}

fn backend(server: &RawServer) -> HttpBackend {
    builder(server).build().unwrap()
}

async fn refresh(backend: &HttpBackend, token: &str) -> Result<TokenSet, RefreshError> {
    refresh_within(backend, token, LONG).await
}

async fn refresh_within(backend: &HttpBackend, token: &str, timeout: Duration) -> Result<TokenSet, RefreshError> {
    let refresh_token = RefreshToken::new(token).unwrap();
    backend.refresh(RefreshRequest { refresh_token: &refresh_token, idempotency_key: "key-1", timeout }).await
}

fn access_token() -> AccessToken {
    AccessToken::new("the-access-token").unwrap()
}

fn credentials() -> Credentials {
    Credentials::password("user@example.com", "password123")
}

/// What is known about the refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Class {
    Tokens,
    Rejected,
    ClientRejected,
    NotProcessed,
    Ambiguous,
    Salvaged,
}

fn class(result: &Result<TokenSet, RefreshError>) -> Class {
    match result {
        Ok(_) => Class::Tokens,
        Err(RefreshError::Rejected(_)) => Class::Rejected,
        Err(RefreshError::ClientRejected(_)) => Class::ClientRejected,
        Err(RefreshError::NotProcessed { .. }) => Class::NotProcessed,
        Err(RefreshError::Ambiguous { salvaged: Some(_), .. }) => Class::Salvaged,
        Err(RefreshError::Ambiguous { .. }) => Class::Ambiguous,
        Err(other) => panic!("an unknown class: {other:?}"),
    }
}
