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
use crate::{alarm::Timer, workers};

/// How long a connection may rest. Below what upstreams commonly allow, so that few close at the moment of reuse.
const LONGEST_REST: Duration = Duration::from_secs(4);

/// One upstream's connections that carry no request, or any number of them.
pub(super) struct Shelves(Box<[Shelf]>);

/// The connections of one worker, in cache lines of their own.
#[derive(Default)]
#[repr(align(128))]
pub(super) struct Shelf(Mutex<Lines>);

#[derive(Default)]
struct Lines {
    /// Since when, the last used on top.
    resting: Vec<(Instant, Resting)>,
    shared: Option<http2::SendRequest<Upload>>,
}

/// A connection at rest, and the timer that its requests have waited with. While it rests too, it may wake the last one's
/// task once, for nothing.
pub(super) struct Resting {
    pub(super) wire: Wire,
    pub(super) timer: Option<Timer>,
}

/// What a shelf has to offer.
pub(super) enum AtHand {
    /// The connection that all share, where the upstream speaks HTTP/2.
    Shared(http2::SendRequest<Upload>),
    Resting(Resting),
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
    pub(super) fn put(&self, number: usize, line: Resting) {
        let now = Instant::now();
        let mut lines = self.0[number].lock();
        drop(lines.take_old(now));
        lines.resting.push((now, line));
    }

    /// Closes all connections that have rested too long: on a shelf where nobody comes by, nothing else does.
    pub(super) fn sweep(&self) {
        let now = Instant::now();
        for shelf in &self.0 {
            let old = shelf.lock().take_old(now);
            drop(old); // without the lock
        }
    }

    /// How many connections rest.
    pub(super) fn resting(&self) -> usize {
        self.0.iter().map(|shelf| shelf.lock().resting.len()).sum()
    }

    /// A connection from any shelf, and which one that was.
    pub(super) fn take_anywhere(&self) -> Option<(usize, Wire)> {
        // Without its timer, which belongs to another worker's runtime.
        self.0.iter().enumerate().find_map(|(number, shelf)| Some((number, shelf.lock().take()?.wire)))
    }
}

impl Shelf {
    /// The shared connection, or the one that rested last. Its upstream may have closed it; whoever sends finds out.
    pub(super) fn at_hand(&self) -> Option<AtHand> {
        let mut lines = self.lock();
        lines.shared.take_if(|sender| sender.is_closed());
        match &lines.shared {
            Some(sender) => Some(AtHand::Shared(sender.clone())),
            None => lines.take().map(AtHand::Resting),
        }
    }

    /// Shares a connection.
    pub(super) fn share(&self, sender: http2::SendRequest<Upload>) {
        self.lock().shared = Some(sender);
    }

    fn lock(&self) -> MutexGuard<'_, Lines> {
        // Nothing under this lock can be left half done.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lines {
    /// Those at the bottom that have rested too long.
    fn take_old(&mut self, now: Instant) -> Vec<(Instant, Resting)> {
        let is_old = |(since, _): &(Instant, Resting)| now.saturating_duration_since(*since) >= LONGEST_REST;
        if !self.resting.first().is_some_and(is_old) {
            return Vec::new();
        }
        let old = self.resting.partition_point(is_old);
        self.resting.drain(..old).collect()
    }

    fn take(&mut self) -> Option<Resting> {
        if self.resting.last()?.0.elapsed() >= LONGEST_REST {
            self.resting.clear(); // those below have rested even longer
        }
        self.resting.pop().map(|(_, line)| line)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tokio::{net::UnixStream, time::advance};

    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_has_rested_too_long_goes_also_where_others_are_used() {
        let shelves = Shelves::one_per_core();
        let line = || Resting { wire: Wire::new(UnixStream::pair().unwrap().0), timer: None };
        shelves.put(0, line());
        shelves.put(0, line());
        advance(LONGEST_REST).await;
        shelves.put(0, line());
        assert_eq!(shelves.resting(), 1);
        assert!(shelves.take_anywhere().is_some());
    }

    #[tokio::test(start_paused = true)]
    async fn what_has_rested_too_long_goes_where_nothing_is_used() {
        let shelves = Shelves::one_per_core();
        let line = || Resting { wire: Wire::new(UnixStream::pair().unwrap().0), timer: None };
        shelves.put(0, line());
        advance(LONGEST_REST / 2).await;
        shelves.put(0, line());
        advance(LONGEST_REST / 2).await;
        shelves.sweep();
        assert_eq!(shelves.resting(), 1);
        advance(LONGEST_REST / 2).await;
        shelves.sweep();
        assert_eq!(shelves.resting(), 0);
    }
}
