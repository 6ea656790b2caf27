//! Sessions: the [`SessionId`] in the cookie, the [`SessionKey`] that everything else uses, and the [`Session`]
//! that stores publish.
//!
//! A session id is a bearer credential: it is never stored, logged or printed. A key cannot be turned back into it.

use std::{
    fmt,
    hash::{Hash, Hasher},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::{clock::Timestamp, token::AccessToken};

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

    /// A key that is made from something else than a session id.
    #[cfg(feature = "redis")]
    pub(crate) fn from_bytes(bytes: [u8; 32]) -> Self {
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

/// One version of a session as a store publishes it: everything but the refresh token. Immutable but for its marks.
///
/// What every request reads comes first: fetching it is most of what a lookup among a million sessions costs.
#[derive(Debug)]
#[repr(C)]
pub struct Session {
    /// What it is kept under, as its store has stamped it.
    pub(crate) key: SessionKey,
    /// When this access token is to be refreshed, waited for, dropped.
    pub zones: Zones,
    /// When the session ends unless a refresh prolongs it.
    pub ends_at: Timestamp,
    /// What is known about the refresh token behind it.
    pub standing: Standing,
    /// When the session was last used, in milliseconds; kept only where an idle timeout asks for it.
    pub(crate) last_used: AtomicU64,
    /// The access token of this version.
    pub access_token: AccessToken,
    /// Which rotation this is.
    pub version: Version,
    /// The name that the user logged in with.
    pub user: std::sync::Arc<str>,
    /// When this version's tokens were issued.
    pub issued_at: Timestamp,
    /// When the user logged in.
    pub opened_at: Timestamp,
    /// The memory store's record of it, with what is published to nobody.
    pub(crate) record: Option<std::sync::Arc<crate::store::SharedRecord>>,
    pub(crate) announced: AtomicBool,
    pub(crate) announced_by_gateway: AtomicBool,
}

impl Session {
    /// The first version of a session that is opened at `issued_at`.
    pub fn new(
        user: std::sync::Arc<str>,
        access_token: AccessToken,
        zones: Zones,
        issued_at: Timestamp,
        ends_at: Timestamp,
    ) -> Self {
        Self {
            key: SessionKey::NONE,
            version: Version::FIRST,
            user,
            access_token,
            zones,
            issued_at,
            opened_at: issued_at,
            ends_at,
            standing: Standing::Live,
            last_used: AtomicU64::new(issued_at.as_millis()),
            record: None,
            announced: AtomicBool::new(true), // the login's own answer does that
            announced_by_gateway: AtomicBool::new(true),
        }
    }

    /// The next version, with tokens that were issued at `issued_at`; its end is not yet announced to the browser.
    #[must_use]
    pub fn succeeded_by(
        &self,
        access_token: AccessToken,
        zones: Zones,
        issued_at: Timestamp,
        ends_at: Timestamp,
    ) -> Self {
        Self {
            version: self.version.next(),
            access_token,
            zones,
            issued_at,
            ends_at,
            standing: Standing::Live,
            announced: AtomicBool::new(false),
            announced_by_gateway: AtomicBool::new(false),
            ..self.copy()
        }
    }

    /// The same version with another standing.
    #[must_use]
    pub fn with_standing(&self, standing: Standing) -> Self {
        Self { standing, ..self.copy() }
    }

    /// The same session, stamped with the key that it is kept under.
    #[cfg(feature = "redis")]
    #[must_use]
    pub(crate) fn kept_under(&self, key: SessionKey) -> Self {
        Self { key, record: None, ..self.copy() }
    }

    /// The same session, stamped with the key that it is kept under in memory, and with its record there.
    #[must_use]
    pub(crate) fn kept_with(&self, key: SessionKey, record: std::sync::Arc<crate::store::SharedRecord>) -> Self {
        Self { key, record: Some(record), ..self.copy() }
    }

    /// This session as another version of it, kept under `key`, is read from a store that knows when it was used.
    #[cfg(feature = "redis")]
    #[must_use]
    pub(crate) fn restored(
        self,
        key: SessionKey,
        version: Version,
        opened_at: Timestamp,
        standing: Standing,
        used_at: Timestamp,
    ) -> Self {
        let announced = || AtomicBool::new(version == Version::FIRST);
        let last_used = AtomicU64::new(used_at.as_millis());
        Self {
            key,
            version,
            opened_at,
            standing,
            last_used,
            announced: announced(),
            announced_by_gateway: announced(),
            ..self
        }
    }

    /// Counts a use of `other`, another copy of this session, as one of this.
    #[cfg(feature = "redis")]
    pub(crate) fn used_as(&self, other: &Self) {
        self.last_used.fetch_max(other.last_used.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    fn copy(&self) -> Self {
        Self {
            key: self.key,
            version: self.version,
            user: self.user.clone(),
            access_token: self.access_token.clone(),
            zones: self.zones,
            issued_at: self.issued_at,
            opened_at: self.opened_at,
            ends_at: self.ends_at,
            standing: self.standing,
            last_used: AtomicU64::new(self.last_used.load(Ordering::Relaxed)),
            record: self.record.clone(),
            announced: AtomicBool::new(self.announced.load(Ordering::Relaxed)),
            announced_by_gateway: AtomicBool::new(self.announced_by_gateway.load(Ordering::Relaxed)),
        }
    }

    pub(crate) fn idle_for(&self, now: Timestamp) -> std::time::Duration {
        now.since(Timestamp::from_millis(self.last_used.load(Ordering::Relaxed)))
    }

    /// Records a use; false when the session had been unused for longer than `idle_timeout` before it.
    pub(crate) fn touch(&self, now: Timestamp, idle_timeout: std::time::Duration) -> bool {
        let last_used = Timestamp::from_millis(self.last_used.load(Ordering::Relaxed));
        let alive = now.since(last_used) < idle_timeout;
        // A second's resolution spares the hot path most of the writes to a shared line.
        if alive && now.since(last_used).as_secs() >= 1 {
            self.last_used.store(now.as_millis(), Ordering::Relaxed);
        }
        alive
    }
}
