//! [`SessionStore`]: where sessions live, and the verbs by which one refresh token is never presented twice.
//!
//! A store knows nothing of auth services. Its verbs are atomic per session and say what happened.

mod envelope;
mod index;
mod memory;
#[cfg(feature = "redis")]
mod redis;

use std::time::Duration;

use async_trait::async_trait;

pub(crate) use self::memory::SharedRecord;
#[cfg(feature = "redis")]
pub use self::redis::{
    ConnectError, ConnectProblem, Durability, InvalidRedisTls, InvalidRedisUrl, RedisStore, RedisStoreBuilder, RedisTls,
};
pub use self::{
    envelope::{Envelope, InvalidSecrets, OpenRecordError},
    memory::MemoryStore,
};
use crate::{
    clock::Timestamp,
    error::StoreError,
    session::{DeathReason, Session, SessionKey, Version},
    token::RefreshToken,
};

/// A place where sessions live.
///
/// # Contract for implementors
///
/// - *Atomic per session*: concurrent verbs on one session behave as if they ran one after the other.
/// - *Idempotent by attempt*: `begin` and `commit` that are repeated with the same [`AttemptId`] get the same answer as
///   the first time, because an answer may be lost on its way: `begin` for the attempt that holds the lease, `commit` for
///   the attempts of the last two commits. What is older may be forgotten.
/// - *One lease*: between a `Granted` and the lease's end no other attempt is granted. A lease that ran out without
///   `commit` or `abort` leaves the session in doubt, never free.
/// - *Fenced*: `abort` by anyone but the lease's holder changes nothing. `commit` is accepted on the version that the
///   lease was granted on, even late: a new token set proves that the holder's presentation was the one that counted.
/// - *Removed is removed*: after `remove` no verb finds the session and no `commit` revives it.
/// - *Never evict*: a full store refuses `create`; it does not drop a live session.
/// - *Time*: sessions are kept until they [end](crate::session::SessionFacts::ends_at) and some minutes longer, so that a
///   caller can be told "expired" rather than "unknown". Whether a session has ended is the manager's question, not the
///   store's.
/// - *Cancellation*: a dropped future may or may not have taken effect.
/// - *Outside this process* nothing is legible: an [`Envelope`] seals it. [`Session::restored`] and
///   [`SessionKey::from_bytes`] make of what was read what it was.
///
/// `authproxy-testing` has a suite that checks an implementation against this contract.
#[async_trait]
pub trait SessionStore: Send + Sync + 'static {
    /// Stores a session that a login opened, and its refresh token. With `handed_out`, also remembers the refresh
    /// token's keyed fingerprint for [`find_handed_out`](Self::find_handed_out).
    ///
    /// # Errors
    ///
    /// [`CreateError::Exists`], [`CreateError::Full`] or [`CreateError::Unavailable`].
    async fn create(&self, key: &SessionKey, new: NewSession) -> Result<(), CreateError>;

    /// Whether so many sessions are in memory that lookups are cheaper when [`expect`](Self::expect) announces them.
    /// Must be cheap. The default: never.
    fn is_crowded(&self) -> bool {
        false
    }

    /// These sessions are about to be [`peek`](Self::peek)ed at: a store may fetch them from memory all at once. Never
    /// blocks. The default does nothing.
    fn expect(&self, _keys: &[SessionKey]) {}

    /// The published session, where this process may use it without asking anyone. Never blocks; must be cheap.
    ///
    /// `None` means "ask [`load`](Self::load)", not "unknown". A store without a local copy keeps the default.
    fn peek(&self, key: &SessionKey) -> Option<Session> {
        let _ = key;
        None
    }

    /// The session as this process last heard of it, for one whose [`load`](Self::load) has failed. Never blocks.
    ///
    /// Only where it may still be handed out though nobody can be asked: a store without a local copy keeps the default.
    fn last_known(&self, key: &SessionKey) -> Option<Session> {
        self.peek(key)
    }

    /// The session as the store has it now; `None` when there is none. A look, and no use of the session.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot say.
    async fn load(&self, key: &SessionKey) -> Result<Option<Session>, StoreError>;

    /// The session was used at `at`: told about ten times in an idle timeout, where the manager has one. What is loaded
    /// afterwards, on any node, counts as used then. The default does nothing, which is enough where sessions are in one
    /// process: they know it themselves.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot say. A later use is told again.
    async fn note_use(&self, key: &SessionKey, at: Timestamp) -> Result<(), StoreError> {
        let _ = (key, at);
        Ok(())
    }

    /// Asks for the permission to present the session's refresh token. The intent is stored before this returns.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot say. The attempt may have been granted: repeat it with the same id, or give
    /// it back with [`abort`](Self::abort). The store does not do that itself: what comes late would free a lease that
    /// was granted again.
    async fn begin(&self, key: &SessionKey, begin: Begin) -> Result<Begun, StoreError>;

    /// Stores the token set that a granted attempt brought, as the next version.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot say. The commit may have been applied: repeat it with the same lease.
    async fn commit(&self, lease: &Lease, commit: Commit) -> Result<Committed, StoreError>;

    /// Gives a lease back without a new token set. Does nothing when the lease is no longer held.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot say. The lease then runs out and leaves the session in doubt.
    async fn abort(&self, lease: &Lease, abort: Abort) -> Result<Aborted, StoreError>;

    /// Removes a session for good and returns what is to be revoked; `None` when there was no session.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot say whether the session is gone. Repeat it; the refresh token is lost with
    /// the answer.
    async fn remove(&self, key: &SessionKey) -> Result<Option<Removed>, StoreError>;

    /// Which session a refresh token was handed out from, by the token's keyed fingerprint. Kept until the session
    /// itself is forgotten, also when the session is removed before that.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot say.
    async fn find_handed_out(&self, refresh_token: &RefreshToken) -> Result<Option<HandedOut>, StoreError>;

    /// Exchanges a handed-out refresh token for the session's current one, which is thereby handed out in turn.
    /// Of several exchanges of one token exactly one succeeds.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot say.
    async fn exchange(&self, presented: &RefreshToken) -> Result<Exchanged, StoreError>;

    /// Frees what has expired. The manager calls this once a second from its own task. Must not block.
    fn maintain(&self) {}
}

/// A session to create.
#[derive(Debug)]
pub struct NewSession {
    /// The first version.
    pub session: Session,
    /// Its refresh token; `None` where the service issued none, and the session ends with its access token.
    pub refresh_token: Option<RefreshToken>,
    /// Whether the refresh token is also given to the one who logged in.
    pub handed_out: bool,
}

/// Names one attempt to refresh: 128 random bits, drawn once and kept through repeats.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct AttemptId(pub u128);

impl AttemptId {
    /// Draws a new id.
    ///
    /// # Panics
    ///
    /// When the operating system has no randomness to give.
    pub fn random() -> Self {
        let mut bytes = [0; 16];
        getrandom::fill(&mut bytes).expect("the operating system gives randomness");
        Self(u128::from_le_bytes(bytes))
    }
}

/// A request for the permission to present a refresh token.
#[derive(Clone, Copy, Debug)]
pub struct Begin {
    /// The version whose refresh token is to be presented. A newer one is answered with [`Begun::Newer`].
    pub seen: Version,
    /// Names the attempt.
    pub attempt: AttemptId,
    /// How long the permission lasts.
    pub lease: Duration,
    /// Whether to be granted also when an earlier attempt's outcome is unknown.
    pub doubt: IfInDoubt,
}

/// What `begin` does with a session whose last attempt has an unknown outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfInDoubt {
    /// Answer [`Begun::InDoubt`].
    Report,
    /// Grant: the backend's contract allows to present the token again.
    Grant,
}

/// What `begin` decided.
#[derive(Clone, Debug)]
pub enum Begun {
    /// The token may be presented, until the lease ends.
    Granted {
        /// The permission.
        lease: Lease,
        /// The token to present.
        refresh_token: RefreshToken,
        /// When the first intent to present this very token was stored: this attempt's own time unless in doubt.
        first_intent: Timestamp,
    },
    /// The session has moved on; use this version.
    Newer(Session),
    /// Another attempt holds a live lease.
    Busy {
        /// How long that lease still lasts at most.
        lease_left: Duration,
    },
    /// An earlier attempt's outcome is unknown, and the request asked for a report.
    InDoubt {
        /// When the first intent to present the token was stored.
        since: Timestamp,
    },
    /// The session is over.
    Dead(DeathReason),
    /// There is no such session, or it has no refresh token.
    Missing,
}

/// The permission to present one refresh token once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lease {
    /// The session.
    pub key: SessionKey,
    /// The attempt that was granted.
    pub attempt: AttemptId,
    /// The version it was granted on.
    pub base: Version,
}

/// The next version of a session.
#[derive(Clone, Debug)]
pub struct Commit {
    /// What is published.
    pub session: Session,
    /// The refresh token from here on: the new one, or the one that was presented where the service keeps it (RFC 6749,
    /// section 6). A store that has lost commits holds an older one.
    pub refresh_token: RefreshToken,
}

/// What `commit` did.
#[derive(Clone, Debug)]
pub enum Committed {
    /// The new version is in the store.
    Stored,
    /// Another token set was committed first; use this one. Revoke nothing: both are of one lineage, and a service
    /// may revoke a whole lineage by any of its tokens.
    Superseded(Session),
    /// The session was removed; revoke the new tokens.
    Gone,
}

/// How an attempt ended that brought no token set.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Abort {
    /// The token was not presented, or refused unprocessed.
    Untouched,
    /// The token was possibly presented.
    InDoubt,
    /// The session is over.
    Dead(DeathReason),
}

/// What `abort` did.
#[derive(Clone, Debug)]
pub enum Aborted {
    /// The lease is given back and the outcome stored.
    Done,
    /// The session has moved on meanwhile; use this version.
    Newer(Session),
    /// The lease was no longer held, or the session is gone; nothing changed.
    Fenced,
}

/// What a removed session held.
#[derive(Clone, Debug)]
pub struct Removed {
    /// The last published version.
    pub session: Session,
    /// Its refresh token.
    pub refresh_token: Option<RefreshToken>,
}

/// Where a handed-out refresh token belongs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct HandedOut {
    /// The session that it was issued for.
    pub key: SessionKey,
    /// The version that it belonged to.
    pub version: Version,
    /// Whether it was already exchanged.
    pub exchanged: bool,
}

/// What `exchange` did.
#[derive(Clone, Debug)]
pub enum Exchanged {
    /// The session's current tokens, for the one who presented the old token.
    Current {
        /// The current version.
        session: Session,
        /// Its refresh token.
        refresh_token: RefreshToken,
    },
    /// The presented token was exchanged before.
    Already,
    /// The presented token was never handed out, or its session is gone.
    Missing,
}

/// Why a session was not created.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CreateError {
    /// The key is taken.
    #[error("a session with this key exists")]
    Exists,
    /// The store is at its capacity.
    #[error("the session store is full")]
    Full,
    /// The store could not be asked.
    #[error(transparent)]
    Unavailable(#[from] StoreError),
}
