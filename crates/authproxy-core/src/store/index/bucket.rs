//! [`Bucket`]: six slots in a cache line, and a further bucket for what does not fit.

use std::{
    array,
    iter::{from_fn, successors},
    sync::atomic::{AtomicU64, Ordering},
};

use arc_swap::{ArcSwapAny, Guard};
use once_cell::race::OnceBox;

use super::Indexed;
#[cfg(target_pointer_width = "64")]
use crate::session::SessionBlock;

const SLOTS: usize = 6;

type Slot<T> = ArcSwapAny<Option<T>>;

/// Sessions whose keys begin alike. Methods that take a lock's holder for granted say so.
///
/// A tag only says where to look: what a reader returns is what names the key that it asked for, so it may read tags
/// and slots while they change.
#[repr(align(64))]
pub(super) struct Bucket<T: Indexed> {
    /// A byte of each slot's key, never zero; zero where the slot is free.
    tags: AtomicU64,
    slots: [Slot<T>; SLOTS],
    next: OnceBox<Self>,
}

#[cfg(target_pointer_width = "64")]
const _: () = assert!(size_of::<Bucket<SessionBlock>>() == 64, "a bucket is one cache line");

impl<T: Indexed> Default for Bucket<T> {
    fn default() -> Self {
        let slots = array::from_fn(|_| Slot::new(None));
        Self { tags: AtomicU64::default(), slots, next: OnceBox::default() }
    }
}

impl<T: Indexed> Bucket<T> {
    pub(super) fn read<R>(&self, key: &T::Key, read: impl Fn(&T) -> R) -> Option<R> {
        self.chain().find_map(|bucket| {
            bucket.tagged(key).find_map(|slot| {
                let session = slot.load();
                // Only a session that is asked for has its count written to, if any.
                is_of(key, session.as_ref()).then(|| session.as_ref().map(&read))?
            })
        })
    }

    /// What [`read`](Self::read) reads first, for [`Index::expect`](super::Index::expect).
    pub(super) fn glance(&self) -> u64 {
        self.tags.load(Ordering::Relaxed)
    }

    /// What stands where this key's session would: nearly always it is that one.
    pub(super) fn guess(&self, key: &T::Key) -> Option<Guard<Option<T>>> {
        self.tagged(key).next().map(Slot::load)
    }

    /// Puts a session in the place of its earlier version, which is returned, or into a free slot. Under the lock.
    pub(super) fn insert(&self, session: T) -> Option<T> {
        if let Some((bucket, place)) = self.place_of(session.key()) {
            return bucket.slots[place].swap(Some(session));
        }
        let (bucket, place) = self.free_place();
        let tag = tag::<T>(session.key());
        bucket.slots[place].store(Some(session));
        bucket.tag(place, tag); // after the slot, so that a reader who sees the tag sees the session
        None
    }

    /// Empties the slot of this key. Under the lock.
    pub(super) fn remove(&self, key: &T::Key) -> Option<T> {
        let (bucket, place) = self.place_of(key)?;
        bucket.tag(place, 0);
        bucket.slots[place].swap(None)
    }

    pub(super) fn sessions(&self) -> impl Iterator<Item = T> {
        self.chain().flat_map(|bucket| bucket.slots.iter().filter_map(Slot::load_full))
    }

    fn place_of(&self, key: &T::Key) -> Option<(&Self, usize)> {
        self.chain().find_map(|bucket| {
            let place = bucket.slots.iter().position(|slot| is_of(key, slot.load().as_ref()))?;
            Some((bucket, place))
        })
    }

    fn free_place(&self) -> (&Self, usize) {
        let free = |bucket: &Self| bucket.slots.iter().position(|slot| slot.load().is_none());
        let mut bucket = self;
        loop {
            match free(bucket) {
                Some(place) => return (bucket, place),
                None => bucket = bucket.next.get_or_init(Box::default),
            }
        }
    }

    fn chain(&self) -> impl Iterator<Item = &Self> {
        successors(Some(self), |bucket| bucket.next.get())
    }

    /// The slots whose tag is that of this key. All are compared at once: a byte that is equal becomes zero, and its
    /// highest bit is then the only one that is left of it.
    fn tagged(&self, key: &T::Key) -> impl Iterator<Item = &Slot<T>> {
        const LOW: u64 = u64::from_ne_bytes([0x7F; 8]);
        let differing = self.tags.load(Ordering::Acquire) ^ u64::from_ne_bytes([tag::<T>(key); 8]);
        let mut equal = !(((differing & LOW) + LOW) | differing | LOW);
        from_fn(move || {
            let place = equal.trailing_zeros() / 8;
            equal &= equal.wrapping_sub(1);
            self.slots.get(place as usize)
        })
    }

    fn tag(&self, place: usize, tag: u8) {
        let mut tags = self.tags.load(Ordering::Relaxed).to_le_bytes();
        tags[place] = tag;
        self.tags.store(u64::from_le_bytes(tags), Ordering::Release);
    }
}

/// Bits of a key that its bucket's number does not depend on.
fn tag<T: Indexed>(key: &T::Key) -> u8 {
    T::spread(key).to_le_bytes()[7] | 1
}

fn is_of<T: Indexed>(key: &T::Key, session: Option<&T>) -> bool {
    session.is_some_and(|session| session.key() == key)
}
