//! One claim being checked: its name for the messages, and the verbs without their errors.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use authproxy_core::{
    clock::Timestamp,
    session::{Session, SessionId, SessionKey, Version, Zones},
    store::{
        Abort, Aborted, AttemptId, Begin, Begun, Commit, Committed, Exchanged, HandedOut, IfInDoubt, Lease, NewSession,
        Removed, SessionStore,
    },
    token::{AccessToken, RefreshToken},
};

use super::StoreUnderTest;
use crate::CANARY;

/// Long enough never to run out while a claim is checked.
pub(super) const LONG_LEASE: Duration = Duration::from_mins(10);

pub(super) struct Case<'a> {
    claim: &'static str,
    pub(super) under_test: &'a StoreUnderTest,
}

/// A session that a claim opened.
pub(super) struct Opened {
    pub(super) key: SessionKey,
    pub(super) refresh_token: RefreshToken,
}

/// What a grant held.
pub(super) struct Grant {
    pub(super) lease: Lease,
    pub(super) refresh_token: RefreshToken,
    pub(super) first_intent: Timestamp,
}

impl<'a> Case<'a> {
    pub(super) fn new(claim: &'static str, under_test: &'a StoreUnderTest) -> Self {
        Self { claim, under_test }
    }

    /// Fails the claim, and shows `found`, unless `holds`.
    #[track_caller]
    pub(super) fn check(&self, holds: bool, found: impl fmt::Debug) {
        assert!(holds, "the store breaks its contract: \"{}\", but: {found:?}", self.claim);
    }

    #[track_caller]
    pub(super) fn broken(&self, found: impl fmt::Debug) -> ! {
        panic!("the store breaks its contract: \"{}\", but: {found:?}", self.claim)
    }

    #[track_caller]
    fn answered<T, E: fmt::Debug>(&self, answer: Result<T, E>) -> T {
        answer.unwrap_or_else(|error| self.broken(error))
    }

    pub(super) fn store(&self) -> &Arc<dyn SessionStore> {
        &self.under_test.store
    }

    pub(super) fn now(&self) -> Timestamp {
        self.under_test.clock.now()
    }

    pub(super) fn new_session(&self, refresh_token: Option<RefreshToken>, handed_out: bool) -> NewSession {
        let now = self.now();
        let zones = zones(now);
        let session = Session::new("user@example.com".into(), &access_token(), zones, now, now.plus(LIFE));
        NewSession { session, refresh_token, handed_out }
    }

    pub(super) async fn create(&self, key: &SessionKey, new: NewSession) {
        self.answered(self.store().create(key, new).await);
    }

    pub(super) async fn open(&self) -> Opened {
        self.open_as(false).await
    }

    pub(super) async fn open_handed_out(&self) -> Opened {
        self.open_as(true).await
    }

    async fn open_as(&self, handed_out: bool) -> Opened {
        let (key, refresh_token) = (SessionId::random().key(), refresh_token());
        self.create(&key, self.new_session(Some(refresh_token.clone()), handed_out)).await;
        Opened { key, refresh_token }
    }

    pub(super) async fn load(&self, key: &SessionKey) -> Option<Session> {
        self.answered(self.store().load(key).await)
    }

    pub(super) async fn loaded(&self, key: &SessionKey) -> Session {
        self.load(key).await.unwrap_or_else(|| self.broken("load found no session"))
    }

    /// Begins on the store's present version, with a new attempt.
    pub(super) async fn begin(&self, key: &SessionKey, lease: Duration, doubt: IfInDoubt) -> Begun {
        let seen = self.load(key).await.map_or(Version::FIRST, |session| session.version);
        self.begin_with(key, Begin { seen, attempt: AttemptId::random(), lease, doubt }).await
    }

    pub(super) async fn begin_with(&self, key: &SessionKey, begin: Begin) -> Begun {
        self.answered(self.store().begin(key, begin).await)
    }

    /// Begins as [`begin`](Self::begin) does, and must be granted.
    pub(super) async fn granted(&self, key: &SessionKey, lease: Duration, doubt: IfInDoubt) -> Grant {
        let begun = self.begin(key, lease, doubt).await;
        self.grant(begun)
    }

    #[track_caller]
    pub(super) fn grant(&self, begun: Begun) -> Grant {
        match begun {
            Begun::Granted { lease, refresh_token, first_intent } => Grant { lease, refresh_token, first_intent },
            other => self.broken(other),
        }
    }

    /// A grant whose lease runs out before this returns.
    pub(super) async fn abandoned(&self, key: &SessionKey, doubt: IfInDoubt) -> Grant {
        let grant = self.granted(key, self.under_test.short_lease(), doubt).await;
        self.let_leases_run_out().await;
        grant
    }

    pub(super) async fn let_leases_run_out(&self) {
        self.under_test.advance(self.under_test.short_lease() + Duration::from_millis(20)).await;
    }

    /// The next version of what the store has now.
    pub(super) async fn next(&self, key: &SessionKey, refresh_token: RefreshToken) -> Commit {
        let current = self.loaded(key).await;
        self.successor(&current, refresh_token)
    }

    pub(super) fn successor(&self, current: &Session, refresh_token: RefreshToken) -> Commit {
        let now = self.now();
        let session = current.succeeded_by(&access_token(), zones(now), now, now.plus(LIFE));
        Commit { session, refresh_token }
    }

    pub(super) async fn commit(&self, lease: &Lease, commit: Commit) -> Committed {
        self.answered(self.store().commit(lease, commit).await)
    }

    pub(super) async fn stored(&self, lease: &Lease, commit: Commit) {
        match self.commit(lease, commit).await {
            Committed::Stored => {}
            other => self.broken(other),
        }
    }

    /// Rotates the session once, from begin to commit; the new refresh token.
    pub(super) async fn rotate(&self, key: &SessionKey) -> RefreshToken {
        let grant = self.granted(key, LONG_LEASE, IfInDoubt::Report).await;
        let rotated = refresh_token();
        let commit = self.next(key, rotated.clone()).await;
        self.stored(&grant.lease, commit).await;
        rotated
    }

    pub(super) async fn abort(&self, lease: &Lease, abort: Abort) -> Aborted {
        self.answered(self.store().abort(lease, abort).await)
    }

    pub(super) async fn done(&self, lease: &Lease, abort: Abort) {
        match self.abort(lease, abort).await {
            Aborted::Done => {}
            other => self.broken(other),
        }
    }

    pub(super) async fn fenced(&self, lease: &Lease, abort: Abort) {
        match self.abort(lease, abort).await {
            Aborted::Fenced => {}
            other => self.broken(other),
        }
    }

    pub(super) async fn remove(&self, key: &SessionKey) -> Option<Removed> {
        self.answered(self.store().remove(key).await)
    }

    pub(super) async fn find(&self, token: &RefreshToken) -> Option<HandedOut> {
        self.answered(self.store().find_handed_out(token).await)
    }

    pub(super) async fn exchange(&self, token: &RefreshToken) -> Exchanged {
        self.answered(self.store().exchange(token).await)
    }

    /// No verb may find this session.
    pub(super) async fn is_gone(&self, key: &SessionKey) {
        let loaded = self.load(key).await;
        self.check(loaded.is_none(), loaded);
        let peeked = self.store().peek(key);
        self.check(peeked.is_none(), peeked);
        let begun = self.begin(key, LONG_LEASE, IfInDoubt::Grant).await;
        self.check(matches!(begun, Begun::Missing), begun);
        let removed = self.remove(key).await;
        self.check(removed.is_none(), removed);
    }
}

const LIFE: Duration = Duration::from_hours(1);

fn zones(now: Timestamp) -> Zones {
    let after = |seconds| now.plus(Duration::from_secs(seconds));
    Zones { refresh_at: after(96), wait_at: after(108), expires_at: after(120) }
}

pub(super) fn refresh_token() -> RefreshToken {
    RefreshToken::new(&unique("rt")).expect("visible characters")
}

fn access_token() -> AccessToken {
    AccessToken::new(&unique("at")).expect("visible characters")
}

pub(super) fn same_token(one: &RefreshToken, other: &RefreshToken) -> bool {
    one.expose_secret() == other.expose_secret()
}

/// Unique also among runs of the suite on one store's server.
fn unique(kind: &str) -> String {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let AttemptId(random) = AttemptId::random();
    format!("{CANARY}-store-{kind}-{}-{random:x}", COUNT.fetch_add(1, Ordering::Relaxed))
}
