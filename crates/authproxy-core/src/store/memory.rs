//! [`MemoryStore`]: sessions in this process' memory.
//!
//! moka owns the records and forgets them in time; a lock-free index beside it publishes the current version of each,
//! because a lookup in moka costs several times what a request may spend (`cargo bench --bench index`).
//! Every change of a living record, in either of them, happens under that record's lock, so the two cannot disagree.

mod index;
mod lineage;
mod record;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use async_trait::async_trait;
use moka::notification::RemovalCause;

use self::{
    index::Index,
    lineage::Lineage,
    record::{Entry, Record},
};
use crate::{
    clock::{Clock, SystemClock, Timestamp},
    error::StoreError,
    session::{Session, SessionKey},
    store::{
        Abort, Aborted, Begin, Begun, Commit, Committed, CreateError, Exchanged, HandedOut, Lease, NewSession, Removed,
        SessionStore, key_hasher::KeyHasher,
    },
    token::RefreshToken,
};

/// How long a session is kept after its end, so that its browser is told "expired" and not "unknown".
const LINGER: Duration = Duration::from_mins(5);

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
    records: moka::sync::Cache<SessionKey, Arc<Entry>, KeyHasher>,
    published: Arc<Index>,
    len: Arc<AtomicUsize>,
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
        let published = Arc::new(Index::new(capacity));
        let len = Arc::new(AtomicUsize::new(0));
        let (forget_in, counted) = (published.clone(), len.clone());
        let records = moka::sync::Cache::builder()
            .expire_after(UntilForgotten { clock: clock.clone() })
            .eviction_listener(move |key: Arc<SessionKey>, _, cause| {
                if cause == RemovalCause::Expired {
                    unpublish(&forget_in, &counted, &key);
                }
            })
            .build_with_hasher(KeyHasher);
        Self { records, published, len, lineage: Lineage::new(clock.clone()), capacity, clock }
    }

    /// How many sessions are kept, counting those that ended a short while ago.
    pub fn len(&self) -> usize {
        self.len.load(Ordering::Relaxed)
    }

    /// Whether no session is kept.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    fn reserve(&self) -> Result<(), CreateError> {
        let room = |len: usize| (len < self.capacity).then_some(len + 1);
        self.len.fetch_update(Ordering::Relaxed, Ordering::Relaxed, room).map(drop).map_err(|_| CreateError::Full)
    }

    /// Remembers that a session's refresh token was given away, until the session is forgotten.
    fn hand_out(&self, record: &mut Record, token: &RefreshToken, key: SessionKey) {
        let session = &record.session;
        let fingerprint = self.lineage.hand_out(token, key, session.version, session.ends_at.plus(LINGER));
        if record.handed_out.len() == REMEMBERED_PER_SESSION {
            record.handed_out.remove(0);
        }
        record.handed_out.push(fingerprint);
    }

    /// Runs `change` on a living record under its lock and publishes what it made of the session.
    fn change<T>(&self, key: &SessionKey, change: impl FnOnce(&mut Record, Timestamp) -> T) -> Option<T> {
        let entry = self.records.get(key)?;
        let mut record = entry.lock();
        if record.removed {
            return None;
        }
        let before = record.session.clone();
        let result = change(&mut record, self.clock.now());
        if !Arc::ptr_eq(&before, &record.session) {
            self.published.insert(record.session.clone());
            let forget_at = record.session.ends_at.plus(LINGER);
            entry.forget_at.store(forget_at.as_millis(), Ordering::Relaxed);
            for fingerprint in &record.handed_out {
                self.lineage.keep_until(fingerprint, forget_at);
            }
            self.records.insert(*key, entry.clone()); // moves the expiry; still under the record's lock
        }
        Some(result)
    }
}

#[async_trait]
impl SessionStore for MemoryStore {
    async fn create(&self, key: &SessionKey, new: NewSession) -> Result<(), CreateError> {
        self.reserve()?;
        let session = Arc::new(new.session.kept_under(*key));
        let handed_out = new.refresh_token.clone().filter(|_| new.handed_out);
        let entry = Arc::new(Entry::new(session.clone(), new.refresh_token, LINGER));
        let mut record = entry.lock(); // nobody sees the session between its two maps
        let kept = self.records.entry(*key).or_insert_with(|| entry.clone());
        if !Arc::ptr_eq(kept.value(), &entry) {
            self.len.fetch_sub(1, Ordering::Relaxed);
            return Err(CreateError::Exists);
        }
        if let Some(token) = handed_out {
            self.hand_out(&mut record, &token, *key);
        }
        self.published.insert(session);
        Ok(())
    }

    fn peek(&self, key: &SessionKey) -> Option<Arc<Session>> {
        self.published.get(key)
    }

    async fn load(&self, key: &SessionKey) -> Result<Option<Arc<Session>>, StoreError> {
        Ok(self.peek(key))
    }

    async fn begin(&self, key: &SessionKey, begin: Begin) -> Result<Begun, StoreError> {
        Ok(self.change(key, |record, now| record.begin(*key, begin, now)).unwrap_or(Begun::Missing))
    }

    async fn commit(&self, lease: &Lease, commit: Commit) -> Result<Committed, StoreError> {
        Ok(self.change(&lease.key, |record, _| record.commit(lease, commit)).unwrap_or(Committed::Gone))
    }

    async fn abort(&self, lease: &Lease, abort: Abort) -> Result<Aborted, StoreError> {
        Ok(self.change(&lease.key, |record, _| record.abort(lease, abort)).unwrap_or(Aborted::Fenced))
    }

    async fn remove(&self, key: &SessionKey) -> Result<Option<Removed>, StoreError> {
        let Some(entry) = self.records.get(key) else { return Ok(None) };
        let mut record = entry.lock();
        if record.removed {
            return Ok(None);
        }
        record.removed = true;
        self.records.invalidate(key);
        unpublish(&self.published, &self.len, key);
        Ok(Some(Removed { session: record.session.clone(), refresh_token: record.refresh_token.take() }))
    }

    async fn find_handed_out(&self, refresh_token: &RefreshToken) -> Result<Option<HandedOut>, StoreError> {
        Ok(self.lineage.find(refresh_token))
    }

    async fn exchange(&self, presented: &RefreshToken) -> Result<Exchanged, StoreError> {
        let Some(found) = self.lineage.find(presented) else { return Ok(Exchanged::Missing) };
        let exchanged = self.change(&found.key, |record, now| {
            let alive = now < record.session.ends_at && record.dead.is_none();
            let Some(current) = record.refresh_token.clone().filter(|_| alive) else { return Exchanged::Missing };
            if !self.lineage.take(presented) {
                return Exchanged::Already;
            }
            self.hand_out(record, &current, found.key); // the presented one again, where the service does not rotate
            Exchanged::Current { session: record.session.clone(), refresh_token: current }
        });
        Ok(exchanged.unwrap_or(Exchanged::Missing))
    }

    fn maintain(&self) {
        self.records.run_pending_tasks();
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

fn unpublish(published: &Index, len: &AtomicUsize, key: &SessionKey) {
    if published.remove(key).is_some() {
        len.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Tells moka how long to keep a record: until its own `forget_at`, never for ever.
struct UntilForgotten {
    clock: Arc<dyn Clock>,
}

impl UntilForgotten {
    fn left(&self, forget_at: &AtomicU64) -> Duration {
        Timestamp::from_millis(forget_at.load(Ordering::Relaxed)).since(self.clock.now())
    }
}

impl moka::Expiry<SessionKey, Arc<Entry>> for UntilForgotten {
    fn expire_after_create(&self, _: &SessionKey, entry: &Arc<Entry>, _: Instant) -> Option<Duration> {
        Some(self.left(&entry.forget_at))
    }

    fn expire_after_update(
        &self,
        _: &SessionKey,
        entry: &Arc<Entry>,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(self.left(&entry.forget_at))
    }
}
