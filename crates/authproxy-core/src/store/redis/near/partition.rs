//! [`Partition`]: the changes and interruptions that are known of a part of all sessions, and who is asking.

use std::{
    collections::{HashMap, VecDeque},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use super::{super::key_hasher::KeyHasher, Name, loads::UnderWay};
use crate::session::Version;

/// Changes that are remembered one by one. Whoever was asking for longer counts as overtaken by a change.
const REMEMBERED: usize = 16;

/// A part of all sessions.
pub(super) struct Partition {
    /// How often changes may have gone unheard, plus one.
    epoch: AtomicU64,
    state: Mutex<State>,
}

/// What is known of a partition, under its lock.
#[derive(Default)]
pub(super) struct State {
    /// How many changes were heard.
    changes: u64,
    /// The last of them, the newest last.
    recent: VecDeque<(Name, Version)>,
    /// Who is asking Redis now.
    pub(super) loads: HashMap<Name, UnderWay, KeyHasher>,
}

impl Default for Partition {
    fn default() -> Self {
        Self { epoch: AtomicU64::new(1), state: Mutex::default() }
    }
}

impl Partition {
    pub(super) fn epoch(&self) -> u64 {
        self.epoch.load(Ordering::Acquire)
    }

    pub(super) fn lost(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing under the lock leaves the state half changed.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    /// Notes that what is older than `below` is outdated. Nobody joins a load that was under way before.
    pub(super) fn change(&mut self, name: Name, below: Version) {
        self.changes += 1;
        if self.recent.len() == REMEMBERED {
            self.recent.pop_front();
        }
        self.recent.push_back((name, below));
        self.loads.remove(&name);
    }

    /// Whether a version that was asked for when `changes` were known is still not known to be outdated.
    pub(super) fn is_current(&self, changes: u64, name: &Name, version: Version) -> bool {
        let Ok(since) = usize::try_from(self.changes - changes) else { return false };
        since <= self.recent.len()
            && self.recent.iter().rev().take(since).all(|(changed, below)| changed != name || version >= *below)
    }
}
