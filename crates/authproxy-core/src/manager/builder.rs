//! [`TokenManagerBuilder`]: what a manager is made of.

use std::{sync::Arc, time::Duration};

use tokio::{
    runtime::Handle,
    time::{MissedTickBehavior, interval},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{Inner, ManagerConfig, TokenManager, admission::Admission, shutdown::LeftOver, slots::Slots};
use crate::{
    backend::AuthBackend,
    clock::{Clock, SystemClock},
    store::SessionStore,
};

const MAINTENANCE_EVERY: Duration = Duration::from_secs(1);

/// Makes a [`TokenManager`].
pub struct TokenManagerBuilder {
    backend: Arc<dyn AuthBackend>,
    store: Arc<dyn SessionStore>,
    config: ManagerConfig,
    clock: Option<Arc<dyn Clock>>,
    runtime: Option<Handle>,
}

impl TokenManagerBuilder {
    pub(super) fn new(backend: Arc<dyn AuthBackend>, store: Arc<dyn SessionStore>) -> Self {
        Self { backend, store, config: ManagerConfig::default(), clock: None, runtime: None }
    }

    /// The durations and bounds. Default: [`ManagerConfig::default`].
    #[must_use]
    pub fn config(mut self, config: ManagerConfig) -> Self {
        self.config = config;
        self
    }

    /// The clock that tokens are judged by. Default: [`SystemClock`]. The store needs the same.
    #[must_use]
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// The runtime that refreshes run on. Default: the one in which [`build`](Self::build) is called. It must outlive
    /// the manager's use; callers may live on other runtimes.
    #[must_use]
    pub fn runtime(mut self, runtime: Handle) -> Self {
        self.runtime = Some(runtime);
        self
    }

    /// Makes the manager and starts its maintenance, once a second.
    ///
    /// # Panics
    ///
    /// When no runtime was given and none is running.
    pub fn build(self) -> TokenManager {
        let runtime = self.runtime.unwrap_or_else(Handle::current);
        let clock = self.clock.unwrap_or_else(|| Arc::new(SystemClock::new()));
        let admission = Admission::new(&self.config, clock.clone());
        let inner = Arc::new(Inner {
            backend: self.backend,
            store: self.store,
            clock,
            config: self.config,
            slots: Slots::default(),
            admission,
            runtime,
            tasks: TaskTracker::new(),
            closing: CancellationToken::new(),
            cut_off: CancellationToken::new(),
            left_over: LeftOver::default(),
        });
        let maintenance = maintain(Arc::downgrade(&inner), inner.closing.clone());
        inner.own(maintenance);
        TokenManager { inner }
    }
}

/// Frees what has expired, also when nobody calls. Ends with the manager.
async fn maintain(manager: std::sync::Weak<Inner>, closing: CancellationToken) {
    let mut ticks = interval(MAINTENANCE_EVERY);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            () = closing.cancelled() => return,
            _ = ticks.tick() => {}
        }
        let Some(manager) = manager.upgrade() else { return };
        manager.store.maintain();
        manager.slots.sweep(manager.clock.now());
    }
}
