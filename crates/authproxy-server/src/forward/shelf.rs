//! [`Shelves`]: where an upstream's connections rest, a shelf for each worker.
//!
//! A connection's events come to the worker that made it. Used by requests of the same worker, it wakes nobody else's
//! thread.

use std::{
    num::NonZeroUsize,
    sync::{Mutex, MutexGuard, PoisonError},
    thread,
    time::Duration,
};

use hyper::client::conn::http2;
use tokio::time::Instant;

use super::{http1::Wire, upload::Upload};
use crate::workers;

/// How long a connection may rest. Below what upstreams commonly allow, so that few close at the moment of reuse.
const LONGEST_REST: Duration = Duration::from_secs(4);

/// One upstream's connections that carry no request, or any number of them.
pub(super) struct Shelves(Box<[Shelf]>);

/// The connections of one worker, in cache lines of their own.
#[derive(Default)]
#[repr(align(128))]
pub(super) struct Shelf {
    /// The last used on top.
    resting: Mutex<Vec<(Instant, Wire)>>,
    shared: Mutex<Option<http2::SendRequest<Upload>>>,
}

impl Shelves {
    pub(super) fn one_per_core() -> Self {
        let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        Self((0..cores).map(|_| Shelf::default()).collect())
    }

    /// The shelf of the worker that asks, and its number.
    pub(super) fn here(&self) -> (usize, &Shelf) {
        let here = workers::here() % self.0.len();
        (here, &self.0[here])
    }

    /// Puts a connection on a shelf, and closes those at its bottom that have rested too long: as long as there are others
    /// above, nobody takes them.
    pub(super) fn put(&self, number: usize, wire: Wire) {
        let mut resting = lock(&self.0[number].resting);
        let now = Instant::now();
        let is_old = |(since, _): &(Instant, Wire)| now.saturating_duration_since(*since) >= LONGEST_REST;
        if resting.first().is_some_and(is_old) {
            let old = resting.partition_point(is_old);
            resting.drain(..old);
        }
        resting.push((now, wire));
    }

    /// How many connections rest.
    pub(super) fn resting(&self) -> usize {
        self.0.iter().map(|shelf| lock(&shelf.resting).len()).sum()
    }

    /// A connection from any shelf, and which one that was.
    pub(super) fn take_anywhere(&self) -> Option<(usize, Wire)> {
        self.0.iter().enumerate().find_map(|(number, shelf)| Some((number, shelf.take()?)))
    }
}

impl Shelf {
    /// The connection that rested last. Its upstream may have closed it; whoever sends finds out.
    pub(super) fn take(&self) -> Option<Wire> {
        let mut resting = lock(&self.resting);
        if resting.last()?.0.elapsed() >= LONGEST_REST {
            resting.clear(); // those below have rested even longer
        }
        resting.pop().map(|(_, wire)| wire)
    }

    /// The connection that all share, where the upstream speaks HTTP/2.
    pub(super) fn shared(&self) -> Option<http2::SendRequest<Upload>> {
        let mut shared = lock(&self.shared);
        shared.take_if(|sender| sender.is_closed());
        shared.clone()
    }

    /// Shares a connection.
    pub(super) fn share(&self, sender: http2::SendRequest<Upload>) {
        *lock(&self.shared) = Some(sender);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing under these locks can be left half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tokio::{net::UnixStream, time::advance};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_has_rested_too_long_goes_also_where_others_are_used() {
        let shelves = Shelves::one_per_core();
        let wire = || Wire::new(UnixStream::pair().unwrap().0);
        shelves.put(0, wire());
        shelves.put(0, wire());
        advance(LONGEST_REST).await;
        shelves.put(0, wire());
        assert_eq!(shelves.resting(), 1);
        assert!(shelves.take_anywhere().is_some());
    }
}
