//! [`ManagerConfig`]: the manager's durations and bounds, with their defaults.

use std::time::Duration;

/// What the manager is told at its making. Start from [`ManagerConfig::default`] and change what differs.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ManagerConfig {
    /// The life of an access token whose service did not say. Default 2 minutes.
    pub access_ttl: Duration,
    /// The life of a refresh token whose service did not say. Default 4 minutes.
    pub refresh_ttl: Duration,
    /// The longest life of a session, however often it is refreshed. Default 12 hours.
    pub max_lifetime: Duration,
    /// How long a session lives without being used. Default: not limited.
    pub idle_timeout: Option<Duration>,
    /// The soft limit: how long before a token's expiry it is refreshed in the background.
    /// Default: a fifth of its life, at most 5 minutes.
    pub refresh_ahead: Option<Duration>,
    /// The hard limit: how long before a token's expiry callers begin to wait for the refresh.
    /// Default: a tenth of its life, at most 30 seconds.
    pub wait_ahead: Option<Duration>,
    /// How much life a token that could not be refreshed must have left to be handed out after all. Default 2 seconds.
    pub min_usable: Duration,
    /// How long one call to the auth service may take in all. Default 10 seconds.
    pub backend_timeout: Duration,
    /// How long one call to the session store may take. Default 2 seconds.
    pub store_timeout: Duration,
    /// How long a caller waits for a refresh when it names no limit of its own. Default 15 seconds.
    pub wait: Duration,
    /// Refresh calls to the auth service at once. Background refreshes use at most half. Default 256.
    pub max_concurrent_refreshes: usize,
    /// Refreshes that may wait for their turn; more are answered "overloaded". Default 100,000.
    pub max_waiting_refreshes: usize,
    /// Refreshes a second, in bursts of at most one second's worth; a second presentation is not counted. Default 5,000.
    pub max_refreshes_per_second: u32,
}

impl Default for ManagerConfig {
    fn default() -> Self {
        Self {
            access_ttl: Duration::from_mins(2),
            refresh_ttl: Duration::from_mins(4),
            max_lifetime: Duration::from_hours(12),
            idle_timeout: None,
            refresh_ahead: None,
            wait_ahead: None,
            min_usable: Duration::from_secs(2),
            backend_timeout: Duration::from_secs(10),
            store_timeout: Duration::from_secs(2),
            wait: Duration::from_secs(15),
            max_concurrent_refreshes: 256,
            max_waiting_refreshes: 100_000,
            max_refreshes_per_second: 5_000,
        }
    }
}

impl ManagerConfig {
    /// How long a lease is asked for: longer than two presentations and the store calls around them.
    pub(crate) fn lease(&self) -> Duration {
        2 * self.backend_timeout + 4 * self.store_timeout
    }
}
