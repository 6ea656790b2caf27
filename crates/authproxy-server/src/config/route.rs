//! `[[route]]`: an API behind the session.
//!
//! [`ROUTE_KEYS`](keys::ROUTE_KEYS) is the one table of what a route can say, [`check_routes`](rules::check_routes) what
//! its values must be to each other and to those of other routes.

mod headers;
mod overlap;
mod value;

pub mod keys;
pub(super) mod read;
pub mod rules;

use std::{path::PathBuf, time::Duration};

use http::{HeaderName, HeaderValue, Method};

use super::upstream::UpstreamUrl;

/// One API behind the session.
///
/// ```
/// use authproxy_server::config::{RouteConfig, UpstreamUrl};
///
/// let upstream: UpstreamUrl = "http://127.0.0.1:9000".parse()?;
/// let mut route = RouteConfig::new("/api", upstream);
/// route.strip_prefix = true;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RouteConfig {
    /// The paths it serves: this one and those below it. Begins with a slash; ends with one only when it is `/`.
    pub prefix: String,
    /// The host it serves, in lower case, without a port. Default: every host.
    pub host: Option<String>,
    /// Where the resource server is.
    pub upstream: UpstreamUrl,
    /// PEM file with the authorities that an https upstream's certificate must come from. Default: the system's.
    pub upstream_ca: Option<PathBuf>,
    /// Whether the upstream gets the path without the prefix. Default: no.
    pub strip_prefix: bool,
    /// What the upstream gets instead of the prefix. Default: the prefix itself.
    pub rewrite_prefix: Option<String>,
    /// Who may call it. Default: those with a session.
    pub access: RouteAccess,
    /// The methods it serves. Default, when empty: all.
    pub methods: Vec<Method>,
    /// Whether the upstream gets the browser's `Host` instead of its own. Default: no.
    pub preserve_host: bool,
    /// Where a navigation without a session is sent to log in, a path or an http(s) URL; other requests get 401.
    /// Default: none, navigations get 401 too.
    pub login_page: Option<String>,
    /// The header that carries the access token. Default: `Authorization`, as `Bearer`; any other holds the bare token.
    pub token_header: Option<HeaderName>,
    /// The header that carries the user's name. Default: none.
    pub user_header: Option<HeaderName>,
    /// Headers that carry a claim of a JWT access token: text, number or boolean, not checked. Default: none.
    pub claim_headers: Vec<(HeaderName, String)>,
    /// What the upstream gets in addition; replaces the browser's own. Default: nothing. Mark values that are secrets as
    /// sensitive: `Debug` then hides them. The configuration file's all are.
    pub add_request_headers: Vec<(HeaderName, HeaderValue)>,
    /// What the upstream does not get. Default: nothing beyond what no upstream gets.
    pub remove_request_headers: Vec<HeaderName>,
    /// Which names with an underscore cross; all others are dropped, for many servers read `_` as `-`. Default: none.
    pub underscore_headers: Vec<HeaderName>,
    /// What the browser gets in addition; replaces the upstream's own. Default: nothing.
    pub add_response_headers: Vec<(HeaderName, HeaderValue)>,
    /// What of the upstream's answer the browser does not get; our own session cookie is none of it. Default: nothing.
    pub remove_response_headers: Vec<HeaderName>,
    /// For connecting to the upstream, TLS included, and for waiting for a free connection. Default 2 seconds.
    pub connect_timeout: Duration,
    /// From the request's end to the first byte of the upstream's answer. Default 30 seconds.
    pub first_byte_timeout: Duration,
    /// The longest silence inside a body, in either direction, and of a tunnel. Default 5 minutes.
    pub idle_timeout: Duration,
    /// The most bytes of a request's body. Default 10 MiB.
    pub body_limit: u64,
    /// The most connections to the upstream at once. Default 512.
    pub max_connections: usize,
}

impl RouteConfig {
    /// A route for those with a session, with every default.
    pub fn new(prefix: impl Into<String>, upstream: UpstreamUrl) -> Self {
        Self {
            prefix: prefix.into(),
            host: None,
            upstream,
            upstream_ca: None,
            strip_prefix: false,
            rewrite_prefix: None,
            access: RouteAccess::default(),
            methods: Vec::new(),
            preserve_host: false,
            login_page: None,
            token_header: None,
            user_header: None,
            claim_headers: Vec::new(),
            add_request_headers: Vec::new(),
            remove_request_headers: Vec::new(),
            underscore_headers: Vec::new(),
            add_response_headers: Vec::new(),
            remove_response_headers: Vec::new(),
            connect_timeout: Duration::from_secs(2),
            first_byte_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(300),
            body_limit: 10 * 1024 * 1024,
            max_connections: 512,
        }
    }
}

/// Who may call a route.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RouteAccess {
    /// Those with a session; the upstream gets the session's access token.
    #[default]
    Session,
    /// Those who bring a Bearer token (RFC 6750), which is passed on.
    Bearer,
    /// Everyone.
    Public,
}
