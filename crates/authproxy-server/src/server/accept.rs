//! Which connections are taken, how many at once, and how they all end.

use std::{future::Future, io, pin::pin, sync::Arc, time::Duration};

use http::Request;
use hyper::body::Incoming;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::http1;
use crate::{
    config::LimitsConfig,
    problem::Problem,
    service::{App, Peer},
    socket::{Busy, Patience, Socket},
};

/// How many connections over the cap are told so at the same time; further ones are closed without a word.
const REFUSALS: usize = 64;
/// How long the accept loop pauses when the system has no more sockets to give: at first, and at most.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// All connections of a server, each in a task of its own.
pub(super) struct Connections {
    app: Arc<App>,
    patience: Patience,
    slots: Arc<Semaphore>,
    refusals: Arc<Semaphore>,
    tasks: TaskTracker,
    draining: CancellationToken,
    cut_off: CancellationToken,
}

impl Connections {
    /// No connections yet, and never more than `limits` allows.
    pub(super) fn new(app: Arc<App>, limits: &LimitsConfig) -> Self {
        Self {
            app,
            patience: Patience { head: limits.header_timeout, idle: limits.idle_timeout, write: limits.body_timeout },
            slots: Arc::new(Semaphore::new(limits.connections.min(Semaphore::MAX_PERMITS))),
            refusals: Arc::new(Semaphore::new(REFUSALS)),
            tasks: TaskTracker::new(),
            draining: CancellationToken::new(),
            cut_off: CancellationToken::new(),
        }
    }

    /// Accepts connections until `shutdown` resolves; then the listener is closed.
    pub(super) async fn accept_until(&self, listener: TcpListener, shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown);
        let mut pause = ACCEPT_PAUSE;
        loop {
            let accepted = tokio::select! {
                () = &mut shutdown => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, address)) => {
                    pause = ACCEPT_PAUSE;
                    self.spawn(stream, Peer { address, tls: false });
                }
                // The peer's affair: it hung up before it was accepted.
                Err(error) if is_about_one_connection(&error) => {}
                Err(error) => {
                    tracing::error!(%error, "no connection can be accepted");
                    tokio::select! {
                        () = &mut shutdown => return,
                        () = sleep(pause) => {}
                    }
                    pause = (2 * pause).min(LONGEST_PAUSE);
                }
            }
        }
    }

    fn spawn(&self, stream: TcpStream, peer: Peer) {
        // Answers are small and written whole: waiting for more to send only delays them.
        let _ = stream.set_nodelay(true);
        if let Ok(slot) = self.slots.clone().try_acquire_owned() {
            let connection = self.connection(stream, peer, slot);
            let cut_off = self.cut_off.clone();
            self.tasks.spawn(async move {
                tokio::select! {
                    () = cut_off.cancelled() => {}
                    () = connection => {}
                }
            });
        } else if let Ok(permit) = self.refusals.clone().try_acquire_owned() {
            let socket = Socket::new(stream, self.patience, Busy::default());
            tokio::spawn(async move {
                tracing::warn!("the limit of connections is reached");
                http1::refuse(socket, Problem::TooManyConnections).await;
                drop(permit);
            });
        }
    }

    /// Serves one connection. Its errors are its own: they end it, and nothing else.
    fn connection(
        &self,
        stream: TcpStream,
        peer: Peer,
        slot: OwnedSemaphorePermit,
    ) -> impl Future<Output = ()> + use<> {
        let (app, patience, draining) = (self.app.clone(), self.patience, self.draining.clone());
        async move {
            let _slot = slot;
            let answer = |request: Request<Incoming>| {
                let app = app.clone();
                async move { app.answer(request, peer).await }
            };
            http1::serve(stream, patience, draining, answer).await;
        }
    }

    /// Lets every connection finish its request; returns how many had to be cut off at the deadline.
    pub(super) async fn drain(&self, deadline: Instant) -> usize {
        self.draining.cancel();
        self.tasks.close();
        let left = deadline.saturating_duration_since(Instant::now());
        if timeout(left, self.tasks.wait()).await.is_ok() {
            return 0;
        }
        let cut = self.tasks.len();
        self.cut_off.cancel();
        self.tasks.wait().await;
        cut
    }
}

fn is_about_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}
