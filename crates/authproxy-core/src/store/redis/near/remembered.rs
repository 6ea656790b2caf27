//! [`Remembered`]: the entries of a near-cache. What is read is an index; how long an entry stays in it moka decides.
//!
//! moka keeps an order of use at every read. What is in use is confirmed every `near_ttl`, and that is when moka is told.
//! The invariant: *what is in the index is in moka too, or moka has not come to putting it in or taking it out.* So an
//! entry goes into the index first, and leaves it when moka says that it lets go of that very entry.

use std::{sync::Arc, time::Duration};

use moka::policy::EvictionPolicy;

use super::{super::key_hasher::KeyHasher, Name, entry::Entry};
use crate::{
    session::SessionBlock,
    store::index::{Index, Indexed},
};

/// What an entry takes beside its token, about.
const ENTRY_BYTES: u32 = 704;

pub(super) struct Remembered {
    index: Arc<Index<Arc<Entry>>>,
    order: moka::sync::Cache<Name, Arc<Entry>, KeyHasher>,
}

impl Remembered {
    /// At most so many bytes, about, of what was asked for within `idle`. What was not for longest is forgotten first.
    pub(super) fn new(bytes: u64, idle: Duration) -> Self {
        let entries = usize::try_from(bytes / u64::from(ENTRY_BYTES)).unwrap_or(usize::MAX);
        let index = Arc::new(Index::new(entries));
        let forgotten = index.clone();
        let order = moka::sync::Cache::builder()
            .eviction_policy(EvictionPolicy::lru())
            .max_capacity(bytes)
            .weigher(|_, entry: &Arc<Entry>| weight(entry))
            .time_to_idle(idle)
            .eviction_listener(move |_, entry, _| _ = forgotten.remove_this(&entry))
            .build_with_hasher(KeyHasher);
        Self { index, order }
    }

    /// What `read` makes of an entry. The hot path: without a lock, and nothing is written that another core reads.
    pub(super) fn read<R>(&self, name: &Name, read: impl Fn(&Entry) -> R) -> Option<R> {
        self.index.read(name, |entry| read(entry))
    }

    /// Whether [`expect`](Self::expect) pays.
    pub(super) fn is_crowded(&self) -> bool {
        self.index.is_crowded()
    }

    /// Fetches what [`read`](Self::read) will read of these.
    pub(super) fn expect(&self, names: &[Name]) {
        self.index.expect(names);
    }

    pub(super) fn get(&self, name: &Name) -> Option<Arc<Entry>> {
        self.index.get(name)
    }

    /// Puts an entry in the place of an earlier one. Under its partition's lock.
    pub(super) fn insert(&self, entry: Entry) {
        let (name, entry) = (entry.name, Arc::new(entry));
        self.index.insert(entry.clone());
        self.order.insert(name, entry);
    }

    /// An entry is in use.
    pub(super) fn used(&self, name: &Name) {
        self.order.get(name);
    }

    /// Forgets an entry at once. Under its partition's lock.
    pub(super) fn forget(&self, name: &Name) {
        self.index.remove(name);
        self.order.invalidate(name);
    }

    /// Frees what is not to be remembered any more.
    pub(super) fn maintain(&self) {
        self.order.run_pending_tasks();
    }

    /// Whether index and moka agree on an entry, once moka has nothing left to do.
    #[cfg(test)]
    pub(super) fn agree_on(&self, name: &Name) -> bool {
        self.maintain();
        let (indexed, ordered) = (self.index.get(name), self.order.get(name));
        indexed.as_ref().map(Arc::as_ptr) == ordered.as_ref().map(Arc::as_ptr)
    }
}

impl Indexed for Arc<Entry> {
    type Key = Name;

    fn key(&self) -> &Name {
        &self.name
    }

    fn spread(key: &Name) -> u64 {
        key.spread()
    }

    const PLACES: usize = 1 + SessionBlock::PLACES;

    fn glance(&self, place: usize) -> u64 {
        match place.checked_sub(1) {
            None => self.name.spread() ^ self.confirmed_at().as_millis(),
            Some(place) => self.session.0.glance(place),
        }
    }
}

fn weight(entry: &Entry) -> u32 {
    let bytes = entry.session.expose_authorization().len() + entry.session.user.len();
    u32::try_from(bytes).unwrap_or(u32::MAX).saturating_add(ENTRY_BYTES)
}
