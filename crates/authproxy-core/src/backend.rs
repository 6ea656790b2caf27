//! [`AuthBackend`]: what authproxy asks of an auth service, and what the service promises about refresh tokens.
//!
//! Only the manager's flight calls [`AuthBackend::refresh`]; nothing here knows about sessions or stores.

#[cfg(feature = "http")]
mod http;
#[cfg(feature = "http")]
mod wire;

use std::{fmt, sync::Arc, time::Duration};

use ::http::StatusCode;
use async_trait::async_trait;
use bytes::Bytes;
use zeroize::Zeroizing;

#[cfg(feature = "http")]
pub use self::http::{HttpBackend, HttpBackendBuilder, InvalidAuthUrl};
use crate::token::{AccessToken, RefreshToken, TokenSet};

/// An auth service.
///
/// # Contract for implementors
///
/// - *Concurrency*: every method may be called from many tasks at once. Hold no state that belongs to one user.
/// - *No hidden retries*: [`refresh`](Self::refresh) sends its request at most once and follows no redirect. The caller
///   decides what may be sent again; a backend that retries by itself would spend a refresh token twice.
/// - *Cancellation*: a dropped future may or may not have reached the service. The manager never drops a `refresh`
///   except when the request's timeout or its own shutdown's deadline passes, and then treats the outcome as ambiguous.
/// - *Honest errors*: a [`RefreshError`] says what is known about the refresh token. When in doubt, it is
///   [`RefreshError::Ambiguous`]. [`RefreshError::Rejected`] ends the session, so it needs the service's own verdict.
/// - *Secrets*: no token, password or body in an error, a log or a `Debug`.
///
/// `authproxy-testing` has a suite that checks an implementation against this contract.
#[async_trait]
pub trait AuthBackend: Send + Sync + 'static {
    /// Creates an account. The service's answer comes back as it is, whatever its status.
    ///
    /// # Errors
    ///
    /// Any [`BackendError`], when there was no usable answer.
    async fn register(&self, registration: &Registration) -> Result<Reply, BackendError>;

    /// Exchanges credentials for tokens.
    ///
    /// # Errors
    ///
    /// Any [`BackendError`], when there was no usable answer. A refusal is not an error: see [`Login::Refused`].
    async fn login(&self, credentials: &Credentials) -> Result<Login, BackendError>;

    /// Presents a refresh token (RFC 6749, section 6), once.
    ///
    /// # Errors
    ///
    /// A [`RefreshError`], by what is known about the refresh token afterwards.
    async fn refresh(&self, request: RefreshRequest<'_>) -> Result<TokenSet, RefreshError>;

    /// Asks the service to revoke what it issued (RFC 7009). By default a service cannot, and nothing happens.
    ///
    /// # Errors
    ///
    /// Any [`BackendError`]. The session is gone whatever comes back.
    async fn revoke(&self, request: RevokeRequest<'_>) -> Result<(), BackendError> {
        let _ = request;
        Ok(())
    }

    /// Calls the service's protected resource with an access token. The answer comes back as it is.
    ///
    /// # Errors
    ///
    /// Any [`BackendError`], when there was no usable answer.
    async fn protected(&self, access_token: &AccessToken) -> Result<Reply, BackendError>;

    /// What the service promises about presenting a refresh token again. Strict unless it is known to be kinder.
    fn rotation(&self) -> RotationContract {
        RotationContract::Strict
    }
}

/// What an auth service promises about a refresh token that was presented and whose answer was lost.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum RotationContract {
    /// A token is good for one presentation; a second one may revoke everything (RFC 9700, section 4.14.2).
    #[default]
    Strict,
    /// For this long after a token was rotated it is accepted again, also when its successor was used meanwhile, and
    /// no successor that it brought stops being good because of that. A service whose grace ends with the successor's
    /// first use is [`Strict`](Self::Strict): it would take a request that the network held up for a thief's.
    Grace(Duration),
    /// Refresh tokens are not rotated: presenting one again is always safe.
    Reusable,
    /// Requests with the same [`RefreshRequest::idempotency_key`] get the same answer.
    Idempotent,
}

/// Whom to register, as the seed's `POST /register` has it.
#[derive(Clone)]
pub struct Registration {
    /// The address that names the account.
    pub email: String,
    /// The password, in the clear until the service has hashed it.
    pub password: Zeroizing<String>,
}

/// What a user logs in with.
#[derive(Clone)]
#[non_exhaustive]
pub enum Credentials {
    /// The resource owner's password (RFC 6749, section 4.3): the seed's form.
    Password {
        /// The user's name.
        username: String,
        /// The user's password.
        password: Zeroizing<String>,
        /// The form's other fields, where the request had them.
        options: PasswordOptions,
    },
    /// An authorization code with its PKCE verifier (RFC 6749, section 4.1.3, and RFC 7636).
    AuthorizationCode {
        /// The code that the redirect carried.
        code: Zeroizing<String>,
        /// The redirect URI that the authorization request named.
        redirect_uri: String,
        /// The PKCE verifier.
        code_verifier: Zeroizing<String>,
    },
}

/// The optional fields of a login by password.
#[derive(Clone, Default)]
pub struct PasswordOptions {
    /// `grant_type`, normally `password`.
    pub grant_type: Option<String>,
    /// `scope`.
    pub scope: Option<String>,
    /// `client_id`.
    pub client_id: Option<String>,
    /// `client_secret`.
    pub client_secret: Option<Zeroizing<String>>,
}

impl Credentials {
    /// Name and password, with no further fields.
    pub fn password(username: impl Into<String>, password: impl Into<String>) -> Self {
        let password = Zeroizing::new(password.into());
        Self::Password { username: username.into(), password, options: PasswordOptions::default() }
    }

    /// The name that the session is opened under; empty where the credentials carry none.
    pub fn username(&self) -> &str {
        match self {
            Self::Password { username, .. } => username,
            Self::AuthorizationCode { .. } => "",
        }
    }
}

/// The outcome of a login that reached the service.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Login {
    /// The service issued tokens.
    Issued(IssuedTokens),
    /// The service refused; its answer is meant for whoever tried to log in.
    Refused(Reply),
}

/// Tokens from a login.
#[derive(Clone)]
pub struct IssuedTokens {
    /// The tokens.
    pub tokens: TokenSet,
    /// Every other field of the token response, as it came (RFC 6749, section 5.1), for those who get the body.
    pub extra: serde_json::Map<String, serde_json::Value>,
}

/// One presentation of a refresh token.
#[derive(Clone, Copy, Debug)]
pub struct RefreshRequest<'a> {
    /// The token to present.
    pub refresh_token: &'a RefreshToken,
    /// The same for every presentation of this token, different for every other token. Reveals nothing.
    pub idempotency_key: &'a str,
    /// How long the whole call may take.
    pub timeout: Duration,
}

/// What to revoke at the end of a session.
#[derive(Clone, Copy, Debug)]
pub struct RevokeRequest<'a> {
    /// The session's refresh token, where it has one.
    pub refresh_token: Option<&'a RefreshToken>,
    /// The session's access token.
    pub access_token: &'a AccessToken,
}

/// An answer of the auth service that is meant for whoever asked. `Debug` shows the status and the body's length.
#[derive(Clone)]
pub struct Reply {
    /// The answer's status.
    pub status: StatusCode,
    /// The answer's body, within the backend's bound.
    pub body: Bytes,
    /// Whether `body` is well-formed JSON.
    pub is_json: bool,
    /// The answer's `Retry-After`, where it had one in seconds.
    pub retry_after: Option<Duration>,
}

/// There was no usable answer of the auth service. Says nothing about any session.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BackendError {
    /// The request was never sent: no connection could be made.
    #[error("the auth service cannot be reached")]
    Unreachable(#[source] Cause),
    /// There was no whole answer in time.
    #[error("the auth service did not answer in time")]
    TimedOut,
    /// The answer was cut off, unreadable, too large, a redirect or a server error.
    #[error("the auth service gave no usable answer")]
    Malformed(#[source] Cause),
    /// The service said that it is overloaded.
    #[error("the auth service is overloaded")]
    Overloaded {
        /// For how long it asked to be left alone.
        retry_after: Option<Duration>,
    },
}

/// A refresh that brought no token set, by what is known about the refresh token.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RefreshError {
    /// The service's definite verdict: `invalid_grant`, or the seed service's 401. The session is over.
    #[error("the auth service rejected the refresh token")]
    Rejected(Reply),
    /// The service refused us, not the token: `invalid_client`, 403, 404. Sessions live; the configuration is wrong.
    #[error("the auth service refused the request itself")]
    ClientRejected(Reply),
    /// The token was never presented, or was refused unprocessed. It may be presented again.
    #[error("the refresh was not processed")]
    NotProcessed {
        /// For how long the service asked to be left alone.
        retry_after: Option<Duration>,
        /// What prevented it.
        #[source]
        cause: Cause,
    },
    /// The token was possibly presented and the answer is unknown.
    #[error("the outcome of the refresh is unknown")]
    Ambiguous {
        /// For how long the service asked to be left alone.
        retry_after: Option<Duration>,
        /// The new refresh token, where an answer without a usable access token still held one.
        salvaged: Option<RefreshToken>,
        /// What hid the answer.
        #[source]
        cause: Cause,
    },
}

/// Why something failed: an opaque cause for logs, without bodies, tokens or URLs.
#[derive(Clone, Debug)]
pub struct Cause(Arc<dyn std::error::Error + Send + Sync>);

impl Cause {
    /// Wraps a foreign error or a message.
    pub fn new(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(Arc::from(cause.into()))
    }
}

impl fmt::Display for Cause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::error::Error for Cause {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        self.0.source()
    }
}

impl fmt::Debug for Reply {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reply")
            .field("status", &self.status)
            .field("body_bytes", &self.body.len())
            .finish_non_exhaustive()
    }
}

impl fmt::Debug for Registration {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Registration([redacted])")
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Password { .. } => "Credentials::Password([redacted])",
            Self::AuthorizationCode { .. } => "Credentials::AuthorizationCode([redacted])",
        })
    }
}

impl fmt::Debug for PasswordOptions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("PasswordOptions([redacted])")
    }
}

impl fmt::Debug for IssuedTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("IssuedTokens").field("tokens", &self.tokens).finish_non_exhaustive()
    }
}
