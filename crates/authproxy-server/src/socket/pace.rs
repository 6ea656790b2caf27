//! How long a peer may hold up what is written to it.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use tokio::time::{Instant, Sleep, sleep_until};

/// Ends writes that a peer holds up: each one that succeeds buys it time.
pub(crate) struct WritePace {
    patience: Duration,
    /// Rings when the peer must have gone on reading. Made when one does not for the first time.
    timer: Option<Pin<Box<Sleep>>>,
    is_held_up: bool,
}

impl WritePace {
    /// For a peer that may stop reading for `patience`.
    pub(crate) fn new(patience: Duration) -> Self {
        Self { patience, timer: None, is_held_up: false }
    }

    /// Passes a write's outcome on, or says that the peer took too long.
    pub(crate) fn pass<T>(&mut self, cx: &mut Context<'_>, outcome: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if outcome.is_ready() {
            self.is_held_up = false;
            return outcome;
        }
        let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(Instant::now())));
        if !std::mem::replace(&mut self.is_held_up, true) {
            timer.as_mut().reset(Instant::now() + self.patience);
        }
        ready!(timer.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}
