//! [`ReadyToken`]: an access token that may be used now, and [`AccessOptions`], what a caller may demand of it.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use crate::{
    clock::Timestamp,
    session::{Session, Version},
    token::AccessToken,
};

/// An access token that may be used now. Cloning it copies no bytes.
#[derive(Clone, Debug)]
pub struct ReadyToken(Session);

impl ReadyToken {
    pub(super) fn new(session: Session) -> Self {
        Self(session)
    }

    /// The token, with its `Authorization` value ready to send. Costs one small allocation and copies no secret.
    pub fn access_token(&self) -> AccessToken {
        self.0.access_token()
    }

    /// The token's text. Whoever calls this answers for where it goes.
    pub fn expose_secret(&self) -> &str {
        self.0.expose_secret()
    }

    /// The whole `Authorization` value, `Bearer <token>` (RFC 6750, section 2.1), for whoever writes it as it is: visible
    /// ASCII, at no cost. Whoever calls this answers for where it goes.
    pub fn expose_authorization(&self) -> &[u8] {
        self.0.expose_authorization()
    }

    /// Which version it is, for [`report_rejected`](super::TokenManager::report_rejected).
    pub fn version(&self) -> Version {
        self.0.version
    }

    /// The name that the user logged in with.
    pub fn user(&self) -> &str {
        &self.0.user
    }

    /// When the access token expires.
    pub fn expires_at(&self) -> Timestamp {
        self.0.zones.expires_at
    }

    /// When the session ends unless a refresh prolongs it.
    pub fn session_ends_at(&self) -> Timestamp {
        self.0.ends_at
    }

    /// Whether the session's end has moved since its browser was last told: true for one caller a version, who is to
    /// send the cookie again.
    pub fn take_prolonged(&self) -> bool {
        take(&self.0.announced)
    }

    /// [`take_prolonged`](Self::take_prolonged) for answers that a gateway may keep from the browser: true for one
    /// caller a version too, and takes nothing from the callers whose answers surely arrive.
    pub fn take_prolonged_by_gateway(&self) -> bool {
        take(&self.0.announced_by_gateway)
    }
}

fn take(announced: &AtomicBool) -> bool {
    !announced.load(Ordering::Relaxed) && !announced.swap(true, Ordering::Relaxed)
}

/// What a caller demands of an access token. The default demands nothing special.
#[derive(Clone, Copy, Debug, Default)]
#[non_exhaustive]
pub struct AccessOptions {
    /// How long to wait for a refresh. Default: [`ManagerConfig::wait`](super::ManagerConfig::wait).
    pub wait: Option<Duration>,
    /// The life that the token is to have left; more than half of what the service gives is not demanded. Default: none.
    pub min_validity: Duration,
}

impl AccessOptions {
    /// Waits at most this long for a refresh.
    #[must_use]
    pub fn wait(mut self, wait: Duration) -> Self {
        self.wait = Some(wait);
        self
    }

    /// Wants a token that lives at least this long.
    #[must_use]
    pub fn min_validity(mut self, min_validity: Duration) -> Self {
        self.min_validity = min_validity;
        self
    }
}
