//! Whether a connection of HTTP/1 waits for its peer, or its peer for an answer.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use futures_util::task::AtomicWaker;

use super::{Interim, interim::Waiting};

/// Whether a request is being answered; then the peer owes nothing.
#[derive(Clone, Debug, Default)]
pub(crate) struct Busy(pub(super) Arc<Answering>);

#[derive(Debug)]
pub(super) struct Answering {
    is_busy: AtomicBool,
    /// Whether everything that was written is out.
    pub(super) is_flushed: AtomicBool,
    /// Who wanted to read the next request before the last one's answer was out.
    pub(super) deferred: AtomicWaker,
    pub(super) interim: Waiting,
}

impl Default for Answering {
    fn default() -> Self {
        Self {
            is_busy: AtomicBool::new(false),
            is_flushed: AtomicBool::new(true),
            deferred: AtomicWaker::new(),
            interim: Waiting::default(),
        }
    }
}

/// Keeps a connection busy until it is dropped.
#[derive(Debug)]
pub(crate) struct BusyGuard(Busy);

impl Busy {
    /// Marks the beginning of a request's handling.
    pub(crate) fn begin(&self) -> BusyGuard {
        self.0.interim.clear();
        self.0.is_busy.store(true, Ordering::Relaxed);
        BusyGuard(self.clone())
    }

    /// What sends answers before the answer.
    pub(crate) fn interim(&self) -> Interim {
        Interim(self.clone())
    }

    pub(super) fn is_busy(&self) -> bool {
        self.0.is_busy.load(Ordering::Acquire)
    }

    pub(super) fn is_flushed(&self) -> bool {
        self.0.is_flushed.load(Ordering::Acquire)
    }
}

impl Drop for BusyGuard {
    fn drop(&mut self) {
        let Busy(answering) = &self.0;
        answering.is_busy.store(false, Ordering::Release);
        if answering.is_flushed.load(Ordering::Acquire) {
            answering.deferred.wake();
        }
    }
}
