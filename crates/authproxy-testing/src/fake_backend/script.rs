//! What a [`FakeBackend`](super::FakeBackend) can be told to do with a call.

use std::time::Duration;

use crate::Gate;

/// A kind of call to an auth service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Call {
    /// [`AuthBackend::register`](authproxy_core::backend::AuthBackend::register).
    Register,
    /// [`AuthBackend::login`](authproxy_core::backend::AuthBackend::login).
    Login,
    /// [`AuthBackend::refresh`](authproxy_core::backend::AuthBackend::refresh).
    Refresh,
    /// [`AuthBackend::revoke`](authproxy_core::backend::AuthBackend::revoke).
    Revoke,
    /// [`AuthBackend::protected`](authproxy_core::backend::AuthBackend::protected).
    Protected,
}

/// What the next refresh is to do instead of simply working.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Scripted {
    /// Work after all.
    Work,
    /// Refuse unprocessed, as a 429 does.
    NotProcessed(Option<Duration>),
    /// Refuse the proxy itself, as `invalid_client` does.
    ClientRejected,
    /// Pass a verdict on the token without looking at it.
    Rejected,
    /// Fail before the service has seen the token, and not know it.
    LostBefore,
    /// Rotate, and lose the answer.
    LostAfter,
    /// Rotate, and answer so badly that only the new refresh token can be read.
    Salvageable,
    /// Panic before the service has seen the token.
    PanicBefore,
    /// Rotate, and panic.
    PanicAfter,
    /// Wait at the gate before the service sees the token.
    HoldBefore(Gate),
    /// Rotate, and wait at the gate before answering.
    HoldAfter(Gate),
    /// Take this long before the service sees the token.
    Slow(Duration),
    /// Rotate, and answer only when the request's timeout has passed, that it has.
    TimedOutAfter,
    /// Issue an access token with this life.
    AccessTtl(Option<Duration>),
    /// Issue an access token but keep the refresh token (RFC 6749, section 6).
    KeepRefreshToken,
}

/// What the next call that is no refresh is to do instead of simply working.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum CallFault {
    /// Work after all.
    Work,
    /// Not reach the service.
    Unreachable,
    /// Be processed, with an answer that does not come in time.
    TimedOut,
    /// Be processed, with an answer that is unusable.
    Malformed,
    /// Be refused unprocessed, with a request to be left alone for so long.
    Overloaded(Option<Duration>),
    /// Be refused by the service: 401.
    Refused,
    /// Issue no refresh token. A login only; every other call works.
    WithoutRefreshToken,
    /// Panic before the service sees the call.
    Panic,
    /// Wait at the gate before the service sees the call.
    HoldBefore(Gate),
    /// Be processed, and wait at the gate before answering.
    HoldAfter(Gate),
}
