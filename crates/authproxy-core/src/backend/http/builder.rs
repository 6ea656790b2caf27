//! [`HttpBackendBuilder`]: the one place that sets up the HTTP client.

use std::{fmt, sync::Arc, time::Duration};

use reqwest::{Client, Url};

use super::HttpBackend;
use crate::{
    backend::RotationContract,
    clock::{Clock, SystemClock},
};

/// Shorter than any common server keeps an idle connection (gunicorn two seconds, uvicorn, Node and Apache five), so
/// that a request hardly ever meets the close of its connection. A service under load is asked more often than this
/// and keeps its connections; the others pay a handshake and are safe.
const POOL_IDLE: Duration = Duration::from_secs(1);

/// More idle connections than this are closed at once.
const POOL_SIZE: usize = 256;

/// Makes an [`HttpBackend`].
#[must_use]
pub struct HttpBackendBuilder {
    auth_url: String,
    connect_timeout: Duration,
    timeout: Duration,
    max_body: usize,
    rotation: RotationContract,
    clock: Option<Arc<dyn Clock>>,
}

/// The auth service's URL cannot be used. Does not repeat it: it may hold a password.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidAuthUrl {
    /// Not an absolute `http` or `https` URL with a host.
    #[error("not an http or https URL with a host")]
    NotHttp,
    /// It carries a user name or password.
    #[error("a user name or password does not belong into the URL")]
    UserInfo,
    /// It carries a query or a fragment.
    #[error("a query or fragment does not belong into the URL")]
    Query,
    /// It is an `https` URL, and this machine's certificate authorities could not be loaded.
    #[error("https needs the system's certificate authorities, and none could be loaded")]
    Tls,
}

impl HttpBackendBuilder {
    pub(super) fn new(auth_url: &str) -> Self {
        Self {
            auth_url: auth_url.to_owned(),
            connect_timeout: Duration::from_secs(2),
            timeout: Duration::from_secs(10),
            max_body: 256 * 1024,
            rotation: RotationContract::Strict,
            clock: None,
        }
    }

    /// How long connecting may take, name lookup and TLS handshake included. Default 2 seconds.
    pub fn connect_timeout(mut self, connect_timeout: Duration) -> Self {
        self.connect_timeout = connect_timeout;
        self
    }

    /// How long a whole call may take, from connecting to the answer's last byte. Default 10 seconds.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// The most of an answer's body that is read. Default 256 KiB.
    pub fn max_body(mut self, bytes: usize) -> Self {
        self.max_body = bytes;
        self
    }

    /// What the service promises about refresh tokens. Default [`RotationContract::Strict`].
    pub fn rotation(mut self, rotation: RotationContract) -> Self {
        self.rotation = rotation;
        self
    }

    /// The clock by which lifetimes become instants: the manager's. Default [`SystemClock`].
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Makes the backend. Connects to nothing yet.
    ///
    /// # Errors
    ///
    /// An [`InvalidAuthUrl`] that says what is wrong with the URL.
    pub fn build(self) -> Result<HttpBackend, InvalidAuthUrl> {
        let base = parse(&self.auth_url)?;
        Ok(HttpBackend {
            http_client: self.http_client(&base)?,
            base,
            timeout: self.timeout,
            max_body: self.max_body,
            rotation: self.rotation,
            clock: self.clock.unwrap_or_else(|| Arc::new(SystemClock::new())),
            cannot_revoke_until: Arc::default(),
        })
    }

    fn http_client(&self, base: &Url) -> Result<Client, InvalidAuthUrl> {
        let client = Client::builder()
            .user_agent(concat!("authproxy/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            .connect_timeout(self.connect_timeout)
            .timeout(self.timeout)
            .pool_idle_timeout(POOL_IDLE)
            .pool_max_idle_per_host(POOL_SIZE)
            .tcp_nodelay(true)
            // Over HTTP/2 a connection that breaks takes every refresh on it along.
            .http1_only()
            // Another crate of the same program may have turned reqwest's decompression on.
            .no_gzip()
            .no_brotli()
            .no_zstd()
            .no_deflate();
        // Plain HTTP trusts nobody, so it starts also where no certificate authorities are installed.
        let client = if base.scheme() == "http" { client.tls_certs_only([]) } else { client };
        client.build().map_err(|_| InvalidAuthUrl::Tls)
    }
}

fn parse(auth_url: &str) -> Result<Url, InvalidAuthUrl> {
    // A URL parser drops tabs and line breaks in silence.
    if auth_url.contains(|character: char| character.is_whitespace() || character.is_control()) {
        return Err(InvalidAuthUrl::NotHttp);
    }
    let url = Url::parse(auth_url).map_err(|_| InvalidAuthUrl::NotHttp)?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err(InvalidAuthUrl::NotHttp);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(InvalidAuthUrl::UserInfo);
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(InvalidAuthUrl::Query);
    }
    Ok(url)
}

impl fmt::Debug for HttpBackendBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Not the URL: it is unchecked and may hold a password.
        f.debug_struct("HttpBackendBuilder")
            .field("connect_timeout", &self.connect_timeout)
            .field("timeout", &self.timeout)
            .field("max_body", &self.max_body)
            .field("rotation", &self.rotation)
            .finish_non_exhaustive()
    }
}
