//! [`Journal`]: what this node has written last, to be written again when another primary takes the place of one that
//! may have died with it.
//!
//! Redis confirms a write before its replicas have it, so a failover can lose what was confirmed: a login, a token set
//! whose refresh token was given up, a logout. The node that wrote it still knows. The invariant: *what is written again
//! changes nothing where the first writing was not lost, brings nothing back that has ended since, and lets no
//! refresh token be presented that another node may have presented since.* Of a session that has ended elsewhere Redis
//! keeps a mark, and what is written again is always younger than that mark may become. A session whose token was due
//! is written again in doubt. What is kept of tokens is sealed.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use futures_util::{StreamExt, stream};
use tokio::{sync::watch, time::sleep};

use super::{
    Records,
    near::OVER,
    record::{self, Fingerprint},
    verbs::Place,
};
use crate::{
    clock::{Clock, Timestamp},
    session::{Session, SessionKey, Version},
};

/// Older writes make room for new ones: no replica that is worth promoting lags so far behind.
const KEPT: Duration = Duration::from_secs(30);
/// What is older is never written again, however long Redis was away: much less than the ten minutes for which the mark
/// of a removed session stays, and long enough for a Cluster to replace a primary.
pub(super) const OLDEST: Duration = Duration::from_mins(2);
/// The bytes that are kept, about. The oldest go first.
const MOST: usize = 32 << 20;
/// What an entry takes beside its writes, and what its place in the order takes, about.
const ENTRY_BYTES: usize = 352;
const PLACE_BYTES: usize = 48;
/// Sessions that are written again at once.
const AT_ONCE: usize = 32;
/// The pause between two rounds.
const PAUSE: Duration = Duration::from_secs(1);
/// Rounds without a failure: what another node writes again may be what a write of this one builds on.
const ROUNDS: u32 = 2;

/// A script's arguments as they were sent.
pub(super) type Arguments = Arc<[Vec<u8>]>;

/// The last writes, by session.
#[derive(Default)]
pub(super) struct Journal(Mutex<Entries>);

#[derive(Default)]
struct Entries {
    latest: HashMap<[u8; 16], Entry>,
    /// Every write's place, the oldest first.
    order: VecDeque<(Timestamp, u64, [u8; 16])>,
    last_place: u64,
    bytes: usize,
}

/// What was written of one session, as far as it was written here.
#[derive(Clone)]
pub(super) struct Entry {
    pub(super) key: SessionKey,
    /// When the last of it was written.
    at: Timestamp,
    place: u64,
    /// Until when Redis keeps the session.
    pub(super) until: Timestamp,
    pub(super) writes: Writes,
}

/// A session that was begun or went on, or its end.
#[derive(Clone)]
pub(super) enum Writes {
    Lives(Life),
    Removed,
}

/// A session's beginning and its last version.
#[derive(Clone)]
pub(super) struct Life {
    version: Version,
    /// The newest version that was heard of.
    heard: Version,
    /// From when on its refresh token may have been presented.
    pub(super) due_at: Timestamp,
    /// The whole record of that version, where the session was begun here.
    pub(super) record: Option<Arc<[u8]>>,
    /// What made that version of the one before it, and is in the record too.
    pub(super) commit: Option<Arguments>,
    /// Its place in its user's index.
    pub(super) index: Option<Place>,
    /// What points to it from tokens that were handed out: names and sealed targets.
    pub(super) pointers: Vec<(String, Arc<[u8]>)>,
}

impl Journal {
    /// A change of a session that lives: it is kept in Redis `until` then.
    pub(super) fn wrote(
        &self,
        key: &SessionKey,
        session: &Session,
        now: Timestamp,
        until: Timestamp,
        change: impl FnOnce(&mut Life),
    ) {
        self.note(key, now, until, |known| match known.unwrap_or_else(|| Writes::Lives(Life::of(session))) {
            Writes::Lives(mut life) => {
                change(&mut life);
                Writes::Lives(life)
            }
            Writes::Removed => Writes::Removed,
        });
    }

    /// The session has ended here.
    fn removed(&self, key: &SessionKey, now: Timestamp) {
        self.note(key, now, now, |_| Writes::Removed);
    }

    /// To be held while a session's end is asked for: also if nobody waits for the answer, it may have come.
    pub(super) fn ending<'a>(&'a self, key: &'a SessionKey, clock: &'a dyn Clock) -> Ending<'a> {
        Ending { journal: self, key, clock, may_have_come: true }
    }

    /// Somebody has written a version, or the session's end.
    pub(super) fn heard(&self, name: &[u8; 16], version: Version) {
        let mut entries = self.lock();
        match entries.latest.get_mut(name).map(|entry| &mut entry.writes) {
            Some(Writes::Lives(_)) if version == OVER => drop(entries.take(name)),
            // It may be our own, which is noted in a moment.
            Some(Writes::Lives(life)) => life.heard = life.heard.max(version),
            Some(Writes::Removed) | None => {}
        }
    }

    /// Whether anything of a session would be written again.
    pub(super) fn knows(&self, key: &SessionKey) -> bool {
        self.lock().latest.contains_key(&key.name())
    }

    fn note(&self, key: &SessionKey, now: Timestamp, until: Timestamp, change: impl FnOnce(Option<Writes>) -> Writes) {
        let (mut entries, name) = (self.lock(), key.name());
        let writes = change(entries.take(&name).map(|entry| entry.writes));
        entries.last_place += 1;
        let place = entries.last_place;
        let entry = Entry { key: *key, at: now, place, until, writes };
        entries.bytes += entry.bytes() + PLACE_BYTES;
        entries.latest.insert(name, entry);
        entries.order.push_back((now, place, name));
        entries.forget(now);
    }

    /// What is not so old yet, and not known to be outdated.
    fn younger_than(&self, oldest: Duration, now: Timestamp) -> Vec<Entry> {
        let is_current = |writes: &Writes| !matches!(writes, Writes::Lives(life) if life.heard > life.version);
        let entries = self.lock();
        let current = entries.latest.values().filter(|entry| now.since(entry.at) < oldest && is_current(&entry.writes));
        current.cloned().collect()
    }

    fn lock(&self) -> MutexGuard<'_, Entries> {
        // Nothing under the lock can panic half way.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A session's end that is asked for, noted when this goes unless it is certain that it has not come.
pub(super) struct Ending<'a> {
    journal: &'a Journal,
    key: &'a SessionKey,
    clock: &'a dyn Clock,
    pub(super) may_have_come: bool,
}

impl Drop for Ending<'_> {
    fn drop(&mut self) {
        if self.may_have_come {
            self.journal.removed(self.key, self.clock.now());
        }
    }
}

impl Entries {
    fn take(&mut self, name: &[u8; 16]) -> Option<Entry> {
        let entry = self.latest.remove(name)?;
        self.bytes -= entry.bytes();
        Some(entry)
    }

    fn forget(&mut self, now: Timestamp) {
        while let Some((at, place, name)) = self.order.front().copied() {
            if self.bytes <= MOST && now.since(at) < KEPT {
                break;
            }
            self.order.pop_front();
            self.bytes -= PLACE_BYTES;
            // A later write of the same session has its own place in the order.
            if self.latest.get(&name).is_some_and(|entry| entry.place == place) {
                self.take(&name);
            }
        }
    }
}

impl Life {
    fn of(session: &Session) -> Self {
        let (version, due_at) = (session.version, session.zones.refresh_at);
        Self { version, heard: version, due_at, record: None, commit: None, index: None, pointers: Vec::new() }
    }

    /// The session was begun here.
    pub(super) fn begun(&mut self, record: &[u8], place: Place) {
        (self.record, self.index) = (Some(record.into()), Some(place));
    }

    /// One of its handed-out tokens was exchanged here for another.
    pub(super) fn exchanged(&mut self, presented: &Fingerprint, current: &Fingerprint) {
        self.record =
            self.record.take().and_then(|record| record::exchanged(&record, presented, current)).map(Into::into);
    }

    /// A version was made here, by these arguments.
    pub(super) fn committed(&mut self, session: &Session, version: Version, made_by: Made<'_>, place: Place) {
        let record = self.record.take();
        self.record = record
            .and_then(|record| record::succeeded(&record, version, made_by.session, made_by.refresh_token))
            .map(Into::into);
        (self.version, self.due_at, self.index) = (version, session.zones.refresh_at, Some(place));
        self.commit = Some(made_by.arguments.iter().map(|argument| argument.to_vec()).collect());
    }
}

/// What a version is made by.
#[derive(Clone, Copy)]
pub(super) struct Made<'a> {
    pub(super) arguments: &'a [&'a [u8]],
    /// The sealed parts, which are among the arguments.
    pub(super) session: &'a [u8],
    pub(super) refresh_token: &'a [u8],
}

impl Entry {
    fn bytes(&self) -> usize {
        let Writes::Lives(life) = &self.writes else { return ENTRY_BYTES };
        let record = life.record.iter().map(|record| record.len());
        let arguments = life.commit.iter().flat_map(|arguments| arguments.iter()).map(Vec::len);
        let pointers = life.pointers.iter().map(|(name, target)| name.len() + target.len());
        ENTRY_BYTES + record.chain(arguments).chain(pointers).sum::<usize>()
    }
}

/// Writes the journal again whenever another primary is met, until the store is gone.
pub(super) async fn heal(records: Weak<Records>, mut primaries: watch::Receiver<Timestamp>) {
    while primaries.changed().await.is_ok() {
        let mut rounds = ROUNDS;
        // It ends: what cannot be written again becomes too old.
        while rounds > 0 {
            let Some(records) = records.upgrade() else { return };
            if records.write_journal_again().await {
                rounds -= 1;
            }
            drop(records);
            sleep(PAUSE).await;
        }
    }
}

impl Records {
    /// One round; whether nothing failed.
    async fn write_journal_again(&self) -> bool {
        // A session that is written again counts as used then.
        let oldest = self.idle_timeout.map_or(OLDEST, |idle_timeout| idle_timeout.min(OLDEST));
        let entries = self.journal.younger_than(oldest, self.clock.now());
        let sessions = entries.len();
        let writing = stream::iter(entries).map(|entry| async move { self.write_again(&entry).await });
        let written: Vec<_> = writing.buffer_unordered(AT_ONCE).collect().await;
        let mut failures: Vec<_> = written.into_iter().filter_map(Result::err).collect();
        let failed = failures.len();
        if let Some(failure) = failures.pop() {
            tracing::warn!(sessions, failed, %failure, "what a failover may have lost is not written again yet");
        } else if sessions > 0 {
            tracing::info!(sessions, "another primary: what it may have lost is written again");
        }
        failed == 0
    }
}

#[cfg(test)]
mod tests;
