//! [`EmbeddedAuth`]: the service itself, without HTTP.

use std::{
    fmt,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use authproxy_core::{
    backend::RotationContract,
    clock::{Clock, SystemClock, Timestamp},
};
use zeroize::Zeroizing;

use crate::{
    access::AccessTokens,
    families::{Families, Issue, Refusal},
    passwords::{Denied, Passwords},
};

/// An auth service: accounts, access tokens, refresh tokens. Clones share it.
#[derive(Clone)]
pub struct EmbeddedAuth {
    inner: Arc<Inner>,
}

struct Inner {
    passwords: Passwords,
    access_tokens: AccessTokens,
    families: Mutex<Families>,
    refresh_ttl: Duration,
    reuse_grace: Duration,
    clock: Arc<dyn Clock>,
    counts: Counts,
}

#[derive(Default)]
struct Counts {
    logins: AtomicU64,
    presentations: AtomicU64,
    rotations: AtomicU64,
    reuses: AtomicU64,
    revocations: AtomicU64,
}

/// What the service has seen so far. Numbers only.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Stats {
    /// Logins that succeeded.
    pub logins: u64,
    /// Refresh tokens presented, whatever came of it.
    pub presentations: u64,
    /// Presentations that brought tokens.
    pub rotations: u64,
    /// Presentations of a spent token outside the grace; each revoked a family.
    pub reuses: u64,
    /// Revocations asked for.
    pub revocations: u64,
}

/// Makes an [`EmbeddedAuth`].
#[must_use]
pub struct EmbeddedAuthBuilder {
    access_ttl: Duration,
    refresh_ttl: Duration,
    reuse_grace: Duration,
    max_users: usize,
    max_sessions: usize,
    cost: argon2::Params,
    clock: Option<Arc<dyn Clock>>,
}

/// What a login or a refresh answers with.
pub(crate) struct IssuedPair {
    pub(crate) access_token: Zeroizing<String>,
    pub(crate) expires_in: Duration,
    pub(crate) refresh_token: Zeroizing<String>,
    pub(crate) refresh_expires_in: Duration,
}

impl EmbeddedAuth {
    /// Starts to make a service.
    pub fn builder() -> EmbeddedAuthBuilder {
        EmbeddedAuthBuilder {
            access_ttl: Duration::from_mins(2),
            refresh_ttl: Duration::from_mins(4),
            reuse_grace: Duration::from_secs(10),
            max_users: 100_000,
            max_sessions: 1_000_000,
            cost: argon2::Params::default(),
            clock: None,
        }
    }

    /// What it promises about refresh tokens: rotation with a grace.
    pub fn rotation(&self) -> RotationContract {
        RotationContract::Grace(self.inner.reuse_grace)
    }

    /// What it has seen so far.
    pub fn stats(&self) -> Stats {
        let count = |count: &AtomicU64| count.load(Ordering::Relaxed);
        let counts = &self.inner.counts;
        Stats {
            logins: count(&counts.logins),
            presentations: count(&counts.presentations),
            rotations: count(&counts.rotations),
            reuses: count(&counts.reuses),
            revocations: count(&counts.revocations),
        }
    }

    pub(crate) async fn register(&self, email: &str, password: Zeroizing<String>) -> Result<(), Denied> {
        self.inner.passwords.register(email, password).await
    }

    /// `None` when the name or the password is wrong.
    pub(crate) async fn login(
        &self,
        username: &str,
        password: Zeroizing<String>,
    ) -> Result<Option<IssuedPair>, Denied> {
        if !self.inner.passwords.verify(username, password).await? {
            return Ok(None);
        }
        let now = self.now();
        let issue = self.families().begin(username, now).map_err(|_| Denied::Full)?;
        self.inner.counts.logins.fetch_add(1, Ordering::Relaxed);
        Ok(Some(self.pair(&issue, now)))
    }

    pub(crate) fn refresh(&self, presented: &str) -> Result<IssuedPair, Refusal> {
        let now = self.now();
        let counts = &self.inner.counts;
        counts.presentations.fetch_add(1, Ordering::Relaxed);
        let issue = self.families().rotate(presented, now).inspect_err(|refusal| {
            if *refusal == Refusal::Reused {
                counts.reuses.fetch_add(1, Ordering::Relaxed);
            }
        })?;
        counts.rotations.fetch_add(1, Ordering::Relaxed);
        Ok(self.pair(&issue, now))
    }

    /// The user whom a valid access token of a living family names.
    pub(crate) fn user_of(&self, access_token: &str) -> Option<String> {
        let claims = self.inner.access_tokens.check(access_token, self.now())?;
        self.families().is_live(claims.family()).then_some(claims.sub)
    }

    /// Revokes the family of an access or refresh token, if it is one of ours.
    pub(crate) fn revoke(&self, token: &str) {
        self.inner.counts.revocations.fetch_add(1, Ordering::Relaxed);
        if !self.families().revoke(token)
            && let Some(claims) = self.inner.access_tokens.check(token, self.now())
        {
            self.families().revoke_family(claims.family());
        }
    }

    pub(crate) fn sweep(&self) {
        let now = self.now();
        self.families().sweep(now);
    }

    fn pair(&self, issue: &Issue, now: Timestamp) -> IssuedPair {
        let inner = &self.inner;
        IssuedPair {
            access_token: Zeroizing::new(inner.access_tokens.sign(&issue.user, issue.family, now)),
            expires_in: inner.access_tokens.ttl(),
            refresh_token: issue.refresh_token.clone(),
            refresh_expires_in: issue.refresh_expires_at.since(now).min(inner.refresh_ttl),
        }
    }

    fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }

    fn families(&self) -> MutexGuard<'_, Families> {
        self.inner.families.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EmbeddedAuthBuilder {
    /// The life of access tokens, in whole seconds. Default 2 minutes.
    pub fn access_ttl(mut self, access_ttl: Duration) -> Self {
        self.access_ttl = access_ttl;
        self
    }

    /// The life of refresh tokens, in whole seconds. Default 4 minutes.
    pub fn refresh_ttl(mut self, refresh_ttl: Duration) -> Self {
        self.refresh_ttl = refresh_ttl;
        self
    }

    /// How long a spent refresh token still brings the same successor. Default 10 seconds; zero for strict rotation.
    pub fn reuse_grace(mut self, reuse_grace: Duration) -> Self {
        self.reuse_grace = reuse_grace;
        self
    }

    /// The most accounts. Default 100,000.
    pub fn max_users(mut self, max_users: usize) -> Self {
        self.max_users = max_users;
        self
    }

    /// The most logins that are kept at once. Default 1,000,000.
    pub fn max_sessions(mut self, max_sessions: usize) -> Self {
        self.max_sessions = max_sessions;
        self
    }

    /// Hashes passwords as cheaply as argon2 allows: for tests and load, never for real passwords.
    pub fn cheap_passwords(mut self) -> Self {
        self.cost = argon2::Params::new(argon2::Params::MIN_M_COST, 1, 1, None).expect("the least that is allowed");
        self
    }

    /// The clock that expiries are judged by. Default [`SystemClock`].
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = Some(clock);
        self
    }

    /// Makes the service, with a new signing key.
    pub fn build(self) -> EmbeddedAuth {
        let inner = Inner {
            passwords: Passwords::new(self.cost, self.max_users),
            access_tokens: AccessTokens::new(self.access_ttl),
            families: Mutex::new(Families::new(self.refresh_ttl, self.reuse_grace, self.max_sessions)),
            refresh_ttl: self.refresh_ttl,
            reuse_grace: self.reuse_grace,
            clock: self.clock.unwrap_or_else(|| Arc::new(SystemClock::new())),
            counts: Counts::default(),
        };
        EmbeddedAuth { inner: Arc::new(inner) }
    }
}

impl fmt::Debug for EmbeddedAuth {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("EmbeddedAuth").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
