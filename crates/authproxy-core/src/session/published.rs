//! [`Session`]: one version of a session as its store publishes it.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use super::{SessionKey, Standing, Version};
use crate::{clock::Timestamp, session::Zones, store::SharedRecord, token::AccessToken};

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
    pub user: Arc<str>,
    /// When this version's tokens were issued.
    pub issued_at: Timestamp,
    /// When the user logged in.
    pub opened_at: Timestamp,
    /// The memory store's record of it, with what is published to nobody.
    pub(crate) record: Option<Arc<SharedRecord>>,
    pub(crate) announced: AtomicBool,
    pub(crate) announced_by_gateway: AtomicBool,
}

impl Session {
    /// The first version of a session that is opened at `issued_at`.
    pub fn new(
        user: Arc<str>,
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
    pub(crate) fn kept_with(&self, key: SessionKey, record: Arc<SharedRecord>) -> Self {
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
