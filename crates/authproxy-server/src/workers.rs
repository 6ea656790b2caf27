//! [`Workers`]: threads with a runtime each, which connections are dealt out to.
//!
//! A connection stays on its worker's thread with every request on it and with the upstream connections that they are
//! sent over, so nothing of a request waits for another thread to wake up. Measured against one work-stealing runtime,
//! pinned to one core: 9% less CPU a forwarded request (`scripts/bench --other-authproxy`).

use std::{
    cell::Cell,
    io,
    num::NonZeroUsize,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
};

use tokio::runtime::{Builder, Handle};
use tokio_util::sync::{CancellationToken, DropGuard};

/// How many polls of tasks before the runtime looks for new events: twice tokio's own measure, for as many fewer calls
/// of the system when there is much to do.
const EVENT_INTERVAL: u32 = 127;

thread_local! {
    static HERE: Cell<usize> = const { Cell::new(0) };
}

/// Single-threaded runtimes for a server's connections. They end when this is dropped, with whatever runs on them.
///
/// ```
/// # fn main() -> std::io::Result<()> {
/// let workers = authproxy_server::Workers::one_per_core()?;
/// # drop(workers); Ok(()) }
/// ```
#[derive(Debug)]
pub struct Workers {
    /// Cancelled before the threads are joined.
    stop: Option<DropGuard>,
    workers: Vec<Worker>,
}

#[derive(Debug)]
struct Worker {
    runtime: Handle,
    connections: Arc<AtomicUsize>,
    thread: Option<JoinHandle<()>>,
}

/// A worker that was chosen for a connection, which counts there until this is dropped.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) runtime: Handle,
    connections: Arc<AtomicUsize>,
}

impl Workers {
    /// As many as the cores that this process may use.
    ///
    /// # Errors
    ///
    /// When the system gives no thread or no event queue.
    pub fn one_per_core() -> io::Result<Self> {
        Self::start(thread::available_parallelism().unwrap_or(NonZeroUsize::MIN))
    }

    /// So many.
    ///
    /// # Errors
    ///
    /// When the system gives no thread or no event queue.
    pub fn start(count: NonZeroUsize) -> io::Result<Self> {
        let stop = CancellationToken::new();
        let mut workers = Self { stop: Some(stop.clone().drop_guard()), workers: Vec::new() };
        for number in 0..count.get() {
            let runtime = Builder::new_current_thread().enable_all().event_interval(EVENT_INTERVAL).build()?;
            let (handle, stop) = (runtime.handle().clone(), stop.clone());
            let thread = thread::Builder::new().name(format!("worker-{number}")).spawn(move || {
                HERE.set(number);
                runtime.block_on(stop.cancelled());
                runtime.shutdown_background();
            })?;
            workers.workers.push(Worker { runtime: handle, connections: Arc::default(), thread: Some(thread) });
        }
        Ok(workers)
    }

    /// The worker with the fewest connections, for one more.
    pub(crate) fn seat(&self) -> Seat {
        let idlest = self.workers.iter().min_by_key(|worker| worker.connections.load(Ordering::Relaxed));
        let Worker { runtime, connections, .. } = idlest.expect("at least one was started");
        connections.fetch_add(1, Ordering::Relaxed);
        Seat { runtime: runtime.clone(), connections: connections.clone() }
    }
}

impl Drop for Workers {
    fn drop(&mut self) {
        self.stop.take();
        for thread in self.workers.iter_mut().filter_map(|worker| worker.thread.take()) {
            // It ends by itself if the last owner is one of its own tasks. A panic there was that task's.
            if thread.thread().id() != thread::current().id() {
                let _ = thread.join();
            }
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The number of the worker whose thread this is; 0 on any other thread.
pub(crate) fn here() -> usize {
    HERE.get()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn two() -> Workers {
        Workers::start(NonZeroUsize::new(2).unwrap()).unwrap()
    }

    #[tokio::test]
    async fn connections_are_dealt_out_evenly_and_tasks_know_their_worker() {
        let workers = two();
        let (first, second) = (workers.seat(), workers.seat());
        let mut numbers = Vec::new();
        for seat in [&first, &second] {
            numbers.push(seat.runtime.spawn(async { here() }).await.unwrap());
        }
        assert_eq!(numbers, [0, 1]);
        drop(first);
        assert_eq!(workers.seat().runtime.spawn(async { here() }).await.unwrap(), 0, "the one with a free seat");
        drop(second);
    }

    #[tokio::test]
    async fn workers_that_are_dropped_end_what_runs_on_them() {
        let workers = two();
        let endless = workers.seat().runtime.spawn(std::future::pending::<()>());
        drop(workers);
        assert!(endless.await.unwrap_err().is_cancelled());
    }
}
