//! Sessions: the [`SessionId`] in the cookie, the [`SessionKey`] that everything else uses, and the [`Session`]
//! that stores publish.
//!
//! A session id is a bearer credential: it is never stored, logged or printed. A key cannot be turned back into it.

mod published;

use std::{
    fmt,
    hash::{Hash, Hasher},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

pub(crate) use self::published::SessionBlock;
pub use self::published::{Session, SessionFacts};
use crate::clock::Timestamp;

const ID_BYTES: usize = 32;
const ID_CHARS: usize = 43;

/// The cookie's value: 256 random bits, 43 characters of base64url (RFC 4648, section 5, without padding).
pub struct SessionId(Zeroizing<[u8; ID_CHARS]>);

impl SessionId {
    /// Draws a new id from the operating system.
    ///
    /// # Panics
    ///
    /// When the operating system has no randomness to give: nothing safe can be done then.
    pub fn random() -> Self {
        let mut bytes = Zeroizing::new([0; ID_BYTES]);
        getrandom::fill(bytes.as_mut_slice()).expect("the operating system gives randomness");
        let mut text = Zeroizing::new([0; ID_CHARS]);
        URL_SAFE_NO_PAD.encode_slice(bytes.as_slice(), text.as_mut_slice()).expect("43 characters hold 32 bytes");
        Self(text)
    }

    /// Takes a cookie's value; `None` when it does not have the shape of an id that [`SessionId::random`] draws.
    ///
    /// Junk is refused here, before any lookup.
    pub fn parse(text: &str) -> Option<Self> {
        let text: [u8; ID_CHARS] = text.as_bytes().try_into().ok()?;
        let mut bytes = Zeroizing::new([0; ID_BYTES]);
        let decoded = URL_SAFE_NO_PAD.decode_slice(text, bytes.as_mut_slice()).ok()?;
        (decoded == ID_BYTES).then(|| Self(Zeroizing::new(text)))
    }

    /// The cookie's value. Whoever calls this answers for where it goes.
    pub fn expose_secret(&self) -> &str {
        std::str::from_utf8(self.0.as_slice()).expect("base64url is ASCII")
    }

    /// The key under which stores and caches hold this session.
    pub fn key(&self) -> SessionKey {
        SessionKey(Sha256::digest(self.0.as_slice()).into())
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SessionId([redacted])")
    }
}

/// A one-way function (SHA-256) of a [`SessionId`]: what stores, caches and logs know a session by.
///
/// The first half names the session; the second half is known only to who saw the cookie, so a store that is
/// read by others can name records by the one and derive an encryption key from the other. `Debug` prints
/// eight hexadecimal digits of the name, enough to follow a session through a log.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SessionKey([u8; 32]);

impl SessionKey {
    /// The key of no session.
    pub(crate) const NONE: Self = Self([0; 32]);

    /// The key whose halves these are, [`name`](Self::name) and [`expose_secret`](Self::expose_secret), for a store that
    /// has kept them, sealed.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// All of it.
    #[cfg(feature = "redis")]
    pub(crate) fn to_bytes(self) -> [u8; 32] {
        self.0
    }

    /// A key whose [`spread`](Self::spread) is chosen.
    #[cfg(test)]
    pub(crate) fn spreading(spread: u64, rest: u8) -> Self {
        let mut key = [rest; 32];
        key[..8].copy_from_slice(&spread.to_le_bytes());
        Self(key)
    }

    /// The half that names the session. It gives nobody access and unseals nothing.
    pub fn name(&self) -> [u8; 16] {
        self.0[..16].try_into().expect("half of 32 bytes")
    }

    /// The half that a store may derive a sealing key from. Never log it and never send it to a store's server.
    pub fn expose_secret(&self) -> [u8; 16] {
        self.0[16..].try_into().expect("half of 32 bytes")
    }

    /// Eight bytes of the name as a number: evenly spread, the same on every node. The jitter comes from it.
    pub(crate) fn spread(&self) -> u64 {
        u64::from_le_bytes(self.0[..8].try_into().expect("8 of 32 bytes"))
    }
}

impl Hash for SessionKey {
    /// Eight bytes of a SHA-256 are as good as any hash of them.
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u64(self.spread());
    }
}

impl fmt::Debug for SessionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [first, second, third, fourth, ..] = self.0;
        write!(f, "{first:02x}{second:02x}{third:02x}{fourth:02x}")
    }
}

/// How many times a session's tokens were rotated, plus one: 1 after the login. Each access token has its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Version(pub u64);

impl Version {
    /// The version that a login creates.
    pub const FIRST: Self = Self(1);

    /// The version that the next rotation creates.
    #[must_use]
    pub fn next(self) -> Self {
        Self(self.0.saturating_add(1))
    }
}

/// The limits of an access token's zones, computed once when its token set is published.
///
/// `refresh_at <= wait_at <= expires_at`. Before `refresh_at` the token is *fresh*, then *ahead* (served, refreshed
/// in the background), then *late* (callers wait for the refresh), and from `expires_at` on *expired*.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Zones {
    /// The soft limit: from here on a refresh runs behind the token.
    pub refresh_at: Timestamp,
    /// The hard limit: from here on callers wait for the refresh.
    pub wait_at: Timestamp,
    /// From here on the token is not handed out.
    pub expires_at: Timestamp,
}

/// What is known about a session's refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// It was not presented since it was issued.
    Live,
    /// It was possibly presented, first after `since`, and the answer is unknown.
    InDoubt {
        /// When the intent to present it was recorded, on the store's clock.
        since: Timestamp,
    },
    /// It is gone for good; the user must log in again.
    Dead(DeathReason),
}

/// Why a session can only end in a new login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum DeathReason {
    /// The auth service refused the refresh token (RFC 6749, section 5.2, `invalid_grant`).
    Rejected,
    /// The answer to the only allowed presentation was lost, and the access token has expired since.
    OutcomeLost,
    /// The refresh token expired, or the session reached its longest life.
    Expired,
}
