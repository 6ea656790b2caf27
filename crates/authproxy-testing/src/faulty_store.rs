//! [`FaultyStore`]: a store around a store, whose calls fail, hang or lose their answers on command.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use async_trait::async_trait;
use authproxy_core::{
    clock::Timestamp,
    error::StoreError,
    session::{Session, SessionKey},
    store::{
        Abort, Aborted, Begin, Begun, Commit, Committed, CreateError, Exchanged, HandedOut, Lease, NewSession, Removed,
        SessionStore,
    },
    token::RefreshToken,
};

use crate::Gate;

/// A verb of the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[allow(missing_docs)] // the verbs of `SessionStore`
pub enum Verb {
    Create,
    Load,
    Begin,
    Commit,
    Abort,
    Remove,
    FindHandedOut,
    Exchange,
}

/// What one call of a verb is to do instead of simply working.
#[derive(Clone, Debug)]
pub enum Fault {
    /// Work after all.
    Work,
    /// Fail without taking effect.
    FailBefore,
    /// Take effect and lose the answer.
    LoseAnswer,
    /// Wait at the gate before taking effect.
    HoldBefore(Gate),
    /// Take effect and wait at the gate before answering.
    HoldAfter(Gate),
    /// Panic without taking effect.
    Panic,
    /// Take effect and panic.
    PanicAfter,
}

/// A store that misbehaves on command and keeps a log of its calls. Clones share it.
#[derive(Clone)]
pub struct FaultyStore {
    inner: Arc<dyn SessionStore>,
    faults: Arc<Mutex<HashMap<Verb, VecDeque<Fault>>>>,
    calls: Arc<Mutex<Vec<Verb>>>,
    down: Arc<AtomicBool>,
    blind: Arc<AtomicBool>,
}

impl FaultyStore {
    /// Puts itself around `inner`.
    pub fn new(inner: Arc<dyn SessionStore>) -> Self {
        Self { inner, faults: Arc::default(), calls: Arc::default(), down: Arc::default(), blind: Arc::default() }
    }

    /// Queues what the next calls of `verb` do; when the queue is empty they work.
    pub fn script(&self, verb: Verb, faults: impl IntoIterator<Item = Fault>) {
        self.faults.lock().unwrap_or_else(PoisonError::into_inner).entry(verb).or_default().extend(faults);
    }

    /// While down, every verb fails without effect; `peek` goes on working, as a near-cache does.
    pub fn set_down(&self, down: bool) {
        self.down.store(down, Ordering::SeqCst);
    }

    /// While blind, `peek` finds nothing, as with a store that has no local copy.
    pub fn set_blind(&self, blind: bool) {
        self.blind.store(blind, Ordering::SeqCst);
    }

    /// The calls so far, in order.
    pub fn calls(&self) -> Vec<Verb> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How often `verb` was called.
    pub fn calls_of(&self, verb: Verb) -> usize {
        self.calls().into_iter().filter(|called| *called == verb).count()
    }

    async fn call<T>(&self, verb: Verb, work: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        self.calls.lock().unwrap_or_else(PoisonError::into_inner).push(verb);
        let fault = self
            .faults
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_mut(&verb)
            .and_then(VecDeque::pop_front)
            .unwrap_or(Fault::Work);
        if self.down.load(Ordering::SeqCst) {
            return Err(StoreError::new("down"));
        }
        match fault {
            Fault::Work => work.await,
            Fault::FailBefore => Err(StoreError::new("scripted failure")),
            Fault::LoseAnswer => {
                work.await?;
                Err(StoreError::new("scripted loss of the answer"))
            }
            Fault::HoldBefore(gate) => {
                gate.pass().await;
                work.await
            }
            Fault::HoldAfter(gate) => {
                let answer = work.await;
                gate.pass().await;
                answer
            }
            Fault::Panic => panic!("scripted panic"),
            Fault::PanicAfter => {
                drop(work.await);
                panic!("scripted panic")
            }
        }
    }
}

#[async_trait]
impl SessionStore for FaultyStore {
    async fn create(&self, key: &SessionKey, new: NewSession) -> Result<(), CreateError> {
        let created = async {
            match self.inner.create(key, new).await {
                Err(CreateError::Unavailable(error)) => Err(error),
                other => Ok(other),
            }
        };
        self.call(Verb::Create, created).await?
    }

    fn is_crowded(&self) -> bool {
        self.inner.is_crowded()
    }

    fn expect(&self, keys: &[SessionKey]) {
        self.inner.expect(keys);
    }

    fn peek(&self, key: &SessionKey) -> Option<Session> {
        if self.blind.load(Ordering::SeqCst) { None } else { self.inner.peek(key) }
    }

    fn last_known(&self, key: &SessionKey) -> Option<Session> {
        if self.blind.load(Ordering::SeqCst) { None } else { self.inner.last_known(key) }
    }

    async fn load(&self, key: &SessionKey) -> Result<Option<Session>, StoreError> {
        self.call(Verb::Load, self.inner.load(key)).await
    }

    async fn note_use(&self, key: &SessionKey, at: Timestamp) -> Result<(), StoreError> {
        self.inner.note_use(key, at).await
    }

    async fn begin(&self, key: &SessionKey, begin: Begin) -> Result<Begun, StoreError> {
        self.call(Verb::Begin, self.inner.begin(key, begin)).await
    }

    async fn commit(&self, lease: &Lease, commit: Commit) -> Result<Committed, StoreError> {
        self.call(Verb::Commit, self.inner.commit(lease, commit)).await
    }

    async fn abort(&self, lease: &Lease, abort: Abort) -> Result<Aborted, StoreError> {
        self.call(Verb::Abort, self.inner.abort(lease, abort)).await
    }

    async fn remove(&self, key: &SessionKey) -> Result<Option<Removed>, StoreError> {
        self.call(Verb::Remove, self.inner.remove(key)).await
    }

    async fn find_handed_out(&self, refresh_token: &RefreshToken) -> Result<Option<HandedOut>, StoreError> {
        self.call(Verb::FindHandedOut, self.inner.find_handed_out(refresh_token)).await
    }

    async fn exchange(&self, presented: &RefreshToken) -> Result<Exchanged, StoreError> {
        self.call(Verb::Exchange, self.inner.exchange(presented)).await
    }

    fn maintain(&self) {
        self.inner.maintain();
    }
}
