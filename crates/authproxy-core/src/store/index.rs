//! [`Index`]: where every request finds its session, in memory or in the near-cache.
//!
//! A lookup among a million sessions costs what it must fetch from memory, so it touches two places and no more: one
//! bucket, a cache line of six slots, and the session, which names its own key and holds its token. Measured against moka
//! and a general lock-free map by `cargo bench -p authproxy-core --bench index`.
//!
//! The buckets grow by linear hashing (Litwin, 1980): one bucket is split for every few sessions that come, so there is
//! never a pause in which everything moves, and a store of ten sessions stays small. Buckets never move and are never
//! given back. Readers take no lock and write nothing that another core reads; writers exclude each other.

mod bucket;

use std::{
    array::from_fn,
    hint::black_box,
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use arc_swap::RefCnt;
use once_cell::race::OnceBox;
use zerocopy::IntoBytes;

use self::bucket::Bucket;
use crate::session::{SessionBlock, SessionKey};

/// What an index holds, a pointer that is counted: it names what it is found by.
pub(super) trait Indexed: RefCnt {
    type Key: Eq;

    fn key(&self) -> &Self::Key;

    /// Evenly spread bits of a key, eight bytes of a SHA-256.
    fn spread(key: &Self::Key) -> u64;

    /// How many places in memory its readers go to, one after the other.
    const PLACES: usize;

    /// Something of all that is read in the first of them, the second, and so on.
    fn glance(&self, place: usize) -> u64;
}

impl Indexed for SessionBlock {
    type Key = SessionKey;

    fn key(&self) -> &SessionKey {
        &self.header.header.key
    }

    fn spread(key: &SessionKey) -> u64 {
        key.spread()
    }

    const PLACES: usize = 1;

    fn glance(&self, _: usize) -> u64 {
        let facts = &self.header.header;
        facts.key.spread() ^ facts.ends_at.as_millis() ^ facts.version.0 ^ glance(self.slice.as_bytes())
    }
}

/// Sessions a bucket on average: of six slots, so that few buckets overflow.
const LOAD: usize = 3;
/// Buckets that are made at once: 32 KiB.
const SEGMENT: usize = 512;
/// Beyond a hundred million sessions buckets overflow rather than multiply.
const MOST_SEGMENTS: usize = 1 << 16;

/// With fewer buckets than this all that is read is in a cache, or soon is.
const MANY: usize = 1_024;
/// How many lookups are prepared together: as many as arc-swap serves a thread without a detour.
const AT_ONCE: usize = 8;

type Segment<T> = [Bucket<T>; SEGMENT];

pub(super) struct Index<T: Indexed> {
    segments: Box<[OnceBox<Segment<T>>]>,
    /// How many buckets are in use. Read before and after a search: a bucket that is split meanwhile changes it.
    buckets: AtomicUsize,
    /// How many sessions there are; held by whoever writes.
    len: Mutex<usize>,
}

impl<T: Indexed> Index<T> {
    /// An index that grows until it holds `capacity` sessions well.
    pub(super) fn new(capacity: usize) -> Self {
        let segments = capacity.div_ceil(LOAD * SEGMENT).clamp(1, MOST_SEGMENTS);
        let segments = (0..segments).map(|_| OnceBox::new()).collect();
        let index = Self { segments, buckets: AtomicUsize::new(1), len: Mutex::new(0) };
        index.bucket(0); // makes the first segment: later ones are made by splits, none by a reader
        index
    }

    /// The session with this key.
    pub(super) fn get(&self, key: &T::Key) -> Option<T> {
        self.read(key, T::clone)
    }

    /// What `read` makes of the session with this key, without a count of those who hold it.
    pub(super) fn read<R>(&self, key: &T::Key, read: impl Fn(&T) -> R) -> Option<R> {
        loop {
            let buckets = self.buckets.load(Ordering::Acquire);
            let found = self.bucket(number(T::spread(key), buckets)).read(key, &read);
            // A split publishes its bucket, then empties the old one: who misses a session there sees the new number.
            if found.is_some() || self.buckets.load(Ordering::Acquire) == buckets {
                return found;
            }
        }
    }

    /// Whether [`expect`](Self::expect) pays.
    pub(super) fn is_crowded(&self) -> bool {
        self.buckets.load(Ordering::Relaxed) >= MANY
    }

    /// Fetches what lookups of these keys will read.
    ///
    /// Each place in memory costs a walk through the page tables, hundreds of nanoseconds among a million sessions. A
    /// processor does several such walks at a time, but only of reads that stand close together.
    pub(super) fn expect(&self, keys: &[T::Key]) {
        let buckets = self.buckets.load(Ordering::Acquire);
        let bucket = |key| self.bucket(number(T::spread(key), buckets));
        fetch(keys.iter().map(|key| bucket(key).glance()));
        for keys in keys.chunks(AT_ONCE) {
            let found: [_; AT_ONCE] = from_fn(|at| keys.get(at).and_then(|key| bucket(key).guess(key)));
            for place in 0..T::PLACES {
                fetch(found.iter().flatten().filter_map(|found| found.as_ref()).map(|session| session.glance(place)));
            }
        }
    }

    /// Puts a session under its own key, in the place of an earlier version.
    pub(super) fn insert(&self, session: T) {
        let mut len = self.write();
        let replaced = self.put(&mut len, session);
        drop(len); // before the session, whose drop wipes its token
        drop(replaced);
    }

    fn put(&self, len: &mut usize, session: T) -> Option<T> {
        let buckets = self.buckets.load(Ordering::Relaxed);
        let replaced = self.bucket(number(T::spread(session.key()), buckets)).insert(session);
        if replaced.is_none() {
            *len += 1;
            if *len > buckets * LOAD && buckets < self.segments.len() * SEGMENT {
                self.split(buckets);
            }
        }
        replaced
    }

    /// Takes out the session with this key: when this returns no lookup finds it.
    pub(super) fn remove(&self, key: &T::Key) -> Option<T> {
        let mut len = self.write();
        let removed = self.bucket(number(T::spread(key), self.buckets.load(Ordering::Relaxed))).remove(key);
        *len -= usize::from(removed.is_some());
        removed
    }

    /// Takes out this very session, unless another has taken its place. Whether it did.
    #[cfg(feature = "redis")]
    pub(super) fn remove_this(&self, session: &T) -> bool {
        let mut len = self.write();
        let key = session.key();
        let is_there = self.read(key, |kept| T::as_ptr(kept) == T::as_ptr(session)) == Some(true);
        if is_there {
            self.bucket(number(T::spread(key), self.buckets.load(Ordering::Relaxed))).remove(key);
            *len -= 1;
        }
        is_there
    }

    /// Puts a session under its own key, unless there is one already.
    pub(super) fn insert_new(&self, session: T) -> bool {
        let mut len = self.write();
        let is_new = self.get(session.key()).is_none();
        if is_new {
            self.put(&mut len, session);
        }
        is_new
    }

    /// Every session whose key hashes to this: one, and hardly ever more.
    pub(super) fn hashed(&self, hash: u64) -> Vec<T> {
        let _len = self.write(); // nothing moves meanwhile
        let bucket = self.bucket(number(hash, self.buckets.load(Ordering::Relaxed)));
        bucket.sessions().filter(|session| T::spread(session.key()) == hash).collect()
    }

    /// Adds bucket `new` and moves to it what belongs there, all from one bucket.
    fn split(&self, new: usize) {
        let old = self.bucket(new - (1 << new.ilog2()));
        let moving: Vec<_> =
            old.sessions().filter(|session| number(T::spread(session.key()), new + 1) == new).collect();
        for session in &moving {
            self.bucket(new).insert(session.clone());
        }
        self.buckets.store(new + 1, Ordering::Release);
        for session in moving {
            old.remove(session.key());
        }
    }

    fn bucket(&self, number: usize) -> &Bucket<T> {
        let segment = self.segments[number / SEGMENT].get_or_init(|| {
            let buckets: Box<[Bucket<T>]> = (0..SEGMENT).map(|_| Bucket::default()).collect();
            buckets.try_into().unwrap_or_else(|_| unreachable!("as long as a segment"))
        });
        &segment[number % SEGMENT]
    }

    fn write(&self) -> MutexGuard<'_, usize> {
        // Nothing under the lock panics but a failed allocation, which ends the process.
        self.len.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Something of a text from here and there: what lies next to what is read, a processor fetches by itself.
fn glance(text: &[u8]) -> u64 {
    const STEP: usize = 256;
    text.iter().step_by(STEP).fold(0, |seen, byte| seen ^ u64::from(*byte))
}

/// Reads all of this, with nothing in between that a processor would wait at.
fn fetch(read: impl Iterator<Item = u64>) {
    black_box(read.fold(0, |seen, read| seen ^ read));
}

/// The bucket of a key's hash among `buckets`: as many of its low bits as name one that is there already.
fn number(hash: u64, buckets: usize) -> usize {
    #[allow(clippy::cast_possible_truncation)] // its low bits are asked for
    let hash = hash as usize;
    let mask = buckets.next_power_of_two() - 1;
    let number = hash & mask;
    if number < buckets { number } else { number & (mask >> 1) }
}

#[cfg(test)]
mod tests;
