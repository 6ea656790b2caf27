//! [`Journal`]: what this node has written last, to be written again when another primary takes the place of one that
//! may have died with it.
//!
//! Redis confirms a write before its replicas have it, so a failover can lose what was confirmed: a login, a token set
//! whose refresh token was given up, a logout. The node that wrote it still knows. Every script that is run again here
//! changes nothing where its first run was not lost, and what is kept of sealed parts is sealed.

use std::{
    collections::{HashMap, VecDeque},
    sync::{Arc, Mutex, PoisonError, Weak},
    time::Duration,
};

use futures_util::{StreamExt, stream};
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use super::Records;
use crate::session::SessionKey;

/// Writes are kept for this long, unless there are too many; while nothing can be written, for as long as that lasts. A
/// Cluster with the timeouts that it comes with needs twenty seconds to replace a primary.
const KEPT: Duration = Duration::from_secs(30);
/// Sessions whose writes are kept.
const MOST: usize = 8192;
/// Sessions that are written again at once.
const AT_ONCE: usize = 32;
/// A second round follows after this: what another node writes again may be what a write of this one builds on.
const SECOND_ROUND: Duration = Duration::from_secs(1);

/// A script's arguments as they were sent.
pub(super) type Arguments = Arc<[Vec<u8>]>;

/// The last writes, by session.
#[derive(Default)]
pub(super) struct Journal(Mutex<Entries>);

#[derive(Default)]
struct Entries {
    latest: HashMap<SessionKey, Entry>,
    order: VecDeque<(Instant, SessionKey)>,
}

struct Entry {
    at: Instant,
    writes: Writes,
}

/// What was written of one session: a removal, or its beginning and its last version, as far as they were written here.
#[derive(Clone, Default)]
pub(super) struct Writes {
    pub(super) create: Option<Arguments>,
    pub(super) commit: Option<Arguments>,
    pub(super) remove: Option<Arguments>,
}

impl Journal {
    pub(super) fn created(&self, key: &SessionKey, arguments: &[&[u8]]) {
        self.note(key, |writes| writes.create = Some(owned(arguments)));
    }

    pub(super) fn committed(&self, key: &SessionKey, arguments: &[&[u8]]) {
        self.note(key, |writes| writes.commit = Some(owned(arguments)));
    }

    pub(super) fn removed(&self, key: &SessionKey, arguments: &[&[u8]]) {
        self.note(key, |writes| *writes = Writes { remove: Some(owned(arguments)), ..Writes::default() });
    }

    fn note(&self, key: &SessionKey, change: impl FnOnce(&mut Writes)) {
        let now = Instant::now();
        let mut entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let entry = entries.latest.entry(*key).or_insert_with(|| Entry { at: now, writes: Writes::default() });
        entry.at = now;
        change(&mut entry.writes);
        entries.order.push_back((now, *key));
        entries.forget(now);
    }

    fn all(&self) -> Vec<(SessionKey, Writes)> {
        let entries = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        entries.latest.iter().map(|(key, entry)| (*key, entry.writes.clone())).collect()
    }
}

impl Entries {
    fn forget(&mut self, now: Instant) {
        while let Some((at, key)) = self.order.front().copied() {
            if self.order.len() <= MOST && now.duration_since(at) < KEPT {
                break;
            }
            self.order.pop_front();
            // A later write of the same session has its own place in the order.
            if self.latest.get(&key).is_some_and(|entry| entry.at == at) {
                self.latest.remove(&key);
            }
        }
    }
}

/// Writes the journal again whenever another primary is met, until the store is gone.
pub(super) async fn heal(records: Weak<Records>, mut primaries: watch::Receiver<u64>) {
    while primaries.changed().await.is_ok() {
        for pause in [Duration::ZERO, SECOND_ROUND] {
            sleep(pause).await;
            let Some(records) = records.upgrade() else { return };
            let sessions = records.journal.all();
            if !sessions.is_empty() {
                tracing::info!(sessions = sessions.len(), "another primary: writing again what may be lost");
            }
            let writing = stream::iter(sessions).for_each_concurrent(AT_ONCE, async |(key, writes)| {
                records.write_again(&key, &writes).await;
            });
            writing.await;
        }
    }
}

fn owned(arguments: &[&[u8]]) -> Arguments {
    arguments.iter().map(|argument| argument.to_vec()).collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::session::SessionId;

    fn arguments(journal: &Journal, key: &SessionKey) -> Writes {
        journal.all().into_iter().find(|(known, _)| known == key).map(|(_, writes)| writes).unwrap_or_default()
    }

    #[tokio::test(start_paused = true)]
    async fn the_last_version_is_kept_and_a_removal_leaves_nothing_else() {
        let (journal, key) = (Journal::default(), SessionId::random().key());
        journal.created(&key, &[b"first"]);
        journal.committed(&key, &[b"second"]);
        journal.committed(&key, &[b"third"]);
        let writes = arguments(&journal, &key);
        assert_eq!(
            (&*writes.create.unwrap(), &*writes.commit.unwrap()),
            (&[b"first".to_vec()][..], &[b"third".to_vec()][..])
        );
        journal.removed(&key, &[b"gone"]);
        let writes = arguments(&journal, &key);
        assert!(writes.create.is_none() && writes.commit.is_none() && writes.remove.is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_old_or_too_much_is_forgotten_and_what_is_new_is_not() {
        let journal = Journal::default();
        let (old, renewed, new) = (SessionId::random().key(), SessionId::random().key(), SessionId::random().key());
        journal.created(&old, &[]);
        journal.created(&renewed, &[]);
        tokio::time::advance(KEPT / 2).await;
        journal.committed(&renewed, &[]);
        tokio::time::advance(KEPT / 2).await;
        journal.created(&new, &[]);
        assert!(arguments(&journal, &old).create.is_none());
        assert!(arguments(&journal, &renewed).commit.is_some() && arguments(&journal, &new).create.is_some());
        for _ in 0..2 * MOST {
            journal.created(&SessionId::random().key(), &[]);
        }
        assert_eq!(journal.all().len(), MOST);
    }
}
