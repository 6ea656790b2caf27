//! [`Session`]: one version of a session as its store publishes it.

use std::{
    fmt,
    ops::Deref,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    time::Duration,
};

use triomphe::ThinArc;
use zerocopy::{Immutable, IntoBytes};
use zeroize::Zeroize;

use super::{SessionKey, Standing, Version, Zones};
use crate::{
    clock::Timestamp,
    store::SharedRecord,
    token::{AccessToken, BEARER},
};

/// One version of a session as a store publishes it: everything but the refresh token. Cloning shares it; it is wiped
/// when the last clone is dropped. Its facts are [`SessionFacts`], to which it dereferences.
#[derive(Clone)]
pub struct Session(pub(crate) SessionBlock);

/// A session's facts and, behind them, its access token as an `Authorization` value: one place in memory.
///
/// What a lookup among a million sessions costs is the places that it fetches: two of them, with the index's bucket, and
/// 0.97 of the CPU a forwarded request that it took with the token in a place of its own (`scripts/bench --section
/// sessions`). A session of two 800-byte tokens takes 70 bytes less.
pub(crate) type SessionBlock = ThinArc<SessionFacts, Wiped>;

/// A byte of a secret.
#[derive(IntoBytes, Immutable)]
#[repr(transparent)]
pub(crate) struct Wiped(u8);

impl Drop for Wiped {
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

/// What a store publishes of a session beside its access token. Immutable but for its marks.
///
/// What every request reads comes first.
#[derive(Debug)]
#[non_exhaustive]
#[repr(C)]
pub struct SessionFacts {
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
    /// Which rotation this is.
    pub version: Version,
    /// The name that the user logged in with.
    pub user: Arc<str>,
    /// When this version's tokens were issued.
    pub issued_at: Timestamp,
    /// When the user logged in.
    pub opened_at: Timestamp,
    /// The memory store's record of it, with what is published to nobody.
    pub(crate) record: Option<Arc<SharedRecord>>,
    pub(crate) announced: AtomicBool,
    pub(crate) announced_by_gateway: AtomicBool,
    /// The last use that the store knows of, in seconds; kept as `last_used` is.
    noted: AtomicU32,
}

impl Deref for Session {
    type Target = SessionFacts;

    fn deref(&self) -> &SessionFacts {
        &self.0.header.header
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        (**self).fmt(f)
    }
}

impl Session {
    /// The first version of a session that is opened at `issued_at`.
    pub fn new(
        user: Arc<str>,
        access_token: &AccessToken,
        zones: Zones,
        issued_at: Timestamp,
        ends_at: Timestamp,
    ) -> Self {
        let facts = SessionFacts {
            key: SessionKey::NONE,
            zones,
            ends_at,
            standing: Standing::Live,
            last_used: AtomicU64::new(issued_at.as_millis()),
            version: Version::FIRST,
            user,
            issued_at,
            opened_at: issued_at,
            record: None,
            announced: AtomicBool::new(true), // the login's own answer does that
            announced_by_gateway: AtomicBool::new(true),
            noted: AtomicU32::new(seconds(issued_at)),
        };
        Self::of(facts, access_token.authorization().as_bytes())
    }

    /// The next version, with tokens that were issued at `issued_at`; its end is not yet announced to the browser.
    #[must_use]
    pub fn succeeded_by(
        &self,
        access_token: &AccessToken,
        zones: Zones,
        issued_at: Timestamp,
        ends_at: Timestamp,
    ) -> Self {
        let facts = SessionFacts {
            zones,
            ends_at,
            standing: Standing::Live,
            version: self.version.next(),
            issued_at,
            announced: AtomicBool::new(false),
            announced_by_gateway: AtomicBool::new(false),
            ..self.copy()
        };
        Self::of(facts, access_token.authorization().as_bytes())
    }

    /// The same version with another standing.
    #[must_use]
    pub fn with_standing(&self, standing: Standing) -> Self {
        self.with(SessionFacts { standing, ..self.copy() })
    }

    /// The same session, stamped with the key that it is kept under.
    #[must_use]
    pub(crate) fn kept_under(&self, key: SessionKey) -> Self {
        self.with(SessionFacts { key, record: None, ..self.copy() })
    }

    /// The same session, stamped with the key that it is kept under in memory, and with its record there.
    #[must_use]
    pub(crate) fn kept_with(&self, key: SessionKey, record: Arc<SharedRecord>) -> Self {
        self.with(SessionFacts { key, record: Some(record), ..self.copy() })
    }

    /// This session as it stands in a store outside this process, which keeps it under `key`: as that version, of that
    /// standing, used at that time.
    ///
    /// ```
    /// use authproxy_core::{
    ///     SessionId,
    ///     clock::{Clock, SystemClock},
    ///     session::{Session, Standing, Version, Zones},
    ///     token::AccessToken,
    /// };
    ///
    /// // What the store has kept, sealed:
    /// let (user, token, version) = ("user@example.com", "an-access-token", Version(7));
    /// let now = SystemClock::new().now();
    /// let zones = Zones { refresh_at: now, wait_at: now, expires_at: now };
    ///
    /// let token = AccessToken::new(token)?;
    /// let session = Session::new(user.into(), &token, zones, now, now)
    ///     .restored(SessionId::random().key(), version, now, Standing::Live, now);
    /// assert_eq!(session.version, version);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn restored(
        &self,
        key: SessionKey,
        version: Version,
        opened_at: Timestamp,
        standing: Standing,
        used_at: Timestamp,
    ) -> Self {
        let announced = || AtomicBool::new(version == Version::FIRST);
        self.with(SessionFacts {
            key,
            version,
            opened_at,
            standing,
            last_used: AtomicU64::new(used_at.as_millis()),
            noted: AtomicU32::new(seconds(used_at)),
            announced: announced(),
            announced_by_gateway: announced(),
            ..self.copy()
        })
    }

    /// This session as version `version` of it is kept under `key`, for tests of what keeps sessions.
    #[cfg(test)]
    pub(crate) fn numbered(&self, key: SessionKey, version: Version) -> Self {
        self.with(SessionFacts { key, version, ..self.copy() })
    }

    /// The access token. It shares the session's memory, and costs one small allocation.
    pub fn access_token(&self) -> AccessToken {
        AccessToken::in_memory_of(AuthorizationOf(self.clone()))
    }

    /// The access token's text. Whoever calls this answers for where it goes.
    pub fn expose_secret(&self) -> &str {
        std::str::from_utf8(&self.expose_authorization()[BEARER.len()..]).expect("an access token is ASCII")
    }

    /// The whole `Authorization` value, `Bearer <token>` (RFC 6750, section 2.1): visible ASCII. Whoever calls this
    /// answers for where it goes.
    pub fn expose_authorization(&self) -> &[u8] {
        self.0.slice.as_bytes()
    }

    /// Whether both are clones of one.
    pub(crate) fn is_same(&self, other: &Self) -> bool {
        self.0.ptr() == other.0.ptr()
    }

    /// Counts a use of `other`, another copy of this session, as one of this.
    #[cfg(feature = "redis")]
    pub(crate) fn used_as(&self, other: &Self) {
        self.last_used.fetch_max(other.last_used.load(Ordering::Relaxed), Ordering::Relaxed);
        self.noted.fetch_max(other.noted.load(Ordering::Relaxed), Ordering::Relaxed);
    }

    fn of(facts: SessionFacts, authorization: &[u8]) -> Self {
        Self(ThinArc::from_header_and_iter(facts, authorization.iter().copied().map(Wiped)))
    }

    fn with(&self, facts: SessionFacts) -> Self {
        Self::of(facts, self.expose_authorization())
    }
}

impl SessionFacts {
    fn copy(&self) -> Self {
        Self {
            key: self.key,
            zones: self.zones,
            ends_at: self.ends_at,
            standing: self.standing,
            last_used: AtomicU64::new(self.last_used.load(Ordering::Relaxed)),
            version: self.version,
            user: self.user.clone(),
            issued_at: self.issued_at,
            opened_at: self.opened_at,
            record: self.record.clone(),
            announced: AtomicBool::new(self.announced.load(Ordering::Relaxed)),
            announced_by_gateway: AtomicBool::new(self.announced_by_gateway.load(Ordering::Relaxed)),
            noted: AtomicU32::new(self.noted.load(Ordering::Relaxed)),
        }
    }

    pub(crate) fn idle_for(&self, now: Timestamp) -> Duration {
        now.since(Timestamp::from_millis(self.last_used.load(Ordering::Relaxed)))
    }

    /// Records a use; false when the session had been unused for longer than `idle_timeout` before it.
    pub(crate) fn touch(&self, now: Timestamp, idle_timeout: Duration) -> bool {
        let last_used = Timestamp::from_millis(self.last_used.load(Ordering::Relaxed));
        let alive = now.since(last_used) < idle_timeout;
        // A second's resolution spares the hot path most of the writes to a shared line.
        if alive && now.since(last_used).as_secs() >= 1 {
            self.last_used.store(now.as_millis(), Ordering::Relaxed);
        }
        alive
    }

    /// Whether the store is to be told of a use, as the last one that it knows of is older than `every`; true for one
    /// caller.
    pub(crate) fn take_unnoted(&self, now: Timestamp, every: Duration) -> bool {
        let (noted, now) = (self.noted.load(Ordering::Relaxed), seconds(now));
        let is_due = u64::from(now.saturating_sub(noted)) >= every.as_secs().max(1);
        is_due && self.noted.compare_exchange(noted, now, Ordering::Relaxed, Ordering::Relaxed).is_ok()
    }

    /// The store could not be told: the next use is due.
    pub(crate) fn forget_noted(&self) {
        self.noted.store(0, Ordering::Relaxed);
    }
}

fn seconds(time: Timestamp) -> u32 {
    u32::try_from(time.as_millis() / 1000).unwrap_or(u32::MAX)
}

/// A session, for who reads its `Authorization` value as bytes.
struct AuthorizationOf(Session);

impl AsRef<[u8]> for AuthorizationOf {
    fn as_ref(&self) -> &[u8] {
        self.0.expose_authorization()
    }
}
