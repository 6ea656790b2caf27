//! Connections: accepted up to a cap, served one task each, drained at the end.

mod accept;
mod http1;
mod http2;
mod refusal;

use std::{future::pending, io, sync::Arc};

use authproxy_core::{
    backend::AuthBackend,
    manager::{ShutdownReport, TokenManager},
};
use tokio::{net::TcpListener, time::Instant};
use tokio_util::task::AbortOnDropHandle;

use self::accept::Connections;
pub(crate) use self::http1::{Incoming, Interim};
use crate::{
    config::{Config, RouteMistakes, check_routes},
    forward::TrustError,
    origin::{OriginError, Origins},
    service::App,
    tls::{Tls, TlsError},
    workers::Workers,
};

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
    workers: Option<Workers>,
}

/// What was left when the server had stopped.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Report {
    /// Connections that were cut off at the deadline.
    pub connections_cut: usize,
    /// Streams, tunnels and long polls of sessions that still lasted when the shutdown began.
    pub connections_lasting: usize,
    /// What the manager could not finish.
    pub sessions: ShutdownReport,
}

impl Server {
    /// A server in front of a manager that the caller has built.
    ///
    /// `backend` answers `/register` and the protected resource; it should be the manager's own. Of `config`, what
    /// concerns the backend, the store and the manager is not read: they exist already.
    pub fn new(manager: TokenManager, backend: Arc<dyn AuthBackend>, config: Config) -> Self {
        Self { manager, backend, config, workers: None }
    }

    /// Serves connections on these threads instead of the runtime that [`serve`](Self::serve) is called on. They end
    /// with the server.
    #[must_use]
    pub fn workers(mut self, workers: Workers) -> Self {
        self.workers = Some(workers);
        self
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
        let config = &self.config;
        check_routes(&config.route, Some(local))?;
        let tls = Tls::load(&config.tls)?;
        let public_url = config.public_url.clone().unwrap_or_else(|| config.default_public_url(local));
        let origins = Origins::new(&public_url, &config.allowed_origins, config.allow_insecure_http)?;
        tracing::info!(%local, public_url = origins.public(), "serving");

        let limits = self.config.limits.clone();
        let manager = self.manager.clone();
        let app = Arc::new(App::new(self.manager, self.backend, origins, &self.config)?);
        let connections = Connections::new(app.clone(), tls.clone(), self.workers, &limits);
        let watched = app.clone();
        let watch =
            AbortOnDropHandle::new(tokio::spawn(async move { watched.forwarder.keep_house(&watched.manager).await }));
        tokio::select! {
            () = connections.accept_until(listener, shutdown) => {}
            () = watch_certificate(tls) => {}
        }

        tracing::info!("shutting down");
        let connections_lasting = app.forwarder.live.len();
        app.forwarder.shutdown.cancel();
        let deadline = Instant::now() + limits.drain_timeout;
        let connections_cut = connections.drain(deadline).await;
        drop(watch);
        let left = deadline.saturating_duration_since(Instant::now());
        let report = Report { connections_cut, connections_lasting, sessions: manager.shutdown(left).await };
        tracing::info!(connections_cut, connections_lasting, sessions = ?report.sessions, "shut down");
        Ok(report)
    }
}

/// Never ends.
async fn watch_certificate(tls: Option<Tls>) {
    if let Some(tls) = tls {
        tls.watch().await;
    }
    pending::<()>().await;
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
    /// The routes do not fit together, or one of them cannot be served.
    #[error(transparent)]
    Routes(#[from] RouteMistakes),
    /// An https upstream's certificate could not be checked.
    #[error(transparent)]
    Trust(#[from] TrustError),
    /// The server's own certificate or its key cannot be used.
    #[error(transparent)]
    Tls(#[from] TlsError),
}
