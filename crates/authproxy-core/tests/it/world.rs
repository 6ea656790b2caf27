//! A small world for the manager: tokio's paused clock, a counting service, a store that can misbehave.

use std::{sync::Arc, time::Duration};

use authproxy_core::{
    Credentials, MemoryStore, ReadyToken, TokenManager,
    backend::RotationContract,
    clock::{Clock, TokioClock},
    manager::{ManagerConfig, OpenedSession},
    session::SessionKey,
};
use authproxy_testing::{FakeBackend, FaultyStore};

pub struct World {
    pub clock: Arc<dyn Clock>,
    pub backend: FakeBackend,
    pub store: FaultyStore,
    pub manager: TokenManager,
    pub config: ManagerConfig,
}

pub fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

pub async fn pass(seconds: u64) {
    tokio::time::advance(secs(seconds)).await;
}

/// Lets every task that can run do so; no time passes.
pub async fn settle() {
    for _ in 0..200 {
        tokio::task::yield_now().await;
    }
}

impl World {
    /// A strict service; access tokens of 2 minutes, refresh tokens of an hour.
    pub fn new() -> Self {
        Self::with(RotationContract::Strict, |_| {})
    }

    pub fn under(contract: RotationContract) -> Self {
        Self::with(contract, |_| {})
    }

    pub fn with(contract: RotationContract, change: impl FnOnce(&mut ManagerConfig)) -> Self {
        let clock: Arc<dyn Clock> = Arc::new(TokioClock::new());
        Self::on(clock, contract, change)
    }

    pub fn on(clock: Arc<dyn Clock>, contract: RotationContract, change: impl FnOnce(&mut ManagerConfig)) -> Self {
        let mut config = ManagerConfig::default();
        change(&mut config);
        let backend = FakeBackend::with_contract(clock.clone(), contract);
        let store = FaultyStore::new(Arc::new(MemoryStore::with_clock(200_000, clock.clone())));
        let manager = Self::node(&clock, &backend, &store, config.clone());
        Self { clock, backend, store, manager, config }
    }

    /// A further node: another manager on the same store and service.
    pub fn another_node(&self) -> TokenManager {
        Self::node(&self.clock, &self.backend, &self.store, self.config.clone())
    }

    fn node(clock: &Arc<dyn Clock>, backend: &FakeBackend, store: &FaultyStore, config: ManagerConfig) -> TokenManager {
        TokenManager::builder(Arc::new(backend.clone()), Arc::new(store.clone()))
            .clock(clock.clone())
            .config(config)
            .build()
    }

    pub async fn open(&self) -> OpenedSession {
        self.manager.open(credentials()).await.unwrap()
    }

    /// A session whose access token has just expired, and whose first token is returned too.
    pub async fn expired(&self) -> (SessionKey, ReadyToken) {
        let opened = self.open().await;
        pass(120).await;
        (opened.id.key(), opened.session)
    }

    /// A session whose access token is past the soft limit.
    pub async fn ahead(&self) -> (SessionKey, ReadyToken) {
        let opened = self.open().await;
        pass(100).await;
        (opened.id.key(), opened.session)
    }

    /// A session whose access token has 10 seconds left: past the hard limit.
    pub async fn late(&self) -> (SessionKey, ReadyToken) {
        let opened = self.open().await;
        pass(110).await;
        (opened.id.key(), opened.session)
    }

    pub fn assert_each_token_presented_once(&self) {
        assert!(self.backend.most_presentations_of_one_token() <= 1, "a refresh token was presented twice");
    }
}

pub fn credentials() -> Credentials {
    Credentials::password("user@example.com", "password123")
}

pub fn text(token: &ReadyToken) -> String {
    token.access_token().expose_secret().to_owned()
}
