//! Deadlines without a timer for each: one is kept, and moved when it rings.
//!
//! Nearly every deadline is later than the one before, and hardly any is reached: a timer that rings too early now and
//! then costs less than one that is set and taken back for every request.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::time::{Instant, Sleep, sleep_until};

use crate::seldom::Seldom;

/// A timer on the heap, for whoever waits now.
pub(crate) type Timer = Pin<Box<Sleep>>;

/// A timer, however it is asked.
pub(crate) trait Alarm: Future<Output = ()> + Unpin {
    /// When it rings.
    fn rings_at(&self) -> Instant;

    /// Has it ring at another time.
    fn set(&mut self, time: Instant);
}

impl Alarm for Timer {
    fn rings_at(&self) -> Instant {
        self.deadline()
    }

    fn set(&mut self, time: Instant) {
        self.as_mut().reset(time);
    }
}

/// For one task alone, which asks often.
impl Alarm for Seldom<Box<Sleep>> {
    fn rings_at(&self) -> Instant {
        self.get_ref().deadline()
    }

    fn set(&mut self, time: Instant) {
        self.get_mut().as_mut().reset(time);
    }
}

/// A timer that is to be set before it rings for anything.
pub(crate) fn unset() -> Timer {
    Box::pin(sleep_until(Instant::now()))
}

/// Resolves at a deadline.
pub(crate) fn poll_deadline(alarm: &mut impl Alarm, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
    if alarm.rings_at() > deadline {
        alarm.set(deadline);
    }
    ready!(Pin::new(&mut *alarm).poll(cx));
    while Instant::now() < deadline {
        alarm.set(deadline);
        ready!(Pin::new(&mut *alarm).poll(cx));
    }
    Poll::Ready(())
}
