//! [`run()`]: a whole session proxy from a [`Config`].

use std::{pin::pin, sync::Arc};

use authproxy_core::{
    backend::{AuthBackend, HttpBackend, InvalidAuthUrl},
    manager::{ManagerConfig, TokenManager},
};
use tokio::net::TcpListener;

use crate::{
    config::Config,
    server::{Report, ServeError, Server},
    store::{Store, StoreError},
    workers::Workers,
};

/// Why nothing was started. Each names what to change.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// `auth_url` is not set.
    #[error("`auth_url` is missing: set AUTH_URL to the auth service's base URL")]
    NoAuthUrl,
    /// `auth_url` cannot be used.
    #[error("`auth_url` is {0}")]
    AuthUrl(#[from] InvalidAuthUrl),
    /// The session store cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// `limits.connections` is zero.
    #[error("`limits.connections` must be at least 1")]
    NoConnections,
    /// The system gives no threads to serve on.
    #[error("no threads can be started to serve on")]
    Workers(#[source] std::io::Error),
    /// The server could not begin.
    #[error(transparent)]
    Serve(#[from] ServeError),
}

/// Serves in front of the auth service at `config.auth_url` until `shutdown` resolves, then drains.
///
/// Connections are served by [`Workers`], one thread for each core; the rest runs on the caller's runtime. With a store
/// in Redis, none is accepted before Redis can be used.
///
/// # Errors
///
/// [`RunError`], before the first connection is accepted.
///
/// # Cancel safety
///
/// Dropping the future closes the listener; refreshes under way go on as long as the runtime does.
pub async fn run(
    listener: TcpListener,
    config: Config,
    shutdown: impl Future<Output = ()>,
) -> Result<Report, RunError> {
    let mut shutdown = pin!(shutdown);
    match Store::open(&config, shutdown.as_mut()).await? {
        Some(store) => run_with_store(listener, config, store, shutdown).await,
        None => Ok(Report::default()),
    }
}

/// The same with a store that is open already. Of `config`, what concerns the store is not read.
///
/// A program that waits for its store should listen only afterwards: the system takes connections for every listener,
/// and nobody would answer them.
///
/// # Errors
///
/// [`RunError`], before the first connection is accepted.
///
/// # Cancel safety
///
/// As [`run`].
pub async fn run_with_store(
    listener: TcpListener,
    config: Config,
    store: Store,
    shutdown: impl Future<Output = ()>,
) -> Result<Report, RunError> {
    if config.limits.connections == 0 {
        return Err(RunError::NoConnections);
    }
    let Store { sessions, clock } = store;
    let auth_url = config.auth_url.as_deref().ok_or(RunError::NoAuthUrl)?;
    let backend: Arc<dyn AuthBackend> = Arc::new(
        HttpBackend::builder(auth_url)
            .connect_timeout(config.backend.connect_timeout)
            .timeout(config.backend.timeout)
            .rotation(config.backend.rotation)
            .clock(clock.clone())
            .build()?,
    );
    let manager = TokenManager::builder(backend.clone(), sessions).config(manager_config(&config)).clock(clock).build();
    let workers = Workers::one_per_core().map_err(RunError::Workers)?;
    Ok(Server::new(manager, backend, config).workers(workers).serve(listener, shutdown).await?)
}

fn manager_config(config: &Config) -> ManagerConfig {
    let mut manager = ManagerConfig::default();
    manager.access_ttl = config.tokens.access_ttl;
    manager.refresh_ttl = config.tokens.refresh_ttl;
    manager.max_lifetime = config.session.max_lifetime;
    manager.idle_timeout = config.session.idle_timeout;
    manager.backend_timeout = config.backend.timeout;
    // A refresh that can still succeed is waited for, as long as the request may take.
    manager.wait = (config.backend.timeout + config.backend.timeout / 2).min(config.limits.request_timeout);
    manager
}
