//! Which connections are taken, how many at once, and how they all end.

use std::{future::Future, io, pin::pin, sync::Arc, time::Duration};

use futures_util::future::select;
use http::request::Parts;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Semaphore,
    time::{Instant, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use super::{
    http1::{self, Interim},
    http2, refusal,
};
use crate::{
    body::RequestBody,
    config::LimitsConfig,
    problem::Problem,
    response::Response,
    seldom::Seldom,
    service::{App, Peer},
    socket::Patience,
    tls::{Accepted, Tls},
    workers::Workers,
};

/// How many connections over the cap are told so at the same time; further ones are closed without a word.
const REFUSALS: usize = 64;
/// How long the accept loop pauses when the system has no more sockets to give: at first, and at most.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// All connections of a server, each in a task of its own.
pub(super) struct Connections {
    app: Arc<App>,
    tls: Option<Tls>,
    patience: Patience,
    slots: Arc<Semaphore>,
    workers: Option<Workers>,
    refusals: Arc<Semaphore>,
    tasks: TaskTracker,
    draining: CancellationToken,
    cut_off: CancellationToken,
}

impl Connections {
    /// No connections yet, and never more than `limits` allows; secure ones when there is `tls`. They are served by
    /// `workers`, or where they are accepted.
    pub(super) fn new(app: Arc<App>, tls: Option<Tls>, workers: Option<Workers>, limits: &LimitsConfig) -> Self {
        Self {
            app,
            tls,
            workers,
            patience: Patience { head: limits.header_timeout, idle: limits.idle_timeout, write: limits.body_timeout },
            slots: Arc::new(Semaphore::new(limits.connections.min(Semaphore::MAX_PERMITS))),
            refusals: Arc::new(Semaphore::new(REFUSALS)),
            tasks: TaskTracker::new(),
            draining: CancellationToken::new(),
            cut_off: CancellationToken::new(),
        }
    }

    /// Accepts connections until `shutdown` resolves; then the listener is closed, behind those that were made already.
    pub(super) async fn accept_until(&self, listener: TcpListener, shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown);
        let mut pause = ACCEPT_PAUSE;
        loop {
            let accepted = tokio::select! {
                () = &mut shutdown => return self.take_waiting(listener),
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, address)) => {
                    pause = ACCEPT_PAUSE;
                    self.spawn(stream, Peer::new(address, self.tls.is_some()));
                }
                // The peer's affair: it hung up before it was accepted.
                Err(error) if is_about_one_connection(&error) => {}
                Err(error) => {
                    tracing::error!(%error, "no connection can be accepted");
                    tokio::select! {
                        () = &mut shutdown => return self.take_waiting(listener),
                        () = sleep(pause) => {}
                    }
                    pause = (2 * pause).min(LONGEST_PAUSE);
                }
            }
        }
    }

    /// Takes the connections that wait to be accepted: closing the listener would reset them, whatever they carry.
    fn take_waiting(&self, listener: TcpListener) {
        let Ok(listener) = listener.into_std() else { return };
        while let Ok((stream, address)) = listener.accept() {
            let stream = stream.set_nonblocking(true).and_then(|()| TcpStream::from_std(stream));
            if let Ok(stream) = stream {
                self.spawn(stream, Peer::new(address, self.tls.is_some()));
            }
        }
    }

    fn spawn(&self, stream: TcpStream, peer: Peer) {
        // Answers are small and written whole: waiting for more to send only delays them.
        let _ = stream.set_nodelay(true);
        let (tls, patience, draining) = (self.tls.clone(), self.patience, self.draining.clone());
        if let Ok(slot) = self.slots.clone().try_acquire_owned() {
            // Together, so that requests count themselves on this connection and not on what all workers share.
            let (asked, cut_off) = (Arc::new((self.app.clone(), peer)), self.cut_off.clone());
            let answer = move |head: Box<Parts>, body: RequestBody, interim| {
                let asked = asked.clone();
                async move {
                    let (app, peer) = &*asked;
                    app.answer(&head, body, &peer.with_interim(interim)).await
                }
            };
            let connection = async move |stream| {
                let _slot = slot;
                let cut_off = pin!(cut_off.cancelled());
                select(Seldom::new(cut_off), pin!(serve(stream, tls, patience, draining, answer))).await;
            };
            match &self.workers {
                None => drop(self.tasks.spawn(connection(stream))),
                Some(workers) => self.hand_over(workers, stream, connection),
            }
        } else if let Ok(permit) = self.refusals.clone().try_acquire_owned() {
            tokio::spawn(async move {
                let _permit = permit;
                tracing::warn!("the limit of connections is reached");
                turn_away(stream, tls, patience).await;
            });
        }
    }

    /// Serves a connection on a worker's runtime, whose event queue it has to change to.
    fn hand_over<F>(
        &self,
        workers: &Workers,
        stream: TcpStream,
        connection: impl FnOnce(TcpStream) -> F + Send + 'static,
    ) where
        F: Future<Output = ()> + Send,
    {
        let Ok(stream) = stream.into_std() else { return };
        let seat = workers.seat();
        let runtime = seat.runtime.clone();
        let task = async move {
            let _seat = seat;
            match TcpStream::from_std(stream) {
                Ok(stream) => connection(stream).await,
                Err(error) => tracing::error!(%error, "a connection cannot be served"),
            }
        };
        drop(self.tasks.spawn_on(task, &runtime));
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

/// Serves one connection. Its errors are its own: they end it, and nothing else.
async fn serve<A, F>(stream: TcpStream, tls: Option<Tls>, patience: Patience, draining: CancellationToken, answer: A)
where
    A: Fn(Box<Parts>, RequestBody, Option<Interim>) -> F,
    F: Future<Output = Response> + Send + 'static,
{
    let Some(tls) = tls else { return http1::serve(stream, patience, draining, answer).await };
    let accepted = tokio::select! {
        () = last_call(&draining) => return,
        accepted = tls.accept(stream, patience.head) => accepted,
    };
    match accepted {
        Accepted::Http2(stream) => http2::serve(stream, patience, draining, answer).await,
        Accepted::Http1(stream) => http1::serve(stream, patience, draining, answer).await,
        Accepted::NotTls(stream) => http1::refuse(stream, patience, Problem::NotTls).await,
        Accepted::Nothing => {}
    }
}

/// Resolves when a draining server waits no longer for what a new connection brings.
async fn last_call(draining: &CancellationToken) {
    draining.cancelled().await;
    sleep(http1::LAST_CALL).await;
}

/// Tells a peer that there is no room for it.
async fn turn_away(stream: TcpStream, tls: Option<Tls>, patience: Patience) {
    let Some(tls) = tls else { return http1::refuse(stream, patience, Problem::TooManyConnections).await };
    match tls.accept(stream, patience.head).await {
        Accepted::Http2(stream) => {
            let draining = CancellationToken::new();
            // What the peer sends before it has seen the goodbye is answered.
            draining.cancel();
            http2::serve(stream, patience, draining, |_, _, _| async {
                refusal::response(Problem::TooManyConnections)
            })
            .await;
        }
        Accepted::Http1(stream) => http1::refuse(stream, patience, Problem::TooManyConnections).await,
        Accepted::NotTls(_) | Accepted::Nothing => {}
    }
}

fn is_about_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}
