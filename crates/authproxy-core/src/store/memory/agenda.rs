//! [`Agenda`]: which sessions to look at when, because they may be forgotten by then.
//!
//! A session is on it once, however often its end moves: whoever looks at it finds that it lives longer, and puts it
//! down again. So a rotation costs nothing here. It is put down by its key's hash alone, eight bytes: whoever shares
//! the hash is looked at too, and judged by his own end.

use std::{
    collections::BTreeMap,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use crate::clock::Timestamp;

/// Everybody is looked at this often: one who has logged out is on the agenda until then.
const AT_LATEST: Duration = Duration::from_hours(1);

/// Hashes of keys, by the second at which to look.
pub(super) struct Agenda {
    by_second: Mutex<BTreeMap<u64, Vec<u64>>>,
    /// Not before this second is there anything to look at. Lowered under the lock.
    earliest: AtomicU64,
}

impl Agenda {
    pub(super) fn new() -> Self {
        Self { by_second: Mutex::default(), earliest: AtomicU64::new(u64::MAX) }
    }

    /// Puts a session down that may be forgotten at `at`.
    pub(super) fn add(&self, hash: u64, at: Timestamp, now: Timestamp) {
        let second = at.min(now.plus(AT_LATEST)).as_millis().div_ceil(1000);
        let mut by_second = self.lock();
        by_second.entry(second).or_default().push(hash);
        self.earliest.fetch_min(second, Ordering::Relaxed);
    }

    /// Takes up to `most` sessions off that are to be looked at by now.
    pub(super) fn take_due(&self, now: Timestamp, most: usize) -> Vec<u64> {
        let now = now.as_millis() / 1000;
        if now < self.earliest.load(Ordering::Relaxed) {
            return Vec::new();
        }
        let mut by_second = self.lock();
        let mut due = Vec::new();
        while due.len() < most
            && let Some(mut second) = by_second.first_entry().filter(|second| *second.key() <= now)
        {
            let hashes = second.get_mut();
            due.extend(hashes.drain(hashes.len().saturating_sub(most - due.len())..));
            if hashes.is_empty() {
                second.remove();
            }
        }
        self.earliest.store(by_second.first_key_value().map_or(u64::MAX, |(second, _)| *second), Ordering::Relaxed);
        due
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u64, Vec<u64>>> {
        // Whatever panics, what is put down stays put down.
        self.by_second.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_000);

    fn after(seconds: u64) -> Timestamp {
        NOW.plus(Duration::from_secs(seconds))
    }

    #[test]
    fn nobody_is_looked_at_before_his_time_and_everybody_once() {
        let agenda = Agenda::new();
        agenda.add(1, after(5), NOW);
        agenda.add(2, after(5).plus(Duration::from_millis(1)), NOW);
        agenda.add(3, after(1), NOW);
        assert!(agenda.take_due(NOW, 10).is_empty());
        assert_eq!(agenda.take_due(after(5), 10), [3, 1]);
        assert!(agenda.take_due(after(5), 10).is_empty());
        assert_eq!(agenda.take_due(after(6), 10), [2]);
    }

    #[test]
    fn a_long_life_is_looked_at_within_the_hour() {
        let agenda = Agenda::new();
        agenda.add(1, after(86_400), NOW);
        assert!(agenda.take_due(after(3_599), 10).is_empty());
        assert_eq!(agenda.take_due(after(3_600), 10), [1]);
    }

    #[test]
    fn many_are_taken_in_turns() {
        let agenda = Agenda::new();
        for hash in 0..10 {
            agenda.add(hash, after(hash / 4), NOW);
        }
        let mut taken = Vec::new();
        for most in [3, 0, 3, 3, 3] {
            let due = agenda.take_due(after(9), most);
            assert!(due.len() <= most, "{due:?}");
            taken.extend(due);
        }
        taken.sort_unstable();
        assert_eq!(taken, (0..10).collect::<Vec<_>>());
    }
}
