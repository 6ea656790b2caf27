//! The errors that callers of the manager see, named by what the caller must do.

use std::time::Duration;

use crate::{
    backend::{BackendError, Cause, Reply},
    session::DeathReason,
};

/// The session store could not be asked, or its answer did not arrive.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the session store is unavailable")]
pub struct StoreError(#[source] Cause);

impl StoreError {
    /// Wraps what went wrong; it must hold no secret.
    pub fn new(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(Cause::new(cause))
    }
}

/// There is no access token to hand out. Two families, never mixed: the user must act, or time must pass.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TokenError {
    /// No retry will help: the user must log in again (401).
    #[error("the user must log in again: {0}")]
    LogInAgain(LogInReason),
    /// The session lives, but nothing can be handed out now (503 with `Retry-After`). Keep the cookie.
    #[error("no access token can be had now: {reason}")]
    Unavailable {
        /// What stands in the way.
        reason: Unavailability,
        /// When it is worth asking again.
        retry_after: Duration,
    },
}

/// Why the user must log in again.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LogInReason {
    /// No session has this key: it never existed, was logged out, or was forgotten long after its end.
    #[error("there is no such session")]
    Unknown,
    /// The session has ended.
    #[error("the session has ended ({0:?})")]
    Ended(DeathReason),
}

/// What keeps a living session from an access token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Unavailability {
    /// The auth service does not answer, or not usefully.
    #[error("the auth service is failing")]
    Backend,
    /// The auth service refuses this proxy itself; its configuration needs an operator.
    #[error("the auth service refuses this proxy")]
    Misconfigured,
    /// The session store does not answer.
    #[error("the session store is failing")]
    Store,
    /// The caller's deadline came before the refresh ended, which goes on.
    #[error("the refresh is taking longer than the caller can wait")]
    Deadline,
    /// More refreshes are waiting than the manager admits.
    #[error("too many refreshes are waiting")]
    Overloaded,
    /// The manager is shutting down.
    #[error("the manager is shutting down")]
    ShuttingDown,
    /// A task of the manager's panicked; this is a bug.
    #[error("an internal failure")]
    Internal,
}

/// A login that opened no session.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The auth service refused the credentials; its answer is for the one who tried.
    #[error("the auth service refused the login")]
    Refused(Reply),
    /// The auth service gave no usable answer.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The store holds as many sessions as it may. What the service issued is being revoked.
    #[error("no room for another session")]
    Full,
    /// The session could not be stored, or the manager is shutting down. What the service issued is being revoked.
    #[error("no session can be opened now: {0}")]
    Unavailable(Unavailability),
}

/// A refresh by hand that brought no tokens.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ExchangeError {
    /// The auth service refused the refresh token, or this proxy; its answer is for the one who asked.
    #[error("the auth service refused the refresh token")]
    Refused(Reply),
    /// The token belongs to a session that has ended, or was exchanged before. It never reaches the service again.
    #[error("the refresh token is spent")]
    Spent,
    /// The auth service gave no usable answer.
    #[error(transparent)]
    Backend(#[from] BackendError),
    /// The session lives, but cannot be refreshed now. The same token may be presented again later.
    #[error("no refresh is possible now: {reason}")]
    Unavailable {
        /// What stands in the way.
        reason: Unavailability,
        /// When it is worth asking again.
        retry_after: Duration,
    },
}

/// A logout that could not be carried out: the session may still be there. Say so, and keep the cookie.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the session could not be removed")]
pub struct CloseError(#[from] StoreError);
