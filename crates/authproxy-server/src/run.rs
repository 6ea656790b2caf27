//! [`run()`]: a whole session proxy from a [`Config`].

use std::sync::Arc;

use authproxy_core::{
    backend::{AuthBackend, HttpBackend, InvalidAuthUrl},
    clock::{Clock, SystemClock},
    manager::{ManagerConfig, TokenManager},
    store::MemoryStore,
};
use tokio::net::TcpListener;

use crate::{
    config::Config,
    server::{Report, ServeError, Server},
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
    /// `store.url` names a store that this build does not have.
    #[error("`store.url` must be `memory:`; no other store is built in")]
    UnknownStore,
    /// `limits.connections` or `store.capacity` is zero.
    #[error("`{0}` must be at least 1")]
    Zero(&'static str),
    /// The system gives no threads to serve on.
    #[error("no threads can be started to serve on")]
    Workers(#[source] std::io::Error),
    /// The server could not begin.
    #[error(transparent)]
    Serve(#[from] ServeError),
}

/// Serves in front of the auth service at `config.auth_url` until `shutdown` resolves, then drains.
///
/// Connections are served by [`Workers`], one thread for each core; the rest runs on the caller's runtime.
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
    for (key, value) in [("limits.connections", config.limits.connections), ("store.capacity", config.store.capacity)] {
        if value == 0 {
            return Err(RunError::Zero(key));
        }
    }
    if config.store.url != "memory:" {
        return Err(RunError::UnknownStore);
    }
    let auth_url = config.auth_url.as_deref().ok_or(RunError::NoAuthUrl)?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let backend: Arc<dyn AuthBackend> = Arc::new(
        HttpBackend::builder(auth_url)
            .connect_timeout(config.backend.connect_timeout)
            .timeout(config.backend.timeout)
            .rotation(config.backend.rotation)
            .clock(clock.clone())
            .build()?,
    );
    let store = Arc::new(MemoryStore::with_clock(config.store.capacity, clock.clone()));
    let manager = TokenManager::builder(backend.clone(), store).config(manager_config(&config)).clock(clock).build();
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
