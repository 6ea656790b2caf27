//! The end of a manager: no new work, what runs may finish, what is left is reported.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use tokio::time::timeout;

use super::{Inner, TokenManager};

/// What a shutdown had to leave behind. All zero when everything was finished.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ShutdownReport {
    /// Refreshes that were cut off after their refresh token was possibly presented.
    pub in_doubt: usize,
    /// Token sets that the store never took.
    pub unsaved: usize,
    /// Revocations that the auth service was not told of.
    pub unrevoked: usize,
}

#[derive(Default)]
pub(super) struct LeftOver {
    in_doubt: AtomicUsize,
    unsaved: Arc<AtomicUsize>,
    unrevoked: AtomicUsize,
}

/// A token set that the store does not have yet: counted from here until this is dropped.
pub(super) struct Debt(Option<Arc<AtomicUsize>>);

impl Debt {
    /// It will not be paid: the token set counts as left behind.
    pub(super) fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Debt {
    fn drop(&mut self) {
        if let Some(count) = &self.0 {
            count.fetch_sub(1, Ordering::Relaxed);
        }
    }
}

impl LeftOver {
    pub(super) fn unsaved(&self) -> Debt {
        self.unsaved.fetch_add(1, Ordering::Relaxed);
        Debt(Some(self.unsaved.clone()))
    }

    pub(super) fn unrevoked(&self) {
        self.unrevoked.fetch_add(1, Ordering::Relaxed);
    }

    /// What is left behind, and was not reported before or is still owed.
    fn report(&self) -> ShutdownReport {
        let take = |count: &AtomicUsize| count.swap(0, Ordering::Relaxed);
        ShutdownReport {
            in_doubt: take(&self.in_doubt),
            unsaved: self.unsaved.load(Ordering::Relaxed),
            unrevoked: take(&self.unrevoked),
        }
    }
}

/// How long what was cut off gets to write down where it stood.
const LAST_WORDS: Duration = Duration::from_millis(500);

impl TokenManager {
    /// Stops refreshing, lets what is under way finish for at most `within`, and reports what was left behind.
    ///
    /// Fresh tokens are still handed out, so that requests in progress can finish; whoever needs a refresh is told
    /// that the manager is shutting down. A second shutdown has nothing to do.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future leaves the manager closed; call again for the report.
    pub async fn shutdown(&self, within: Duration) -> ShutdownReport {
        let inner = &self.inner;
        inner.closing.cancel();
        inner.tasks.close();
        if timeout(within, inner.tasks.wait()).await.is_err() {
            inner.cut_off.cancel();
            let _ = timeout(LAST_WORDS, inner.tasks.wait()).await;
        }
        inner.left_over.report()
    }
}

impl Inner {
    /// Runs `work` to its end, or `None` when the shutdown's deadline comes first. What is done by then is not thrown
    /// away.
    pub(super) async fn unless_cut_off<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        tokio::select! {
            biased;
            done = work => Some(done),
            () = self.cut_off.cancelled() => None,
        }
    }

    pub(super) fn cut_off_in_doubt(&self) {
        self.left_over.in_doubt.fetch_add(1, Ordering::Relaxed);
    }
}
