//! The streams of one connection: each in a task of its own, counted, and ended when its peer does not make room.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use hyper::rt::Executor;
use tokio::time::{Instant, sleep_until};
use tokio_util::{
    sync::{CancellationToken, DropGuard},
    task::TaskTracker,
};

tokio::task_local! {
    /// The room of the stream whose task this is. hyper makes the stream's future; this is how its body finds it.
    static ROOM: Room;
}

/// Runs the streams of one connection for hyper.
#[derive(Clone)]
pub(super) struct Streams {
    tasks: TaskTracker,
    ended: CancellationToken,
    last_end: Arc<Mutex<Option<Instant>>>,
    patience: Duration,
}

impl Streams {
    /// No streams yet; their peer may keep each waiting for `patience`.
    pub(super) fn new(patience: Duration) -> Self {
        let (tasks, ended) = (TaskTracker::new(), CancellationToken::new());
        Self { tasks, ended, last_end: Arc::default(), patience }
    }

    /// Ends every stream when it is dropped.
    pub(super) fn end_on_drop(&self) -> DropGuard {
        self.ended.clone().drop_guard()
    }

    /// Resolves when from now on there was no stream for `later`, or for `first` if there has never been one.
    pub(super) async fn none_for(&self, first: Duration, later: Duration) {
        let began = Instant::now();
        loop {
            let now = Instant::now();
            let last_end = *self.last_end.lock().unwrap_or_else(PoisonError::into_inner);
            let until = match last_end {
                _ if !self.tasks.is_empty() => now + later,
                Some(last_end) => last_end.max(began) + later,
                None => began + first,
            };
            if until <= now {
                return;
            }
            sleep_until(until).await;
        }
    }
}

impl<F> Executor<F> for Streams
where
    F: Future<Output: Send> + Send + 'static,
{
    fn execute(&self, stream: F) {
        let Self { ended, last_end, patience, .. } = self.clone();
        let room = Room::default();
        self.tasks.spawn(async move {
            tokio::select! {
                biased;
                _ = ROOM.scope(room.clone(), stream) => {}
                () = ended.cancelled() => {}
                // Dropping the stream resets it.
                () = room.lacks_for(patience) => tracing::debug!("a peer did not take an answer in time"),
            }
            *last_end.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
        });
    }
}

/// Whether a stream's answer waits for its peer to make room (RFC 9113, section 5.2), and since when.
#[derive(Clone, Debug, Default)]
pub(super) struct Room(Arc<Mutex<Option<Instant>>>);

impl Room {
    /// That of the stream whose task this is.
    pub(super) fn of_this_stream() -> Self {
        ROOM.try_with(Clone::clone).unwrap_or_default()
    }

    /// Something was handed over that the peer must make room for.
    pub(super) fn wanted(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now());
    }

    /// The peer has made room for all that was handed over.
    pub(super) fn found(&self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Resolves when room was wanted for `patience`, or up to twice as long.
    async fn lacks_for(&self, patience: Duration) {
        loop {
            let now = Instant::now();
            let since = *self.0.lock().unwrap_or_else(PoisonError::into_inner);
            if since.is_some_and(|since| since + patience <= now) {
                return;
            }
            sleep_until(since.unwrap_or(now) + patience).await;
        }
    }
}
