//! A custom `AuthBackend`: an auth service that is a few lines of Rust, with refresh tokens that are not rotated.
//! Run it: `cargo run -p authproxy-examples --bin custom_backend`

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use authproxy_core::{
    AccessToken, AuthBackend, Credentials, MemoryStore, RefreshToken, TokenManager, TokenSet,
    backend::{
        BackendError, Cause, IssuedTokens, Login, RefreshError, RefreshRequest, Registration, Reply, RotationContract,
    },
    clock::{Clock, SystemClock},
};
use authproxy_examples::Error;
use bytes::Bytes;
use http::StatusCode;

/// Issues numbered access tokens that live 300 ms.
struct Numbers {
    issued: AtomicU64,
    clock: SystemClock,
}

impl Numbers {
    fn issue(&self) -> TokenSet {
        let number = self.issued.fetch_add(1, Ordering::Relaxed) + 1;
        TokenSet {
            access_token: AccessToken::new(&format!("number-{number}")).expect("letters and digits"),
            access_expires_at: Some(self.clock.now().plus(Duration::from_millis(300))),
            refresh_token: None,
            refresh_expires_at: None,
            refresh_in: None,
        }
    }
}

#[async_trait]
impl AuthBackend for Numbers {
    async fn register(&self, _: &Registration) -> Result<Reply, BackendError> {
        Err(BackendError::Malformed(Cause::new("accounts are made elsewhere")))
    }

    async fn login(&self, credentials: &Credentials) -> Result<Login, BackendError> {
        let refresh_token = RefreshToken::new(&format!("of-{}", credentials.username())).ok();
        let refresh_expires_at = Some(self.clock.now().plus(Duration::from_secs(60)));
        let tokens = TokenSet { refresh_token, refresh_expires_at, ..self.issue() };
        Ok(Login::Issued(IssuedTokens { tokens, extra: <_>::default() }))
    }

    /// No new refresh token comes back: the one presented stays valid.
    async fn refresh(&self, _: RefreshRequest<'_>) -> Result<TokenSet, RefreshError> {
        Ok(self.issue())
    }

    async fn protected(&self, _: &AccessToken) -> Result<Reply, BackendError> {
        Ok(Reply { status: StatusCode::OK, body: Bytes::from_static(b"{}"), is_json: true, retry_after: None })
    }

    fn rotation(&self) -> RotationContract {
        RotationContract::Reusable
    }
}

#[tokio::main]
async fn main() -> Result<(), Error> {
    let backend = Arc::new(Numbers { issued: AtomicU64::new(0), clock: SystemClock::new() });
    let manager = TokenManager::builder(backend, Arc::new(MemoryStore::new(100))).build();
    let opened = manager.open(Credentials::password("ada", "irrelevant")).await?;
    let first = manager.access_token(&opened.id.key()).await?;
    tokio::time::sleep(Duration::from_millis(350)).await;
    let second = manager.access_token(&opened.id.key()).await?;
    assert!(second.version() > first.version());
    println!("version {} became version {}", first.version().0, second.version().0);
    manager.shutdown(Duration::from_secs(1)).await;
    Ok(())
}
