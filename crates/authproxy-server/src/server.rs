//! Connections: accepted up to a cap, served one task each, drained at the end.

use std::{
    convert::Infallible,
    future::poll_fn,
    io,
    pin::{Pin, pin},
    sync::Arc,
    time::Duration,
};

use authproxy_core::{
    backend::AuthBackend,
    manager::{ShutdownReport, TokenManager},
};
use http::{HeaderMap, Request, Response, Version};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, sleep, timeout},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use crate::{
    config::{Config, LimitsConfig},
    cookie::SessionCookie,
    origin::{OriginError, Origins},
    problem::Problem,
    response,
    service::App,
    socket::{Busy, Patience, Socket},
    telemetry,
};

/// The largest head that hyper is given; `framing.rs` refuses larger ones before.
const HEAD_BUFFER: usize = 64 * 1024;
/// How many connections over the cap are told so at the same time; further ones are closed without a word.
const REFUSALS: usize = 64;
/// How long the accept loop pauses when the system has no more sockets to give: at first, and at most.
const ACCEPT_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// The session proxy, ready to serve on a listener.
///
/// ```no_run
/// # async fn example(
/// #     manager: authproxy_core::manager::TokenManager,
/// #     backend: std::sync::Arc<dyn authproxy_core::backend::AuthBackend>,
/// # ) -> Result<(), Box<dyn std::error::Error>> {
/// use authproxy_server::{Server, config::Config};
///
/// let listener = tokio::net::TcpListener::bind("127.0.0.1:8000").await?;
/// let shutdown = async { tokio::signal::ctrl_c().await.unwrap_or_default() };
/// let report = Server::new(manager, backend, Config::default()).serve(listener, shutdown).await?;
/// # let _ = report; Ok(()) }
/// ```
pub struct Server {
    manager: TokenManager,
    backend: Arc<dyn AuthBackend>,
    config: Config,
}

/// What was left when the server had stopped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Connections that were cut off at the deadline.
    pub connections_cut: usize,
    /// What the manager could not finish.
    pub sessions: ShutdownReport,
}

impl Server {
    /// A server in front of a manager that the caller has built.
    ///
    /// `backend` answers `/register` and the protected resource; it should be the manager's own. Of `config`, what
    /// concerns the backend, the store and the manager is not read: they exist already.
    pub fn new(manager: TokenManager, backend: Arc<dyn AuthBackend>, config: Config) -> Self {
        Self { manager, backend, config }
    }

    /// Serves until `shutdown` resolves, then finishes what is under way: at most `limits.drain_timeout`, refreshes
    /// included. The manager is shut down too.
    ///
    /// # Errors
    ///
    /// [`ServeError`], before the first connection is accepted.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the listener and leaves connections that are open to end by themselves.
    pub async fn serve(self, listener: TcpListener, shutdown: impl Future<Output = ()>) -> Result<Report, ServeError> {
        let local = listener.local_addr().map_err(ServeError::Listener)?;
        let Config { public_url, allowed_origins, allow_insecure_http, .. } = &self.config;
        let origins = Origins::new(public_url.as_deref(), local, allowed_origins, *allow_insecure_http)?;
        tracing::info!(%local, public_url = origins.public(), "serving");

        let limits = self.config.limits.clone();
        let manager = self.manager.clone();
        let connections = Connections {
            app: Arc::new(App::new(self.manager, self.backend, origins, &self.config)),
            limits: limits.clone(),
            slots: Arc::new(Semaphore::new(limits.connections.min(Semaphore::MAX_PERMITS))),
            refusals: Arc::new(Semaphore::new(REFUSALS)),
            tasks: TaskTracker::new(),
            draining: CancellationToken::new(),
            cut_off: CancellationToken::new(),
        };
        connections.accept_until(listener, shutdown).await;

        tracing::info!("shutting down");
        let deadline = Instant::now() + limits.drain_timeout;
        let connections_cut = connections.drain(deadline).await;
        let left = deadline.saturating_duration_since(Instant::now());
        let report = Report { connections_cut, sessions: manager.shutdown(left).await };
        tracing::info!(connections_cut, sessions = ?report.sessions, "shut down");
        Ok(report)
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("config", &self.config).finish_non_exhaustive()
    }
}

/// Why a server does not serve.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The listener is no listener any more.
    #[error("the listener cannot be used")]
    Listener(#[source] io::Error),
    /// `public_url` or `allowed_origins` cannot be worked with.
    #[error(transparent)]
    Origin(#[from] OriginError),
}

struct Connections {
    app: Arc<App>,
    limits: LimitsConfig,
    slots: Arc<Semaphore>,
    refusals: Arc<Semaphore>,
    tasks: TaskTracker,
    draining: CancellationToken,
    cut_off: CancellationToken,
}

impl Connections {
    async fn accept_until(&self, listener: TcpListener, shutdown: impl Future<Output = ()>) {
        let mut shutdown = pin!(shutdown);
        let mut pause = ACCEPT_PAUSE;
        loop {
            let accepted = tokio::select! {
                () = &mut shutdown => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((stream, _peer)) => {
                    pause = ACCEPT_PAUSE;
                    self.spawn(stream);
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

    fn spawn(&self, stream: TcpStream) {
        // Answers are small and written whole: waiting for more to send only delays them.
        let _ = stream.set_nodelay(true);
        if let Ok(slot) = self.slots.clone().try_acquire_owned() {
            let connection = self.connection(stream, slot);
            let cut_off = self.cut_off.clone();
            self.tasks.spawn(async move {
                tokio::select! {
                    () = cut_off.cancelled() => {}
                    () = connection => {}
                }
            });
        } else if let Ok(permit) = self.refusals.clone().try_acquire_owned() {
            let socket = Socket::new(stream, patience(&self.limits), Busy::default());
            tokio::spawn(async move {
                tracing::warn!("the limit of connections is reached");
                refuse(socket, Problem::TooManyConnections).await;
                drop(permit);
            });
        }
    }

    /// Serves one connection. Its errors are its own: they end it, and nothing else.
    fn connection(&self, stream: TcpStream, slot: OwnedSemaphorePermit) -> impl Future<Output = ()> + use<> {
        let (app, draining, busy) = (self.app.clone(), self.draining.clone(), Busy::default());
        let socket = Socket::new(stream, patience(&self.limits), busy.clone());
        async move {
            let _slot = slot;
            let service = service_fn(move |request: Request<Incoming>| {
                let (app, guard) = (app.clone(), busy.begin());
                let answer = async move {
                    let response = app.answer(request).await;
                    drop(guard);
                    Ok::<_, Infallible>(response)
                };
                Box::pin(answer) as Pin<Box<dyn Future<Output = _> + Send>>
            });
            let mut connection = http1::Builder::new()
                .header_read_timeout(None)
                .max_buf_size(HEAD_BUFFER + 8 * 1024)
                .serve_connection(socket, service);

            let mut drained = pin!(draining.cancelled());
            let mut is_draining = false;
            let outcome = poll_fn(|cx| {
                if !is_draining && drained.as_mut().poll(cx).is_ready() {
                    is_draining = true;
                    Pin::new(&mut connection).graceful_shutdown();
                }
                connection.poll_without_shutdown(cx)
            })
            .await;
            let socket = connection.into_parts().io;
            if let Err(error) = outcome {
                tracing::debug!(cause = %telemetry::chain(&error), "a connection ended early");
            }
            match socket.refusal() {
                Some(refusal) => refuse(socket, refusal.into()).await,
                None if is_draining => socket.hang_up().await,
                None => socket.close().await,
            }
        }
    }

    /// Lets every connection finish its request; returns how many had to be cut off at the deadline.
    async fn drain(&self, deadline: Instant) -> usize {
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

fn patience(limits: &LimitsConfig) -> Patience {
    Patience { head: limits.header_timeout, idle: limits.idle_timeout, write: limits.body_timeout }
}

fn is_about_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted | io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionRefused
    )
}

/// Tells a peer why its bytes are not read any further, in the shape of every other error, and closes.
async fn refuse(mut socket: Socket<TcpStream>, problem: Problem) {
    let mut response = problem.into_response(&HeaderMap::new(), SessionCookie::new(false));
    response::harden(response.headers_mut(), None, false, false);
    socket.answer(&serialize(response).await).await;
    socket.close().await;
}

/// An answer as bytes, for a connection that hyper has given up.
async fn serialize(response: Response<Full<bytes::Bytes>>) -> Vec<u8> {
    let (head, body) = response.into_parts();
    let Ok(body) = body.collect().await.map(http_body_util::Collected::to_bytes);
    let mut bytes = format!("{:?} {}\r\n", Version::HTTP_11, head.status).into_bytes();
    for (name, value) in &head.headers {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
    bytes.extend_from_slice(&body);
    bytes
}
