//! [`HttpBackend`]: an auth service spoken to over HTTP, by the seed's contract. Only this file and its submodules
//! know reqwest: `builder` sets the HTTP client up, `exchange` sends and reads, `classify` says what an answer means.

mod builder;
mod classify;
mod exchange;
mod once;
mod retry_after;

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use http::{StatusCode, header};
use reqwest::Url;
use zeroize::Zeroizing;

pub use self::builder::{HttpBackendBuilder, InvalidAuthUrl};
use self::{
    classify::malformed,
    exchange::{FORM, JSON, Outgoing},
};
use super::{
    AuthBackend, BackendError, Credentials, IssuedTokens, Login, RefreshError, RefreshRequest, Registration, Reply,
    RevokeRequest, RotationContract,
    wire::{self, ErrorCode, RefreshBody, RegisterBody},
};
use crate::{
    clock::Clock,
    token::{AccessToken, TokenSet},
};

/// How long a service that said that it cannot revoke is not asked to. It may have been a gateway that said so.
const ASK_TO_REVOKE_AGAIN_AFTER: Duration = Duration::from_mins(10);

/// An auth service over HTTP that speaks the seed's contract: `/register`, `/login`, `/refresh`, `/protected`, and
/// `/revoke` (RFC 7009) where it has one. It has no login by authorization code: that is [`BackendError::Malformed`].
///
/// Cloning shares the connections.
///
/// ```
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use std::time::Duration;
/// use authproxy_core::{HttpBackend, backend::RotationContract};
///
/// let backend = HttpBackend::builder("http://127.0.0.1:9000")
///     .timeout(Duration::from_secs(5))
///     .rotation(RotationContract::Grace(Duration::from_secs(10)))
///     .build()?;
/// # let _ = backend; Ok(()) }
/// ```
///
/// # The HTTP client
///
/// It speaks HTTP/1.1, follows no redirect, asks no proxy (also not one from the environment), sends no `Referer`,
/// keeps no cookies, unpacks no compression, and bounds every answer in time and size. Its TLS is rustls with the
/// program's default crypto provider where one is installed, else aws-lc-rs; it installs none. An `https` service is
/// checked against the system's certificate authorities.
///
/// # One request, sent once
///
/// A request's body, and with it the refresh token, is handed to a connection once. A kept-alive connection that turns
/// out to be closed before that is replaced in silence, as nothing was sent; after that nothing is ever repeated.
/// [`RefreshError::NotProcessed`] without an answer means that the body has not left this process and never will,
/// whether connecting failed (name, TCP, TLS), took too long, or never began. What remains is a service that closes an
/// idle connection in the very moment in which a request is written to it: that is [`RefreshError::Ambiguous`], as
/// nobody can tell whether the request was read. Connections are kept for one second only, so that it is rare.
///
/// # Lifetimes
///
/// Read from `expires_in`, from `refresh_expires_in` or `refresh_token_expires_in`, and from `refresh_in`, counted
/// from when the tokens were asked for, so that none is thought valid for longer than it is:
///
/// | sent | understood as |
/// |---|---|
/// | `120`, `"120"` | 120 seconds |
/// | `120.9`, `1e3` | whole seconds: 120, 1000 |
/// | zero, negative | of an access token: expired on arrival; else not sent: a refresh token without expiry has zero |
/// | more than ten years, `18446744073709551615`, `1e300` | ten years |
/// | nothing, `null`, other text, `true`, an array, an object | not sent |
///
/// Where no lifetime was sent, the `exp` of a token that is a JWT is taken as a hint, unverified and at most ten years
/// away; where there is none, the expiry is `None`.
#[derive(Clone)]
pub struct HttpBackend {
    http_client: reqwest::Client,
    base: Url,
    timeout: Duration,
    max_body: usize,
    rotation: RotationContract,
    clock: Arc<dyn Clock>,
    /// Until when, in milliseconds, the service counts as one that cannot revoke.
    cannot_revoke_until: Arc<AtomicU64>,
}

impl HttpBackend {
    /// Starts to make a backend for the service at `auth_url`: `http` or `https`, perhaps with a path that every
    /// endpoint stands below.
    pub fn builder(auth_url: &str) -> HttpBackendBuilder {
        HttpBackendBuilder::new(auth_url)
    }

    fn url(&self, endpoint: &str) -> Url {
        let mut url = self.base.clone();
        url.set_path(&format!("{}/{endpoint}", self.base.path().trim_end_matches('/')));
        url
    }

    fn post_json(&self, endpoint: &str, body: &impl serde::Serialize) -> Outgoing {
        let body = serde_json::to_vec(body).expect("strings serialize");
        Outgoing::post(self.http_client.post(self.url(endpoint)), JSON, Zeroizing::new(body))
    }

    fn post_form(&self, endpoint: &str, fields: &[(&str, Option<&str>)]) -> Outgoing {
        let body = serde_urlencoded::to_string(fields).expect("strings serialize");
        Outgoing::post(self.http_client.post(self.url(endpoint)), FORM, Zeroizing::new(body.into_bytes()))
    }

    async fn reply(&self, request: Outgoing) -> Result<Reply, BackendError> {
        classify::replied(request.exchange(self.max_body, self.clock.now()).await)
    }

    /// Revokes one token. A service that knows no such endpoint is not asked again for a while.
    async fn revoke_one(&self, token: &str, hint: &str) -> Result<(), BackendError> {
        let now = self.clock.now();
        if now.as_millis() < self.cannot_revoke_until.load(Ordering::Relaxed) {
            return Ok(());
        }
        let request = self.post_form("revoke", &[("token", Some(token)), ("token_type_hint", Some(hint))]);
        let outcome = request.exchange(self.max_body, now).await;
        if let Ok(answer) = &outcome
            && matches!(
                answer.status,
                StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED | StatusCode::NOT_IMPLEMENTED
            )
        {
            self.cannot_revoke_until.store(now.plus(ASK_TO_REVOKE_AGAIN_AFTER).as_millis(), Ordering::Relaxed);
            return Ok(());
        }
        let reply = classify::replied(outcome)?;
        // RFC 7009, section 2.2.1: services may be unable to revoke access tokens.
        let settled = reply.status.is_success() || wire::error_code(&reply.body) == ErrorCode::UnsupportedTokenType;
        if settled { Ok(()) } else { Err(malformed("a refusal to revoke")) }
    }
}

#[async_trait]
impl AuthBackend for HttpBackend {
    async fn register(&self, registration: &Registration) -> Result<Reply, BackendError> {
        let body = RegisterBody { email: &registration.email, password: &registration.password };
        self.reply(self.post_json("register", &body)).await
    }

    async fn login(&self, credentials: &Credentials) -> Result<Login, BackendError> {
        let Credentials::Password { username, password, options } = credentials else {
            return Err(malformed("this service's contract has no login by authorization code"));
        };
        let asked_at = self.clock.now();
        let fields = [
            ("username", Some(username.as_str())),
            ("password", Some(password.as_str())),
            ("grant_type", options.grant_type.as_deref()),
            ("scope", options.scope.as_deref()),
            ("client_id", options.client_id.as_deref()),
            ("client_secret", options.client_secret.as_ref().map(|secret| secret.as_str())),
        ];
        let reply = self.reply(self.post_form("login", &fields)).await?;
        if !reply.status.is_success() {
            return Ok(Login::Refused(reply));
        }
        let (tokens, extra) = wire::parse_tokens(&reply.body, asked_at).map_err(malformed)?;
        Ok(Login::Issued(IssuedTokens { tokens, extra }))
    }

    /// Takes a little less than [`RefreshRequest::timeout`], at most a tenth of a second, so that a caller who counts
    /// the same time hears what is known about the token. Never longer than the builder's timeout.
    async fn refresh(&self, request: RefreshRequest<'_>) -> Result<TokenSet, RefreshError> {
        let asked_at = self.clock.now();
        let margin = (request.timeout / 20).min(Duration::from_millis(100));
        let post = self
            .post_json("refresh", &RefreshBody { refresh_token: request.refresh_token.expose_secret() })
            .header("idempotency-key", request.idempotency_key)
            .timeout(self.timeout.min(request.timeout.saturating_sub(margin)));
        classify::refreshed(post.exchange(self.max_body, asked_at).await, request.refresh_token, asked_at)
    }

    /// The refresh token first: with it go the access tokens of its grant (RFC 7009, section 2.1), where the service
    /// does as it should. The access token follows, as it may outlive a service that does not.
    async fn revoke(&self, request: RevokeRequest<'_>) -> Result<(), BackendError> {
        let refreshing = match request.refresh_token {
            Some(token) => self.revoke_one(token.expose_secret(), "refresh_token").await,
            None => Ok(()),
        };
        match refreshing {
            // It would not answer for the other token either.
            Err(BackendError::Unreachable(_) | BackendError::TimedOut | BackendError::Overloaded { .. }) => refreshing,
            answered => answered.and(self.revoke_one(request.access_token.expose_secret(), "access_token").await),
        }
    }

    async fn protected(&self, access_token: &AccessToken) -> Result<Reply, BackendError> {
        let get = self.http_client.get(self.url("protected"));
        self.reply(Outgoing::get(get.header(header::AUTHORIZATION, access_token.authorization().clone()))).await
    }

    fn rotation(&self) -> RotationContract {
        self.rotation
    }
}

impl fmt::Debug for HttpBackend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpBackend")
            .field("auth_service", &self.base.origin().ascii_serialization())
            .field("rotation", &self.rotation)
            .finish_non_exhaustive()
    }
}
