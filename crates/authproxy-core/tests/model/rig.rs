//! The real manager in a world that the test writes: a backend with a script, a store whose answers can be withheld.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex},
    time::Duration,
};

use async_trait::async_trait;
use authproxy_core::{
    backend::{
        AuthBackend, BackendError, Cause, Credentials, IssuedTokens, Login, RefreshError, RefreshRequest, Registration,
        Reply, RotationContract,
    },
    clock::{Clock, ManualClock},
    error::StoreError,
    manager::{ManagerConfig, TokenManager},
    session::{Session, SessionKey},
    store::{
        Abort, Aborted, Begin, Begun, Commit, Committed, CreateError, Exchanged, HandedOut, Lease, MemoryStore,
        NewSession, Removed, SessionStore,
    },
    token::{AccessToken, RefreshToken, TokenSet},
};

/// An access token lives this long; fresh for 70 s at least, ahead at 85 s, late at 95 s.
pub(crate) const LIFE: Duration = Duration::from_secs(100);

/// What the service does with a presentation.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Answer {
    Tokens,
    /// Processed or not: the answer is lost.
    Lost,
    NotProcessed,
    /// None, until the caller's patience ends.
    Silence,
}

/// What the store does with a call besides applying it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Applies it; the answer is lost.
    ReplyLost,
    /// Keeps it for later; there is no answer.
    Late,
    /// Applies it and answers, but the clock moves on by so much before that.
    Slow(Duration),
}

/// One store, one service, one clock; any number of managers.
pub(crate) struct World {
    pub(crate) clock: ManualClock,
    pub(crate) store: MemoryStore,
    pub(crate) contract: RotationContract,
    script: Mutex<VecDeque<Answer>>,
    presented: Mutex<Vec<String>>,
    begin_faults: Mutex<VecDeque<Fault>>,
    abort_faults: Mutex<VecDeque<Fault>>,
    late: Mutex<Vec<(Lease, Abort)>>,
}

#[derive(Clone)]
pub(crate) struct Shared(Arc<World>);

impl World {
    pub(crate) fn new(contract: RotationContract, script: &[Answer]) -> Shared {
        let clock = ManualClock::default();
        Shared(Arc::new(Self {
            store: MemoryStore::with_clock(10, Arc::new(clock.clone())),
            clock,
            contract,
            script: Mutex::new(script.iter().copied().collect()),
            presented: Mutex::default(),
            begin_faults: Mutex::default(),
            abort_faults: Mutex::default(),
            late: Mutex::default(),
        }))
    }

    fn tokens(&self, number: usize) -> TokenSet {
        TokenSet {
            access_token: AccessToken::new(&format!("access-{number}")).unwrap(),
            access_expires_at: Some(self.clock.now().plus(LIFE)),
            refresh_token: Some(RefreshToken::new(&format!("refresh-{number}")).unwrap()),
            refresh_expires_at: Some(self.clock.now().plus(100 * LIFE)),
            refresh_in: None,
        }
    }
}

impl std::ops::Deref for Shared {
    type Target = World;

    fn deref(&self) -> &World {
        &self.0
    }
}

impl Shared {
    pub(crate) fn manager(&self) -> TokenManager {
        let mut config = ManagerConfig::default();
        config.refresh_ahead = Some(Duration::from_secs(20));
        config.wait_ahead = Some(Duration::from_secs(10));
        TokenManager::builder(Arc::new(self.clone()), Arc::new(self.clone()))
            .config(config)
            .clock(Arc::new(self.clock.clone()))
            .build()
    }

    pub(crate) async fn log_in(&self, manager: &TokenManager) -> SessionKey {
        manager.open(Credentials::password("user@example.com", "password123"), false).await.unwrap().id.key()
    }

    /// The refresh tokens presented so far, in order.
    pub(crate) fn presented(&self) -> Vec<String> {
        self.presented.lock().unwrap().clone()
    }

    pub(crate) fn spoil_begins(&self, faults: &[Fault]) {
        self.begin_faults.lock().unwrap().extend(faults);
    }

    pub(crate) fn spoil_aborts(&self, faults: &[Fault]) {
        self.abort_faults.lock().unwrap().extend(faults);
    }

    /// Applies the aborts that were kept for later.
    pub(crate) async fn deliver_late(&self) {
        let late = std::mem::take(&mut *self.late.lock().unwrap());
        for (lease, abort) in late {
            self.store.abort(&lease, abort).await.unwrap();
        }
    }
}

fn no_answer() -> StoreError {
    StoreError::new("no answer")
}

#[async_trait]
impl AuthBackend for Shared {
    async fn register(&self, _: &Registration) -> Result<Reply, BackendError> {
        Err(BackendError::TimedOut)
    }

    async fn login(&self, _: &Credentials) -> Result<Login, BackendError> {
        Ok(Login::Issued(IssuedTokens { tokens: self.tokens(1), extra: serde_json::Map::default() }))
    }

    async fn refresh(&self, request: RefreshRequest<'_>) -> Result<TokenSet, RefreshError> {
        let number = {
            let mut presented = self.presented.lock().unwrap();
            presented.push(request.refresh_token.expose_secret().into());
            presented.len() + 1
        };
        let answer = self.script.lock().unwrap().pop_front().unwrap_or(Answer::Tokens);
        let cause = Cause::new("scripted");
        match answer {
            Answer::Tokens => Ok(self.tokens(number)),
            Answer::Lost => Err(RefreshError::Ambiguous { retry_after: None, salvaged: None, cause }),
            Answer::NotProcessed => Err(RefreshError::NotProcessed { retry_after: None, cause }),
            Answer::Silence => std::future::pending().await,
        }
    }

    async fn protected(&self, _: &AccessToken) -> Result<Reply, BackendError> {
        Err(BackendError::TimedOut)
    }

    fn rotation(&self) -> RotationContract {
        self.contract
    }
}

#[async_trait]
impl SessionStore for Shared {
    async fn create(&self, key: &SessionKey, new: NewSession) -> Result<(), CreateError> {
        self.store.create(key, new).await
    }

    async fn load(&self, key: &SessionKey) -> Result<Option<Arc<Session>>, StoreError> {
        self.store.load(key).await
    }

    async fn begin(&self, key: &SessionKey, begin: Begin) -> Result<Begun, StoreError> {
        let begun = self.store.begin(key, begin).await;
        let fault = match begun {
            Ok(Begun::Granted { .. }) => self.begin_faults.lock().unwrap().pop_front(),
            _ => None,
        };
        match fault {
            Some(Fault::ReplyLost | Fault::Late) => Err(no_answer()),
            Some(Fault::Slow(by)) => {
                self.clock.advance(by);
                begun
            }
            None => begun,
        }
    }

    async fn commit(&self, lease: &Lease, commit: Commit) -> Result<Committed, StoreError> {
        self.store.commit(lease, commit).await
    }

    async fn abort(&self, lease: &Lease, abort: Abort) -> Result<Aborted, StoreError> {
        let fault = self.abort_faults.lock().unwrap().pop_front();
        if fault == Some(Fault::Late) {
            self.late.lock().unwrap().push((*lease, abort));
            return Err(no_answer());
        }
        let aborted = self.store.abort(lease, abort).await;
        if fault == Some(Fault::ReplyLost) { Err(no_answer()) } else { aborted }
    }

    async fn remove(&self, key: &SessionKey) -> Result<Option<Removed>, StoreError> {
        self.store.remove(key).await
    }

    async fn find_handed_out(&self, refresh_token: &RefreshToken) -> Result<Option<HandedOut>, StoreError> {
        self.store.find_handed_out(refresh_token).await
    }

    async fn exchange(&self, presented: &RefreshToken) -> Result<Exchanged, StoreError> {
        self.store.exchange(presented).await
    }
}
