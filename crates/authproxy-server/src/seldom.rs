//! Waiting for what comes seldom beside what is busy.

use std::{
    future::Future,
    ops::DerefMut,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, Wake, Waker},
};

/// A future that is asked when it was woken itself, and not at every turn of the task that it is part of. A token asked
/// for its cancellation takes two locks that all workers share.
pub(crate) struct Seldom<P> {
    future: Pin<P>,
    bell: Option<Arc<Bell>>,
}

/// What the future wakes.
struct Bell {
    has_rung: AtomicBool,
    task: Waker,
}

impl Wake for Bell {
    fn wake(self: Arc<Self>) {
        self.wake_by_ref();
    }

    fn wake_by_ref(self: &Arc<Self>) {
        self.has_rung.store(true, Ordering::Release);
        self.task.wake_by_ref();
    }
}

impl<P> Seldom<P> {
    /// Asked for the first time when it is polled for the first time.
    pub(crate) fn new(future: Pin<P>) -> Self {
        Self { future, bell: None }
    }

    /// The future, to look at.
    pub(crate) fn get_ref(&self) -> &Pin<P> {
        &self.future
    }

    /// The future, to change: it is asked again at the next poll.
    pub(crate) fn get_mut(&mut self) -> &mut Pin<P> {
        self.bell = None;
        &mut self.future
    }
}

impl<P> Future for Seldom<P>
where
    P: DerefMut<Target: Future> + Unpin,
{
    type Output = <P::Target as Future>::Output;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let bell = match &mut this.bell {
            Some(bell) if bell.task.will_wake(cx.waker()) => {
                if !bell.has_rung.load(Ordering::Acquire) {
                    return Poll::Pending;
                }
                bell.has_rung.store(false, Ordering::Release);
                bell
            }
            bell => bell.insert(Arc::new(Bell { has_rung: AtomicBool::new(false), task: cx.waker().clone() })),
        };
        let waker = Waker::from(bell.clone());
        let outcome = this.future.as_mut().poll(&mut Context::from_waker(&waker));
        if outcome.is_ready() {
            this.bell = None; // nobody rings it any more
        }
        outcome
    }
}

#[cfg(test)]
mod tests {
    use std::{cell::Cell, future::poll_fn, pin::pin};

    use futures_util::task::noop_waker_ref;
    use tokio_util::sync::CancellationToken;

    use super::*;

    #[test]
    fn it_is_asked_when_it_was_woken_and_by_whoever_waits_now() {
        let (token, asked) = (CancellationToken::new(), Cell::new(0));
        let mut cancelled = pin!(token.cancelled());
        let counted = pin!(poll_fn(|cx| {
            asked.set(asked.get() + 1);
            cancelled.as_mut().poll(cx)
        }));
        let mut seldom = Seldom::new(counted);
        let task = Arc::new(Bell { has_rung: AtomicBool::new(false), task: noop_waker_ref().clone() });
        let waker = Waker::from(task.clone());
        for (waker, times) in [(noop_waker_ref(), 1), (noop_waker_ref(), 1), (&waker, 2), (&waker, 2)] {
            assert!(Pin::new(&mut seldom).poll(&mut Context::from_waker(waker)).is_pending());
            assert_eq!(asked.get(), times);
        }
        token.cancel();
        assert!(task.has_rung.load(Ordering::Acquire), "whoever waits is woken");
        assert!(Pin::new(&mut seldom).poll(&mut Context::from_waker(&waker)).is_ready());
        assert_eq!(asked.get(), 3);
    }
}
