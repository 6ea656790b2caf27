//! How long a peer may hold up what is written to it.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

/// Ends writes that a peer holds up: each one that succeeds buys it time.
pub(super) struct WritePace {
    patience: Duration,
    /// Until when the peer must go on reading; `None` while it does.
    until: Option<Instant>,
    timer: Pin<Box<Sleep>>,
}

impl WritePace {
    /// For a peer that may stop reading for `patience`.
    pub(super) fn new(patience: Duration) -> Self {
        Self { patience, until: None, timer: Box::pin(sleep_until(Instant::now())) }
    }

    /// Passes a write's outcome on, or says that the peer took too long.
    pub(super) fn pass<T>(&mut self, cx: &mut Context<'_>, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.until = None;
            return outcome;
        }
        let until = *self.until.get_or_insert_with(|| Instant::now() + self.patience);
        if self.timer.deadline() != until {
            self.timer.as_mut().reset(until);
        }
        ready!(self.timer.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}
