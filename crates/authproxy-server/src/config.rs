//! The configuration in force: plain values, checked, with every default in one place.
//!
//! [`load`](load::load) makes one of a file, the environment and flags, or says everything that is wrong with them.
//! [`KEYS`](keys::KEYS) is the one table of what can be configured.

mod checks;
mod env;
mod field;
mod file;
mod login_page;
mod networks;
mod notes;
mod raw;
mod size;
mod suggest;
#[cfg(test)]
mod tests;

pub mod duration;
pub mod keys;
pub mod load;
pub mod mistake;
pub mod origin;
pub mod route;
pub mod upstream;

use std::{
    fmt,
    net::{Ipv4Addr, SocketAddr},
    path::PathBuf,
    time::Duration,
};

use authproxy_core::backend::RotationContract;
pub use ipnet::IpNet;
use zeroize::Zeroizing;

pub use self::{
    load::{Flag, Inputs, Loaded, Purpose, Setting, load},
    mistake::{Mistake, Mistakes, Source},
    route::{
        RouteAccess, RouteConfig,
        rules::{RouteMistake, RouteMistakes, check_routes},
    },
    upstream::UpstreamUrl,
};

/// Everything that can be configured. [`Config::default`] holds the documented defaults.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Config {
    /// Where browsers and apps connect. Default `127.0.0.1:8000`.
    pub listen: SocketAddr,
    /// The operators' listener.
    pub admin: AdminConfig,
    /// The auth service's base URL. Required by `serve`.
    pub auth_url: Option<String>,
    /// The origin under which browsers reach this server, without a trailing slash. Default:
    /// [`Config::default_public_url`].
    pub public_url: Option<String>,
    /// Whether a cookie may travel over plain HTTP to a public URL that is not on loopback. Default: no.
    pub allow_insecure_http: bool,
    /// Other origins whose pages may send requests with the cookie and read the answers (CORS). Default: none.
    pub allowed_origins: Vec<String>,
    /// Who gets tokens in the body of an answer.
    pub token_delivery: TokenDelivery,
    /// What applies where the auth service does not say.
    pub tokens: TokensConfig,
    /// How long sessions live.
    pub session: SessionConfig,
    /// Where sessions are kept.
    pub store: StoreConfig,
    /// How the auth service is spoken to.
    pub backend: BackendConfig,
    /// What bounds every peer.
    pub limits: LimitsConfig,
    /// How the program logs.
    pub log: LogConfig,
    /// How browsers are spoken to over TLS. Default: not at all.
    pub tls: TlsConfig,
    /// The gateways whose `X-Forwarded-*` headers are believed. Default: none.
    pub trusted_proxies: Vec<IpNet>,
    /// How `/auth/verify` answers.
    pub verify: VerifyConfig,
    /// APIs behind the session. Default: none.
    pub route: Vec<RouteConfig>,
}

impl Config {
    /// The public URL of a server that listens at `local` and has no `public_url`: `https://` with TLS, else `http://`.
    pub fn default_public_url(&self, local: SocketAddr) -> String {
        let scheme = if self.tls.cert.is_some() { "https" } else { "http" };
        format!("{scheme}://{local}")
    }
}

/// `admin.*`
#[derive(Clone, Debug, Default)]
pub struct AdminConfig {
    /// Where operators connect. Default: off.
    pub listen: Option<SocketAddr>,
}

/// `tls.*`: both or none.
#[derive(Clone, Debug, Default)]
pub struct TlsConfig {
    /// PEM file with the certificate and what leads from it to an authority. Default: none, plain HTTP.
    pub cert: Option<PathBuf>,
    /// PEM file with its private key. Default: none.
    pub key: Option<PathBuf>,
}

/// `verify.*`: forward-auth.
#[derive(Clone, Debug, Default)]
pub struct VerifyConfig {
    /// Where a navigation without a session is redirected to; only for gateways that pass the redirect on (Traefik,
    /// Caddy, Envoy; not nginx). A path or an http(s) URL. Default: none, 401.
    pub login_page: Option<String>,
}

/// Who gets tokens in the body of an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TokenDelivery {
    /// Everyone but browser pages.
    #[default]
    Auto,
    /// Everyone.
    Body,
    /// Nobody.
    Cookie,
}

/// `tokens.*`
#[derive(Clone, Debug)]
pub struct TokensConfig {
    /// Default 2 minutes.
    pub access_ttl: Duration,
    /// Default 4 minutes.
    pub refresh_ttl: Duration,
}

/// `session.*`
#[derive(Clone, Debug)]
pub struct SessionConfig {
    /// Default 12 hours.
    pub max_lifetime: Duration,
    /// Default: off.
    pub idle_timeout: Option<Duration>,
}

/// `store.*`. `Debug` hides a password in the URL, and the secrets.
#[derive(Clone)]
pub struct StoreConfig {
    /// Default `memory:`.
    pub url: String,
    /// The most sessions in memory. Default 1,000,000.
    pub capacity: usize,
    /// The first seals, all open; required with Redis.
    pub secrets: Vec<Zeroizing<String>>,
    /// How long a copy of a session in Redis is used without asking. Default 5 seconds; zero: not at all.
    pub near_ttl: Duration,
    /// How long a copy is used while Redis does not answer. Default 60 seconds.
    pub stale_max: Duration,
    /// Default `async`.
    pub durability: Durability,
    /// How long the start waits for Redis. Default: not at all.
    pub wait: Option<Duration>,
    /// Certificates for a Redis that speaks TLS.
    pub tls: StoreTlsConfig,
}

/// `store.tls.*`
#[derive(Clone, Debug, Default)]
pub struct StoreTlsConfig {
    /// PEM file with the authorities that are trusted for Redis. Default: the system's.
    pub ca: Option<PathBuf>,
    /// PEM file with the certificate that authproxy shows to Redis, and what leads from it to an authority. Default:
    /// none.
    pub cert: Option<PathBuf>,
    /// PEM file with its private key. Default: none.
    pub key: Option<PathBuf>,
}

impl StoreConfig {
    /// Whether sessions are kept in this process only.
    pub fn is_memory(&self) -> bool {
        self.url == MEMORY
    }
}

/// The URL of the store that is no other server's.
const MEMORY: &str = "memory:";

/// `store.durability`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Durability {
    /// A write counts when the primary has it.
    #[default]
    Async,
    /// A write counts when a replica has it too.
    Replica,
}

/// `backend.*`
#[derive(Clone, Debug)]
pub struct BackendConfig {
    /// Default 2 seconds.
    pub connect_timeout: Duration,
    /// Default 10 seconds.
    pub timeout: Duration,
    /// Default `strict`.
    pub rotation: RotationContract,
}

/// `limits.*`: bounds on what a peer controls.
#[derive(Clone, Debug)]
pub struct LimitsConfig {
    /// Connections served at once. Default 10,000. The program lets as many wait to be accepted.
    pub connections: usize,
    /// From the first byte of a request to the end of its header. Default 10 seconds.
    pub header_timeout: Duration,
    /// For a request's whole body. Default 10 seconds.
    pub body_timeout: Duration,
    /// For a whole request on our own endpoints. Default 30 seconds.
    pub request_timeout: Duration,
    /// How long an idle connection is kept. Default 75 seconds.
    pub idle_timeout: Duration,
    /// How long a shutdown waits for requests and refreshes. Default 30 seconds.
    pub drain_timeout: Duration,
}

/// `log.*`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LogConfig {
    /// Default `text`.
    pub format: LogFormat,
    /// The least important level that is written. Default `info`.
    pub level: LogLevel,
}

/// `log.format`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// `log.level`
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(missing_docs)] // the names say it
pub enum LogLevel {
    Error,
    Warn,
    #[default]
    Info,
    Debug,
    Trace,
}

impl From<LogLevel> for tracing::Level {
    fn from(level: LogLevel) -> Self {
        match level {
            LogLevel::Error => Self::ERROR,
            LogLevel::Warn => Self::WARN,
            LogLevel::Info => Self::INFO,
            LogLevel::Debug => Self::DEBUG,
            LogLevel::Trace => Self::TRACE,
        }
    }
}

impl fmt::Debug for StoreConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("StoreConfig")
            .field("url", &field::without_password(&self.url))
            .field("capacity", &self.capacity)
            .field("secrets", &self.secrets.len())
            .field("near_ttl", &self.near_ttl)
            .field("stale_max", &self.stale_max)
            .field("durability", &self.durability)
            .field("wait", &self.wait)
            .field("tls", &self.tls)
            .finish()
    }
}

impl Default for Config {
    fn default() -> Self {
        let seconds = Duration::from_secs;
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8000)),
            admin: AdminConfig::default(),
            auth_url: None,
            public_url: None,
            allow_insecure_http: false,
            allowed_origins: Vec::new(),
            token_delivery: TokenDelivery::Auto,
            tokens: TokensConfig { access_ttl: seconds(120), refresh_ttl: seconds(240) },
            session: SessionConfig { max_lifetime: seconds(12 * 3600), idle_timeout: None },
            store: StoreConfig {
                url: MEMORY.into(),
                capacity: 1_000_000,
                secrets: Vec::new(),
                near_ttl: seconds(5),
                stale_max: seconds(60),
                durability: Durability::Async,
                wait: None,
                tls: StoreTlsConfig::default(),
            },
            backend: BackendConfig {
                connect_timeout: seconds(2),
                timeout: seconds(10),
                rotation: RotationContract::Strict,
            },
            limits: LimitsConfig {
                connections: 10_000,
                header_timeout: seconds(10),
                body_timeout: seconds(10),
                request_timeout: seconds(30),
                idle_timeout: seconds(75),
                drain_timeout: seconds(30),
            },
            log: LogConfig::default(),
            tls: TlsConfig::default(),
            trusted_proxies: Vec::new(),
            verify: VerifyConfig::default(),
            route: Vec::new(),
        }
    }
}
