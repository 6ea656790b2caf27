//! [`NearCache`]: what this node remembers of the sessions in Redis, so that most requests need not ask there.
//!
//! It holds what is published of a session: an access token, never a refresh token. An entry counts as *confirmed* from
//! the moment at which the command was sent whose answer it is, and is served
//!
//! - by [`peek`](NearCache::peek) for `near_ttl` from then on, unless Redis has told of a change, or the channel on
//!   which it would have told was interrupted meanwhile;
//! - by [`last_known`](NearCache::last_known) for `stale_max`, while Redis cannot be asked and its token is valid.
//!
//! The invariant: *nothing that was read before a change is remembered after the change is known.* Whoever asks Redis
//! takes a [`Ticket`] before and shows it with the answer. A change that became known in between makes the ticket void
//! for what is older than the change. Both happen under the lock of the session's partition.

mod entry;
mod loads;
mod partition;
mod remembered;

use std::{
    hash::{Hash, Hasher},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio_util::sync::{CancellationToken, DropGuard};

use self::{entry::Entry, partition::Partition, remembered::Remembered};
use super::names;
use crate::{
    clock::{Clock, Timestamp},
    session::{Session, SessionKey, Standing, Version},
};

/// How much longer an entry that nobody asks for is remembered than it may be served.
const FORGOTTEN_AFTER: Duration = Duration::from_mins(1);

/// What is remembered, and for how long it is good.
#[derive(Clone, Copy, Debug)]
pub(super) struct NearLimits {
    /// How long an entry is served after it was confirmed; zero: nothing is served, and nobody shares an answer.
    pub(super) near_ttl: Duration,
    /// How long a valid access token is served after it was confirmed while Redis cannot be asked.
    pub(super) stale_max: Duration,
    /// How much memory the entries may take, about, in bytes. What was not used for longest is forgotten first.
    pub(super) memory: u64,
}

impl Default for NearLimits {
    fn default() -> Self {
        Self { near_ttl: Duration::from_secs(5), stale_max: Duration::from_mins(1), memory: 256 << 20 }
    }
}

/// A session by the half of its key that Redis knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Name(pub(super) [u8; 16]);

impl Name {
    /// As evenly spread as the key that it is half of.
    fn spread(&self) -> u64 {
        u64::from_le_bytes(self.0[..8].try_into().expect("8 of 16 bytes"))
    }
}

impl Hash for Name {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.spread());
    }
}

/// Taken before Redis is asked for a session; shown with the answer.
#[derive(Clone, Copy, Debug)]
pub(super) struct Ticket {
    key: SessionKey,
    /// The changes that were known.
    changes: u64,
    /// The interruptions that were known.
    epoch: u64,
    sent_at: Timestamp,
    tick: u64,
}

/// The sessions that this node remembers.
pub(super) struct NearCache {
    remembered: Remembered,
    partitions: Box<[Partition]>,
    limits: NearLimits,
    clock: Arc<dyn Clock>,
    /// Orders what is asked and what is answered.
    ticks: AtomicU64,
    /// Whether the last load has failed.
    failing: AtomicBool,
    /// Ends the loads that are under way.
    closed: DropGuard,
}

impl NearCache {
    pub(super) fn new(limits: NearLimits, clock: Arc<dyn Clock>) -> Self {
        let remembered = Remembered::new(limits.memory, limits.near_ttl.max(limits.stale_max) + FORGOTTEN_AFTER);
        let partitions = (0..names::PARTITIONS).map(|_| Partition::default()).collect();
        let (ticks, failing) = (AtomicU64::new(1), AtomicBool::new(false));
        let closed = CancellationToken::new().drop_guard();
        Self { remembered, partitions, limits, clock, ticks, failing, closed }
    }

    /// Whether anything is served at all.
    pub(super) fn serves(&self) -> bool {
        !self.limits.near_ttl.is_zero()
    }

    /// Whether [`expect`](Self::expect) pays.
    pub(super) fn is_crowded(&self) -> bool {
        self.serves() && self.remembered.is_crowded()
    }

    /// Fetches what [`peek`](Self::peek) will read of these.
    pub(super) fn expect(&self, keys: &[SessionKey]) {
        let names: Vec<_> = keys.iter().map(|key| Name(key.name())).collect();
        self.remembered.expect(&names);
    }

    /// The session, where it was confirmed within `near_ttl` and nothing speaks against it.
    pub(super) fn peek(&self, key: &SessionKey) -> Option<Session> {
        if !self.serves() {
            return None;
        }
        let name = Name(key.name());
        self.remembered.read(&name, |entry| {
            let epoch = self.partition(&name.0).epoch();
            // Half of a key may be known to those who can read Redis; whoever asks must know all of it.
            let is_good =
                entry.session.key == *key && entry.is_confirmed(self.clock.now(), self.limits.near_ttl, epoch);
            is_good.then(|| entry.session.clone())
        })?
    }

    /// The session as Redis last had it, for one who could not ask: only where its token may still be handed out.
    pub(super) fn last_known(&self, key: &SessionKey) -> Option<Session> {
        if !self.serves() {
            return None;
        }
        let entry = self.entry(key)?;
        let (session, now) = (&entry.session, self.clock.now());
        let valid = now < session.zones.expires_at && now < session.ends_at;
        let alive = !matches!(session.standing, Standing::Dead(_));
        let recent = now.since(entry.confirmed_at()) <= self.limits.stale_max;
        (valid && alive && recent).then(|| entry.session.clone())
    }

    /// To be taken before Redis is asked for the session, or told of a new version of it.
    pub(super) fn ticket(&self, key: &SessionKey) -> Ticket {
        let partition = self.partition(&key.name());
        let epoch = partition.epoch();
        let changes = partition.lock().changes();
        Ticket { key: *key, changes, epoch, sent_at: self.clock.now(), tick: self.tick() }
    }

    /// Remembers what Redis has; returns the newest that is known.
    pub(super) fn fill(&self, ticket: &Ticket, session: Session) -> Session {
        let name = Name(ticket.key.name());
        let partition = self.partition(&name.0);
        let state = partition.lock();
        let known = self.entry(&ticket.key);
        let session = match &known {
            // A late answer: this node knows of a newer version since before it has asked, or meanwhile.
            Some(entry) if entry.session.version > session.version && !entry.was_filled_before(ticket.tick) => {
                return entry.session.clone();
            }
            Some(entry) => entry.succeeded_by(session, ticket.tick),
            None => session,
        };
        if !state.is_current(ticket.changes, &name, session.version) {
            return session;
        }
        match known.filter(|entry| entry.session.is_same(&session)) {
            Some(entry) => {
                entry.confirm(ticket, self.tick());
                self.remembered.used(&name);
            }
            None => self.remembered.insert(Entry::new(session.clone(), ticket, self.tick())),
        }
        session
    }

    /// Redis has no such session: what is still on its way was asked for before it went.
    pub(super) fn gone(&self, key: &SessionKey) {
        self.changed(key.name(), OVER);
    }

    /// What is older than `below` is outdated, and may be served only while Redis cannot be asked.
    /// With [`OVER`] the session has ended, and nothing of it is served any more.
    pub(super) fn changed(&self, name: [u8; 16], below: Version) {
        let name = Name(name);
        let mut state = self.partition(&name.0).lock();
        state.change(name, below);
        match self.remembered.get(&name) {
            Some(_) if below == OVER => self.remembered.forget(&name),
            Some(entry) if entry.session.version < below => entry.doubt(),
            _ => {}
        }
    }

    /// Changes in a partition may have gone unheard up to now: every entry is to be confirmed before it is served.
    pub(super) fn lost(&self, partition: u16) {
        if let Some(partition) = self.partitions.get(usize::from(partition)) {
            partition.lost();
        }
    }

    /// Frees what is not to be remembered any more.
    pub(super) fn maintain(&self) {
        self.remembered.maintain();
    }

    fn entry(&self, key: &SessionKey) -> Option<Arc<Entry>> {
        self.remembered.get(&Name(key.name())).filter(|entry| entry.session.key == *key)
    }

    fn partition(&self, name: &[u8; 16]) -> &Partition {
        &self.partitions[usize::from(names::partition_of(name))]
    }

    fn tick(&self) -> u64 {
        self.ticks.fetch_add(1, Ordering::Relaxed)
    }
}

/// Below this are all versions: the session has ended.
pub(super) const OVER: Version = Version(u64::MAX);

#[cfg(test)]
mod tests;
