//! [`MemoryStore`]: sessions in this process' memory.
//!
//! A lock-free index publishes the current version of each session, and each version leads to its session's record,
//! which only verbs under the record's lock see. Every change of a session, in the index too, happens under that lock.

mod agenda;
mod lineage;
mod packed;
mod record;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;

pub(crate) use self::record::SharedRecord;
use self::{agenda::Agenda, lineage::Lineage, packed::Packed, record::Record};
use crate::{
    clock::{Clock, SystemClock, Timestamp},
    error::StoreError,
    session::{Session, SessionBlock, SessionKey},
    store::{
        Abort, Aborted, Begin, Begun, Commit, Committed, CreateError, Exchanged, HandedOut, Lease, NewSession, Removed,
        SessionStore, index::Index,
    },
    token::RefreshToken,
};

/// How long a session is kept after its end, so that its browser is told "expired" and not "unknown".
const LINGER: Duration = Duration::from_mins(5);

/// How many sessions a login looks at to forget them: more than it adds, so that nothing piles up.
const LOOKED_AT: usize = 16;

/// How many handed-out tokens of a session are remembered as long as it lives; older ones until they would have expired.
const REMEMBERED_PER_SESSION: usize = 64;

/// Sessions in this process' memory; they end with it.
///
/// ```
/// use authproxy_core::store::MemoryStore;
///
/// let store = MemoryStore::new(10_000);
/// assert_eq!(store.len(), 0);
/// ```
pub struct MemoryStore {
    published: Index<SessionBlock>,
    agenda: Agenda,
    len: AtomicUsize,
    lineage: Lineage,
    capacity: usize,
    clock: Arc<dyn Clock>,
}

impl MemoryStore {
    /// A store for at most `capacity` sessions, on the machine's clock.
    pub fn new(capacity: usize) -> Self {
        Self::with_clock(capacity, Arc::new(SystemClock::new()))
    }

    /// A store for at most `capacity` sessions, on a clock of the caller's.
    pub fn with_clock(capacity: usize, clock: Arc<dyn Clock>) -> Self {
        Self {
            published: Index::new(capacity),
            agenda: Agenda::new(),
            len: AtomicUsize::new(0),
            lineage: Lineage::new(clock.clone()),
            capacity,
            clock,
        }
    }

    /// How many sessions are kept, counting those that ended a short while ago.
    pub fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// Whether no session is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn reserve(&self) -> bool {
        let room = |len: usize| (len < self.capacity).then_some(len + 1);
        self.len.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).is_ok()
    }

    /// Remembers that a session's refresh token was given away, until the session is forgotten.
    fn hand_out(&self, record: &mut Record, session: &Session, token: &RefreshToken) {
        let fingerprint = self.lineage.hand_out(token, session.key, session.version, forget_at(session));
        let remembered = record.handed_out.len().min(REMEMBERED_PER_SESSION - 1);
        let (_, latest) = record.handed_out.split_at(record.handed_out.len() - remembered);
        record.handed_out = [latest, &[fingerprint]].concat().into();
    }

    /// Runs `change` on a living session under its record's lock and publishes what it made of it.
    fn change<T>(&self, key: &SessionKey, change: impl FnOnce(&mut Record, &mut Session, Timestamp) -> T) -> Option<T> {
        let record = self.peek(key)?.record.clone()?;
        let mut record = record.lock();
        // It may have been removed or changed before the lock was ours, but not since.
        let before = if record.removed { None } else { self.peek(key) }?;
        let mut session = before.clone();
        let result = change(&mut record, &mut session, self.clock.now());
        if !before.is_same(&session) {
            for fingerprint in &record.handed_out {
                self.lineage.keep_until(fingerprint, forget_at(&session));
            }
            self.published.insert(session.0);
        }
        Some(result)
    }

    /// Ends a session under its record's lock: no verb finds it from here on. Its refresh token.
    fn end(&self, record: &mut Record, key: &SessionKey) -> Option<Packed> {
        record.removed = true;
        if self.published.remove(key).is_some() {
            self.len.fetch_sub(1, Ordering::Relaxed);
        }
        record.refresh_token.take()
    }

    /// Looks at up to `most` sessions that may have ended long enough ago, and forgets those. How many it looked at.
    fn forget(&self, most: usize) -> usize {
        let now = self.clock.now();
        let due = self.agenda.take_due(now, most);
        for hash in &due {
            for session in self.published.hashed(*hash).into_iter().map(Session) {
                let forgotten = self.change(&session.key, |record, session, _| {
                    let is_over = forget_at(session) <= now;
                    if is_over {
                        drop(self.end(record, &session.key));
                    }
                    is_over
                });
                if forgotten == Some(false) {
                    self.agenda.add(*hash, forget_at(&session), now);
                }
            }
        }
        due.len()
    }
}

/// When nothing of a session is to be found any more.
fn forget_at(session: &Session) -> Timestamp {
    session.ends_at.plus(LINGER)
}

#[async_trait]
impl SessionStore for MemoryStore {
    async fn create(&self, key: &SessionKey, new: NewSession) -> Result<(), CreateError> {
        self.forget(LOOKED_AT);
        if !self.reserve() {
            self.maintain();
            if !self.reserve() {
                return Err(CreateError::Full);
            }
        }
        let record = Arc::new(SharedRecord::new(new.refresh_token.as_ref()));
        let session = new.session.kept_with(*key, record.clone());
        let mut record = record.lock(); // nobody changes the session before all of it is there
        if !self.published.insert_new(session.0.clone()) {
            self.len.fetch_sub(1, Ordering::Relaxed);
            return Err(CreateError::Exists);
        }
        if let Some(token) = new.refresh_token.filter(|_| new.handed_out) {
            self.hand_out(&mut record, &session, &token);
        }
        self.agenda.add(key.spread(), forget_at(&session), self.clock.now());
        Ok(())
    }

    fn is_crowded(&self) -> bool {
        self.published.is_crowded()
    }

    fn expect(&self, keys: &[SessionKey]) {
        self.published.expect(keys);
    }

    fn peek(&self, key: &SessionKey) -> Option<Session> {
        self.published.get(key).map(Session)
    }

    async fn load(&self, key: &SessionKey) -> Result<Option<Session>, StoreError> {
        Ok(self.peek(key))
    }

    async fn begin(&self, key: &SessionKey, begin: Begin) -> Result<Begun, StoreError> {
        let granted = self.change(key, |record, session, now| record.begin(session, *key, begin, now));
        Ok(granted.unwrap_or(Begun::Missing))
    }

    async fn commit(&self, lease: &Lease, commit: Commit) -> Result<Committed, StoreError> {
        let committed = self.change(&lease.key, |record, session, _| record.commit(session, lease, commit));
        Ok(committed.unwrap_or(Committed::Gone))
    }

    async fn abort(&self, lease: &Lease, abort: Abort) -> Result<Aborted, StoreError> {
        let aborted = self.change(&lease.key, |record, session, _| record.abort(session, lease, abort));
        Ok(aborted.unwrap_or(Aborted::Fenced))
    }

    async fn remove(&self, key: &SessionKey) -> Result<Option<Removed>, StoreError> {
        Ok(self.change(key, |record, session, _| {
            let refresh_token = self.end(record, key).map(|token| token.unpack());
            Removed { session: session.clone(), refresh_token }
        }))
    }

    async fn find_handed_out(&self, refresh_token: &RefreshToken) -> Result<Option<HandedOut>, StoreError> {
        Ok(self.lineage.find(refresh_token))
    }

    async fn exchange(&self, presented: &RefreshToken) -> Result<Exchanged, StoreError> {
        let Some(found) = self.lineage.find(presented) else { return Ok(Exchanged::Missing) };
        let exchanged = self.change(&found.key, |record, session, now| {
            let alive = now < session.ends_at && record.dead.is_none();
            let Some(current) = record.refresh_token().filter(|_| alive) else { return Exchanged::Missing };
            if !self.lineage.take(presented) {
                return Exchanged::Already;
            }
            self.hand_out(record, session, &current); // the presented one again, where the service does not rotate
            Exchanged::Current { session: session.clone(), refresh_token: current }
        });
        Ok(exchanged.unwrap_or(Exchanged::Missing))
    }

    fn maintain(&self) {
        while self.forget(LOOKED_AT) > 0 {}
        self.lineage.maintain();
    }
}

impl fmt::Debug for MemoryStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryStore")
            .field("len", &self.len())
            .field("capacity", &self.capacity)
            .finish_non_exhaustive()
    }
}
