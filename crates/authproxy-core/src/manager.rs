//! [`TokenManager`]: opens sessions, hands out access tokens, refreshes them by the protocol, ends sessions.

use std::{sync::Arc, time::Duration};

use tokio::runtime::Handle;

use crate::{
    backend::{AuthBackend, Credentials},
    clock::{Clock, Timestamp},
    error::{CloseError, ExchangeError, OpenError, TokenError},
    session::{Session, SessionId, SessionKey, Version},
    store::SessionStore,
    token::{AccessToken, TokenSet},
};

/// skeleton
#[derive(Clone)]
pub struct TokenManager;

/// What the manager is told at its making. Every value has a default.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ManagerConfig {
    /// The life of an access token whose service did not say. Default 2 minutes.
    pub access_ttl: Duration,
    /// The life of a refresh token whose service did not say. Default 4 minutes.
    pub refresh_ttl: Duration,
    /// The longest life of a session, however often it is refreshed. Default 12 hours.
    pub max_lifetime: Duration,
    /// How long a session lives without being used. Default: not limited.
    pub idle_timeout: Option<Duration>,
    /// How long one refresh call to the auth service may take in all. Default 10 seconds.
    pub refresh_timeout: Duration,
    /// How long a caller waits for a refresh when it names no deadline. Default 15 seconds.
    pub wait: Duration,
}

/// skeleton
pub struct TokenManagerBuilder;

impl TokenManagerBuilder {
    /// skeleton
    pub fn config(self, _config: ManagerConfig) -> Self {
        unimplemented!()
    }
    /// skeleton
    pub fn clock(self, _clock: Arc<dyn Clock>) -> Self {
        unimplemented!()
    }
    /// skeleton
    pub fn runtime(self, _runtime: Handle) -> Self {
        unimplemented!()
    }
    /// skeleton
    pub fn build(self) -> TokenManager {
        unimplemented!()
    }
}

/// skeleton
pub struct OpenedSession {
    /// The cookie's value.
    pub id: SessionId,
    /// What was published.
    pub session: ReadyToken,
    /// The tokens as issued, for a client that is to have them.
    pub tokens: TokenSet,
    /// Every other field of the token response.
    pub extra: serde_json::Map<String, serde_json::Value>,
}

/// An access token that may be used now.
#[derive(Clone, Debug)]
pub struct ReadyToken(Arc<Session>);
impl ReadyToken {
    /// The token.
    pub fn access_token(&self) -> &AccessToken {
        &self.0.access_token
    }
    /// The version, for [`TokenManager::report_rejected`].
    pub fn version(&self) -> Version {
        self.0.version
    }
    /// Who logged in.
    pub fn user(&self) -> &str {
        &self.0.user
    }
    /// When the access token expires.
    pub fn expires_at(&self) -> Timestamp {
        self.0.zones.expires_at
    }
    /// When the session ends unless it is prolonged.
    pub fn session_ends_at(&self) -> Timestamp {
        self.0.ends_at
    }
    /// Whether the session's end has moved since the browser was last told; true for one caller per version.
    pub fn take_prolonged(&self) -> bool {
        unimplemented!()
    }
}

/// skeleton
#[derive(Debug)]
pub struct ExchangedTokens {
    /// The tokens.
    pub tokens: TokenSet,
    /// Every other field of the token response, where it was passed through.
    pub extra: serde_json::Map<String, serde_json::Value>,
}

/// skeleton
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Flights that were cut off at the deadline; their refresh tokens are in doubt.
    pub in_doubt: usize,
    /// Token sets that could not be written to the store.
    pub unsaved: usize,
    /// Revocations that were cut off.
    pub unrevoked: usize,
}

impl TokenManager {
    /// skeleton
    pub fn builder(_backend: Arc<dyn AuthBackend>, _store: Arc<dyn SessionStore>) -> TokenManagerBuilder {
        unimplemented!()
    }
    /// Opens a session by logging in. `hand_out`: the refresh token is also given to the one who logs in.
    pub async fn open(&self, _credentials: Credentials, _hand_out: bool) -> Result<OpenedSession, OpenError> {
        unimplemented!()
    }
    /// The access token, if it is fresh and at hand in this process.
    pub fn peek(&self, _key: &SessionKey) -> Option<ReadyToken> {
        unimplemented!()
    }
    /// The access token, refreshed when needed; waits at most the configured time.
    pub async fn access_token(&self, _key: &SessionKey) -> Result<ReadyToken, TokenError> {
        unimplemented!()
    }
    /// What is known of a session, without refreshing anything and without counting as use: for `GET /session`.
    pub async fn session(&self, _key: &SessionKey) -> Result<ReadyToken, TokenError> {
        unimplemented!()
    }
    /// Reports that an upstream refused the access token of this version.
    pub fn report_rejected(&self, _key: &SessionKey, _seen: Version) {
        unimplemented!()
    }
    /// Exchanges a refresh token by hand.
    pub async fn exchange(&self, _refresh_token: crate::token::RefreshToken) -> Result<ExchangedTokens, ExchangeError> {
        unimplemented!()
    }
    /// Ends a session; true when there was one.
    pub async fn close(&self, _key: &SessionKey) -> Result<bool, CloseError> {
        unimplemented!()
    }
    /// Stops taking work, lets flights finish until the deadline, reports what is left.
    pub async fn shutdown(&self, _deadline: Duration) -> ShutdownReport {
        unimplemented!()
    }
    /// The present instant on the manager's clock.
    pub fn now(&self) -> Timestamp {
        unimplemented!()
    }
}
