//! What the benches share: an auth service that costs nothing and remembers nothing.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use authproxy_core::{
    AccessToken, AuthBackend, Credentials, MemoryStore, RefreshToken, SessionKey, TokenManager, TokenSet,
    backend::{BackendError, Cause, IssuedTokens, Login, RefreshError, RefreshRequest, Registration, Reply},
    clock::Clock,
};

/// Issues tokens of 800 bytes that live for hours, and remembers none.
pub(crate) struct Issuer {
    issued: AtomicU64,
    clock: Arc<dyn Clock>,
}

#[async_trait]
impl AuthBackend for Issuer {
    async fn register(&self, _: &Registration) -> Result<Reply, BackendError> {
        Err(BackendError::TimedOut)
    }

    async fn login(&self, _: &Credentials) -> Result<Login, BackendError> {
        let number = self.issued.fetch_add(1, Ordering::Relaxed);
        let tokens = TokenSet {
            access_token: AccessToken::new(&format!("{number:0800}")).unwrap(),
            access_expires_at: Some(self.clock.now().plus(Duration::from_hours(6))),
            refresh_token: RefreshToken::new(&format!("{number:0800}")).ok(),
            refresh_expires_at: Some(self.clock.now().plus(Duration::from_hours(12))),
            refresh_in: None,
        };
        Ok(Login::Issued(IssuedTokens { tokens, extra: <_>::default() }))
    }

    async fn refresh(&self, _: RefreshRequest<'_>) -> Result<TokenSet, RefreshError> {
        Err(RefreshError::NotProcessed { retry_after: None, cause: Cause::new("no refresh is due") })
    }

    async fn protected(&self, _: &AccessToken) -> Result<Reply, BackendError> {
        Err(BackendError::TimedOut)
    }
}

/// A manager for `sessions` sessions, and the means to fill it.
pub(crate) fn manager(runtime: &tokio::runtime::Runtime, sessions: usize, clock: Arc<dyn Clock>) -> TokenManager {
    let store = Arc::new(MemoryStore::with_clock(sessions, clock.clone()));
    let backend = Arc::new(Issuer { issued: AtomicU64::new(0), clock: clock.clone() });
    let _inside = runtime.enter();
    TokenManager::builder(backend, store).clock(clock).build()
}

/// Opens a session and returns its key.
pub(crate) async fn open(manager: &TokenManager) -> SessionKey {
    manager.open(Credentials::password("user@example.com", "p")).await.unwrap().id.key()
}
