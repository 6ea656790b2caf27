//! Deadlines without a timer for each: one is kept, and moved when it rings.
//!
//! Nearly every deadline is later than the one before, and hardly any is reached: a timer that rings too early now and
//! then costs less than one that is set and taken back for every request.

use std::{
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

use tokio::{
    task::unconstrained,
    time::{Instant, Sleep, sleep_until},
};

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

/// A timer that rings at this time.
pub(crate) fn ringing_at(time: Instant) -> Timer {
    Box::pin(sleep_until(time))
}

/// Resolves at a deadline. Also when the task has used up its turn: what keeps a task busy must not keep it from looking
/// at the time.
pub(crate) fn poll_deadline(alarm: &mut impl Alarm, deadline: Instant, cx: &mut Context<'_>) -> Poll<()> {
    if alarm.rings_at() > deadline {
        alarm.set(deadline);
    }
    ready!(pin!(unconstrained(&mut *alarm)).poll(cx));
    while Instant::now() < deadline {
        alarm.set(deadline);
        ready!(pin!(unconstrained(&mut *alarm)).poll(cx));
    }
    Poll::Ready(())
}

#[cfg(test)]
mod tests {
    use std::{future::poll_fn, time::Duration};

    use tokio::{task::coop::consume_budget, time::advance};

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// Whether a deadline has come when it is asked again and again from now on, and not before.
    async fn rings_at(alarm: &mut impl Alarm, deadline: Instant) {
        poll_fn(|cx| poll_deadline(alarm, deadline, cx)).await;
        assert_eq!(Instant::now(), deadline);
    }

    #[tokio::test(start_paused = true)]
    async fn one_timer_rings_for_one_deadline_after_the_other() {
        let began = Instant::now();
        let mut timer = ringing_at(began);
        let mut seldom = Seldom::new(ringing_at(began));
        for seconds in [2, 4, 8] {
            rings_at(&mut timer, began + seconds * SECOND).await;
            rings_at(&mut seldom, began + (seconds + 1) * SECOND).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_earlier_deadline_than_the_one_before_is_kept_too() {
        let began = Instant::now();
        let mut timer = ringing_at(began);
        let left_early = tokio::time::timeout(SECOND, rings_at(&mut timer, began + 60 * SECOND)).await;
        assert!(left_early.is_err(), "it was not waited for to the end");
        rings_at(&mut timer, began + 2 * SECOND).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_task_whose_turn_is_over_hears_it() {
        let deadline = Instant::now() + SECOND;
        let mut timer = ringing_at(deadline);
        advance(SECOND).await;
        let has_rung = poll_fn(|cx| {
            // As one who reads from a peer that never stops.
            while pin!(consume_budget()).poll(cx).is_ready() {}
            Poll::Ready(poll_deadline(&mut timer, deadline, cx).is_ready())
        });
        assert!(has_rung.await);
    }
}
