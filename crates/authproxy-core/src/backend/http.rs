//! [`HttpBackend`]: an auth service spoken to over HTTP, by the seed's contract. The only file that knows reqwest.

mod classify;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header};
use reqwest::{RequestBuilder, Url};
use zeroize::{Zeroize, Zeroizing};

use self::classify::Answer;
use super::{
    AuthBackend, BackendError, Cause, Credentials, IssuedTokens, Login, RefreshError, RefreshRequest, Registration,
    Reply, RevokeRequest, RotationContract,
    wire::{self, RefreshBody, RegisterBody},
};
use crate::{
    clock::{Clock, SystemClock},
    token::{AccessToken, TokenSet},
};

/// No longer than services commonly keep an idle connection, so that none is reused while it is being closed.
const POOL_IDLE: Duration = Duration::from_secs(4);

/// An auth service over HTTP that speaks the seed's contract: `/register`, `/login`, `/refresh`, `/protected`, and
/// `/revoke` (RFC 7009) where it has one.
///
/// Its HTTP client follows no redirect, repeats nothing, asks no proxy, keeps no cookies and bounds every answer in
/// time and size. Cloning shares the connections.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use authproxy_core::{HttpBackend, backend::RotationContract};
///
/// let backend = HttpBackend::builder("https://auth.example.com")
///     .timeout(Duration::from_secs(5))
///     .rotation(RotationContract::Grace(Duration::from_secs(10)))
///     .build()?;
/// # let _ = backend; Ok(()) }
/// ```
#[derive(Clone)]
pub struct HttpBackend {
    http_client: reqwest::Client,
    base: Url,
    max_body: usize,
    rotation: RotationContract,
    clock: Arc<dyn Clock>,
    cannot_revoke: Arc<AtomicBool>,
}

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
    /// The TLS client could not be made.
    #[error("the TLS client could not be made")]
    Tls,
}

impl HttpBackend {
    /// Starts to make a backend for the service at `auth_url`: `http` or `https`, perhaps with a path that every
    /// endpoint stands below.
    pub fn builder(auth_url: &str) -> HttpBackendBuilder {
        HttpBackendBuilder {
            auth_url: auth_url.to_owned(),
            connect_timeout: Duration::from_secs(2),
            timeout: Duration::from_secs(10),
            max_body: 256 * 1024,
            rotation: RotationContract::Strict,
            clock: None,
        }
    }

    fn url(&self, endpoint: &str) -> Url {
        let mut url = self.base.clone();
        let path = format!("{}/{endpoint}", self.base.path().trim_end_matches('/'));
        url.set_path(&path);
        url
    }

    /// Sends a request once and reads the answer within its bounds.
    async fn send(&self, request: RequestBuilder) -> Result<Answer, SendError> {
        let mut response = request.send().await.map_err(SendError::from)?;
        let (status, retry_after) = (response.status(), retry_after(response.headers()));
        let mut body = Zeroizing::new(Vec::new());
        let whole = loop {
            match response.chunk().await {
                Ok(Some(chunk)) if body.len() + chunk.len() > self.max_body => break false,
                Ok(Some(chunk)) => extend_wiping(&mut body, &chunk),
                Ok(None) => break true,
                Err(_) => break false,
            }
        };
        let is_json = whole && serde_json::from_slice::<serde::de::IgnoredAny>(&body).is_ok();
        let reply = Reply { status, body: Bytes::from_owner(body), is_json, retry_after };
        Ok(Answer { reply, whole })
    }

    /// An answer that is for whoever asked: success or refusal, whole.
    async fn reply(&self, request: RequestBuilder) -> Result<Reply, BackendError> {
        let Answer { reply, whole } = self.send(request).await.map_err(SendError::into_backend_error)?;
        match reply.status {
            _ if !whole => Err(malformed("the answer was cut off or too large")),
            StatusCode::SERVICE_UNAVAILABLE => Err(BackendError::Overloaded { retry_after: reply.retry_after }),
            status if status.is_success() || status.is_client_error() => Ok(reply),
            status if status.is_redirection() => Err(malformed("a redirect")),
            _ => Err(malformed("a server error")),
        }
    }
}

impl HttpBackendBuilder {
    /// How long connecting may take, TLS included. Default 2 seconds.
    pub fn connect_timeout(mut self, connect_timeout: Duration) -> Self {
        self.connect_timeout = connect_timeout;
        self
    }

    /// How long a whole call may take. Default 10 seconds.
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
        let base = Url::parse(&self.auth_url).map_err(|_| InvalidAuthUrl::NotHttp)?;
        if !matches!(base.scheme(), "http" | "https") || base.host_str().is_none_or(str::is_empty) {
            return Err(InvalidAuthUrl::NotHttp);
        }
        if !base.username().is_empty() || base.password().is_some() {
            return Err(InvalidAuthUrl::UserInfo);
        }
        if base.query().is_some() || base.fragment().is_some() {
            return Err(InvalidAuthUrl::Query);
        }
        let http_client = reqwest::Client::builder()
            .user_agent(concat!("authproxy/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .referer(false)
            .no_proxy()
            .connect_timeout(self.connect_timeout)
            .timeout(self.timeout)
            .pool_idle_timeout(POOL_IDLE)
            .tcp_nodelay(true)
            .http1_only()
            .build()
            .map_err(|_| InvalidAuthUrl::Tls)?;
        Ok(HttpBackend {
            http_client,
            base,
            max_body: self.max_body,
            rotation: self.rotation,
            clock: self.clock.unwrap_or_else(|| Arc::new(SystemClock::new())),
            cannot_revoke: Arc::default(),
        })
    }
}

#[async_trait]
impl AuthBackend for HttpBackend {
    async fn register(&self, registration: &Registration) -> Result<Reply, BackendError> {
        let body = RegisterBody { email: &registration.email, password: &registration.password };
        self.reply(json(self.http_client.post(self.url("register")), &body)).await
    }

    async fn login(&self, credentials: &Credentials) -> Result<Login, BackendError> {
        let Credentials::Password { username, password, options } = credentials else {
            return Err(malformed("the seed's contract has no authorization codes"));
        };
        let fields = [
            ("username", Some(username.as_str())),
            ("password", Some(password.as_str())),
            ("grant_type", options.grant_type.as_deref()),
            ("scope", options.scope.as_deref()),
            ("client_id", options.client_id.as_deref()),
            ("client_secret", options.client_secret.as_ref().map(|secret| secret.as_str())),
        ];
        let fields: Vec<_> = fields.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
        let reply = self.reply(form(self.http_client.post(self.url("login")), &fields)).await?;
        if !reply.status.is_success() {
            return Ok(Login::Refused(reply));
        }
        let (tokens, extra) = wire::parse_tokens(&reply.body, self.clock.now()).map_err(malformed)?;
        Ok(Login::Issued(IssuedTokens { tokens, extra }))
    }

    async fn refresh(&self, request: RefreshRequest<'_>) -> Result<TokenSet, RefreshError> {
        let body = RefreshBody { refresh_token: request.refresh_token.expose_secret() };
        let post = json(self.http_client.post(self.url("refresh")), &body)
            .header("idempotency-key", request.idempotency_key)
            .timeout(request.timeout);
        match self.send(post).await {
            Ok(answer) => classify::refreshed(answer, self.clock.now()),
            Err(SendError::NotSent(cause)) => Err(RefreshError::NotProcessed { retry_after: None, cause }),
            Err(SendError::TimedOut(cause) | SendError::Lost(cause)) => {
                Err(RefreshError::Ambiguous { retry_after: None, salvaged: None, cause })
            }
        }
    }

    async fn revoke(&self, request: RevokeRequest<'_>) -> Result<(), BackendError> {
        if self.cannot_revoke.load(Ordering::Relaxed) {
            return Ok(());
        }
        let (token, hint) = match request.refresh_token {
            Some(refresh_token) => (refresh_token.expose_secret(), "refresh_token"),
            None => (request.access_token.expose_secret(), "access_token"),
        };
        let fields = [("token", token), ("token_type_hint", hint)];
        let reply = self.reply(form(self.http_client.post(self.url("revoke")), &fields)).await?;
        match reply.status {
            status if status.is_success() => Ok(()),
            StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED => {
                self.cannot_revoke.store(true, Ordering::Relaxed); // the seed's service has no such endpoint
                Ok(())
            }
            _ => Err(malformed("the revocation was refused")),
        }
    }

    async fn protected(&self, access_token: &AccessToken) -> Result<Reply, BackendError> {
        let get = self.http_client.get(self.url("protected"));
        self.reply(get.header(header::AUTHORIZATION, access_token.authorization().clone())).await
    }

    fn rotation(&self) -> RotationContract {
        self.rotation
    }
}

impl fmt::Debug for HttpBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpBackend")
            .field("base", &self.base.as_str())
            .field("rotation", &self.rotation)
            .finish_non_exhaustive()
    }
}

/// Why a request brought no answer, by what the service may have seen of it.
enum SendError {
    NotSent(Cause),
    TimedOut(Cause),
    Lost(Cause),
}

impl From<reqwest::Error> for SendError {
    fn from(error: reqwest::Error) -> Self {
        let error = error.without_url();
        if error.is_connect() || error.is_builder() {
            Self::NotSent(Cause::new(error))
        } else if error.is_timeout() {
            Self::TimedOut(Cause::new(error))
        } else {
            Self::Lost(Cause::new(error))
        }
    }
}

impl SendError {
    fn into_backend_error(self) -> BackendError {
        match self {
            Self::NotSent(cause) => BackendError::Unreachable(cause),
            Self::TimedOut(_) => BackendError::TimedOut,
            Self::Lost(cause) => BackendError::Malformed(cause),
        }
    }
}

fn json(request: RequestBuilder, body: &impl serde::Serialize) -> RequestBuilder {
    let body = Zeroizing::new(serde_json::to_vec(body).expect("strings serialize"));
    with_body(request, "application/json", body)
}

fn form(request: RequestBuilder, fields: &[(&str, &str)]) -> RequestBuilder {
    let body = serde_urlencoded::to_string(fields).expect("strings serialize");
    with_body(request, "application/x-www-form-urlencoded", Zeroizing::new(body.into_bytes()))
}

/// The body's buffer holds a password or a token; it is wiped once it has been sent.
fn with_body(request: RequestBuilder, content_type: &'static str, body: Zeroizing<Vec<u8>>) -> RequestBuilder {
    request
        .header(header::CONTENT_TYPE, HeaderValue::from_static(content_type))
        .header(header::ACCEPT, HeaderValue::from_static("application/json"))
        .body(Bytes::from_owner(body))
}

/// Grows a buffer without leaving its old, smaller self behind unwiped.
fn extend_wiping(body: &mut Zeroizing<Vec<u8>>, chunk: &[u8]) {
    if body.len() + chunk.len() > body.capacity() {
        let mut larger = Vec::with_capacity((body.len() + chunk.len()).next_power_of_two());
        larger.extend_from_slice(body);
        body.zeroize();
        **body = larger;
    }
    body.extend_from_slice(chunk);
}

fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim().parse().ok().map(Duration::from_secs)
}

fn malformed(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> BackendError {
    BackendError::Malformed(Cause::new(cause))
}
