//! What a [`FakeAuthService`](super::FakeAuthService) can be told to do with a request or a connection.

use std::time::Duration;

use crate::{Answer, Gate};

/// An endpoint of the seed's contract.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// `POST /register`.
    Register,
    /// `POST /login`.
    Login,
    /// `POST /refresh`.
    Refresh,
    /// `GET /protected`.
    Protected,
    /// `POST /revoke`.
    Revoke,
}

impl Endpoint {
    /// Every endpoint.
    pub const ALL: [Self; 5] = [Self::Register, Self::Login, Self::Refresh, Self::Protected, Self::Revoke];

    /// The endpoint's path.
    pub fn path(self) -> &'static str {
        match self {
            Self::Register => "/register",
            Self::Login => "/login",
            Self::Refresh => "/refresh",
            Self::Protected => "/protected",
            Self::Revoke => "/revoke",
        }
    }

    pub(super) fn method(self) -> &'static str {
        if self == Self::Protected { "GET" } else { "POST" }
    }

    pub(super) fn of(path: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|endpoint| endpoint.path() == path)
    }
}

/// What happens to one request that was read. "Processed" means that the service did what the request asks for.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Misbehaviour {
    /// None: processed and answered.
    None,
    /// Processed and answered after this long.
    Delay(Duration),
    /// Waits at the gate, then processed and answered.
    HoldBefore(Gate),
    /// Processed, waits at the gate, then answered.
    HoldAfter(Gate),
    /// Not processed, and never answered.
    NeverAnswer,
    /// Processed, and never answered.
    LoseAnswer,
    /// Not processed; the connection is reset.
    ResetBefore,
    /// Processed; the connection is reset before the answer.
    ResetAfter,
    /// Processed; the connection is closed in order, without an answer.
    CloseAfter,
    /// Processed; reset in the middle of the answer's head.
    ResetInHead,
    /// Processed; reset in the middle of the answer's body.
    ResetInBody,
    /// Processed; closed in order in the middle of the answer's body.
    Truncate,
    /// Not processed; this answer instead.
    Answer(Answer),
    /// Not processed; these bytes instead, then closed.
    Raw(Vec<u8>),
    /// Not processed; 429, with a Retry-After of so many seconds.
    TooManyRequests(Option<u64>),
    /// Not processed; 503, with a Retry-After of so many seconds.
    Unavailable(Option<u64>),
    /// Not processed; a page of HTML with 200, as a captive portal sends it.
    Html,
    /// Not processed; a redirect to the same URL that keeps the method and body (307).
    RedirectToItself,
    /// Not processed; 200 and JSON that never ends.
    EndlessBody,
    /// Processed; the answer comes one byte at a time, each after this long.
    Dribble(Duration),
    /// Processed; one member of the answer's object is replaced by this JSON text, or left out.
    Member(&'static str, Option<&'static str>),
    /// Processed; the answer's object has one member twice, the second time with this JSON text.
    DuplicateMember(&'static str, &'static str),
    /// Processed; the answer is compressed although nobody asked for it.
    Gzip,
}

/// What happens to a connection before anything is read from it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ConnectionFault {
    /// Nothing: it is served.
    None,
    /// It is reset at once.
    Reset,
    /// It is kept open; nothing is read and nothing written.
    Silence,
}
