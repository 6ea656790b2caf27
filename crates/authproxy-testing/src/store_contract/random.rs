//! Claims about long random histories.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicUsize, Ordering},
};

use authproxy_core::{
    clock::Timestamp,
    session::{DeathReason, Session, SessionKey, Standing, Version},
    store::{Abort, Aborted, AttemptId, Begin, Begun, Commit, Committed, IfInDoubt, Lease, SessionStore},
};
use tokio::task::JoinSet;

use super::{
    StoreUnderTest,
    case::{Case, LONG_LEASE, refresh_token, same_token},
    model::{Aborts, Begins, Commits, Model, Random},
};

const SESSIONS: usize = 4;

/// Steps taken by [`random_histories_agree_with_the_model`] for each seed.
pub const STEPS: usize = 5000;

/// Random histories of four sessions, with leases that run out, late commits and aborts, repeats and removals, are
/// answered as a small model of the contract answers them. Three seeds; see [`a_random_history_agrees_with_the_model`].
pub async fn random_histories_agree_with_the_model(store: &StoreUnderTest) {
    for seed in 1..=3 {
        a_random_history_agrees_with_the_model(store, seed, STEPS).await;
    }
}

/// One random history. The same seed gives the same history.
pub async fn a_random_history_agrees_with_the_model(store: &StoreUnderTest, seed: u64, steps: usize) {
    let case = Case::new("a random history agrees with the model", store);
    let mut random = Random(seed);
    let mut walks = Vec::new();
    for _ in 0..SESSIONS {
        walks.push(Walk::open(&case).await);
    }
    for number in 0..steps {
        let at = random.below(SESSIONS);
        let context = Step { case: &case, seed, number };
        let walk = &mut walks[at];
        match random.below(100) {
            0..35 => walk.begin(&context, &mut random).await,
            35..40 => walk.begin_again(&context).await,
            40..60 => walk.commit(&context, &mut random).await,
            60..78 => walk.abort(&context, &mut random).await,
            78..85 => walk.load(&context).await,
            85..97 if store.moves_time() => store.advance(random.up_to(store.short_lease())).await,
            85..97 => case.store().maintain(),
            _ => {
                walk.remove(&context, &mut random).await;
                walks[at] = Walk::open(&case).await;
            }
        }
    }
    for walk in walks {
        case.remove(&walk.key).await;
    }
}

/// Where in a history something went wrong.
struct Step<'a> {
    case: &'a Case<'a>,
    seed: u64,
    number: usize,
}

impl Step<'_> {
    #[track_caller]
    fn agree(&self, agree: bool, found: impl std::fmt::Debug, expected: impl std::fmt::Debug) {
        let (seed, step) = (self.seed, self.number);
        self.case.check(agree, format!("seed {seed}, step {step}: {found:?} instead of {expected:?}"));
    }
}

/// One session, in the store and in the model.
struct Walk {
    key: SessionKey,
    model: Model,
    /// Every version so far.
    sessions: Vec<Session>,
    /// The refresh token of the present version.
    token: authproxy_core::token::RefreshToken,
    /// Every grant so far, with its commit once that was made.
    grants: Vec<(Lease, Option<Commit>)>,
    /// The last grant's request and its time.
    last: Option<(Begin, Timestamp)>,
}

impl Walk {
    async fn open(case: &Case<'_>) -> Self {
        let opened = case.open().await;
        let sessions = vec![case.loaded(&opened.key).await];
        let (key, token) = (opened.key, opened.refresh_token);
        Self { key, model: Model::opened(), sessions, token, grants: Vec::new(), last: None }
    }

    async fn begin(&mut self, step: &Step<'_>, random: &mut Random) {
        let newest = self.model.version;
        let older = Version(random.next() % newest.0 + 1);
        // What a dead session tells those who come with an older version is left open.
        let seen = if self.model.dead.is_none() && random.below(8) == 0 { older } else { newest };
        let doubt = if random.below(2) == 0 { IfInDoubt::Report } else { IfInDoubt::Grant };
        let lease = if step.case.under_test.moves_time() { step.case.under_test.short_lease() } else { LONG_LEASE };
        self.begin_as(step, Begin { seen, attempt: random.attempt(), lease, doubt }).await;
    }

    /// The holder of the live lease did not get its answer and asks again, at once: whether a later repeat prolongs
    /// the lease is left open.
    async fn begin_again(&mut self, step: &Step<'_>) {
        let now = step.case.now();
        let holder = self.model.holder(now);
        if let Some((begin, at)) = self.last
            && at == now
            && holder == Some(begin.attempt)
        {
            self.begin_as(step, begin).await;
        }
    }

    async fn begin_as(&mut self, step: &Step<'_>, begin: Begin) {
        let now = step.case.now();
        let repeated = self.model.holder(now) == Some(begin.attempt);
        let expected = self.model.begin(&begin, now);
        let answer = step.case.begin_with(&self.key, begin).await;
        let agree = match (&expected, &answer) {
            (Begins::Granted(expected), Begun::Granted { lease, refresh_token, first_intent }) => {
                *lease == (Lease { key: self.key, attempt: begin.attempt, base: begin.seen })
                    && same_token(refresh_token, &self.token)
                    && expected.is_none_or(|expected| expected == *first_intent)
            }
            (Begins::Newer(version), Begun::Newer(newer)) => newer.version == *version,
            (Begins::Busy, Begun::Busy { lease_left }) => *lease_left <= begin.lease,
            (Begins::InDoubt(expected), Begun::InDoubt { since }) => since == expected,
            (Begins::Dead(expected), Begun::Dead(reason)) => reason == expected,
            _ => false,
        };
        step.agree(agree, &answer, expected);
        if let (Begun::Granted { lease, first_intent, .. }, false) = (answer, repeated) {
            self.model.granted(&begin, first_intent, now);
            self.grants.push((lease, None));
            self.last = Some((begin, now));
        }
    }

    async fn commit(&mut self, step: &Step<'_>, random: &mut Random) {
        let at = random.below(self.grants.len());
        let Some((lease, made)) = self.grants.get(at).cloned() else { return };
        let commit = made.unwrap_or_else(|| {
            let base = usize::try_from(lease.base.0 - 1).expect("histories are short");
            step.case.successor(&self.sessions[base], refresh_token())
        });
        self.grants[at].1 = Some(commit.clone());
        let before = self.model.version;
        let Some(expected) = self.model.commit(&lease) else { return };
        let committed = step.case.commit(&lease, commit.clone()).await;
        let agree = match (&expected, &committed) {
            (Commits::Stored, Committed::Stored) => true,
            (Commits::Superseded(version), Committed::Superseded(newer)) => newer.version == *version,
            _ => false,
        };
        step.agree(agree, committed, expected);
        if self.model.version > before {
            self.sessions.push(commit.session);
            self.token = commit.refresh_token;
        }
    }

    async fn abort(&mut self, step: &Step<'_>, random: &mut Random) {
        let Some((lease, _)) = random.pick(&self.grants).cloned() else { return };
        let abort = match random.below(4) {
            0 => Abort::Dead(DeathReason::Rejected),
            1 => Abort::InDoubt,
            _ => Abort::Untouched,
        };
        let Some(expected) = self.model.abort(&lease, abort, step.case.now()) else { return };
        let aborted = step.case.abort(&lease, abort).await;
        let agree = match (&expected, &aborted) {
            (Aborts::Done, Aborted::Done) | (Aborts::Unheard, Aborted::Fenced) => true,
            (Aborts::Unheard, Aborted::Newer(newer)) => {
                newer.version == self.model.version && newer.version > lease.base
            }
            _ => false,
        };
        step.agree(agree, aborted, expected);
    }

    async fn load(&self, step: &Step<'_>) {
        let loaded = step.case.loaded(&self.key).await;
        step.agree(loaded.version == self.model.version, &loaded, self.model.version);
        if let Some(reason) = self.model.dead {
            step.agree(loaded.standing == Standing::Dead(reason), &loaded, reason);
        } else if self.model.is_plainly_live(step.case.now()) {
            step.agree(loaded.standing == Standing::Live, &loaded, Standing::Live);
        }
    }

    async fn remove(&self, step: &Step<'_>, random: &mut Random) {
        let removed = step.case.remove(&self.key).await;
        let found = removed.as_ref().map(|removed| removed.session.version);
        step.agree(found == Some(self.model.version), found, self.model.version);
        if let Some((lease, Some(commit))) = random.pick(&self.grants).cloned() {
            step.case.commit(&lease, commit).await;
        }
        step.case.is_gone(&self.key).await;
    }
}

/// Sixteen tasks refresh one session as fast as they can, some giving up: never two at once, every version stored once.
pub async fn refreshes_at_once_never_overlap(store: &StoreUnderTest) {
    let case = Case::new("refreshes at once never overlap", store);
    let key = case.open().await.key;
    let (holding, stored) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
    let mut tasks = JoinSet::new();
    for seed in 0..16 {
        let refresher = Refresher { store: store.store.clone(), key, holding: holding.clone(), stored: stored.clone() };
        // The successor is made from what a case knows; one made here carries it into the task.
        let next = case.next(&key, refresh_token()).await;
        tasks.spawn(async move { refresher.run(Random(seed), next).await });
    }
    let overlaps = tasks.join_all().await;
    case.check(overlaps.iter().all(|overlaps| *overlaps == 0), format!("leases overlapped: {overlaps:?}"));
    let version = case.loaded(&key).await.version;
    let stored = u64::try_from(stored.load(Ordering::SeqCst)).expect("a small number");
    case.check(version == Version(stored + 1), format!("{stored} commits were stored and made {version:?}"));
}

struct Refresher {
    store: Arc<dyn SessionStore>,
    key: SessionKey,
    holding: Arc<AtomicBool>,
    stored: Arc<AtomicUsize>,
}

impl Refresher {
    /// Refreshes 200 times or finds others doing it; how often another held the lease at the same time.
    async fn run(self, mut random: Random, like: Commit) -> usize {
        let (mut overlaps, mut seen) = (0, Version::FIRST);
        for _ in 0..200 {
            let begin = Begin { seen, attempt: AttemptId::random(), lease: LONG_LEASE, doubt: IfInDoubt::Grant };
            match self.store.begin(&self.key, begin).await {
                Ok(Begun::Granted { lease, .. }) => {
                    overlaps += usize::from(self.holding.swap(true, Ordering::SeqCst));
                    tokio::task::yield_now().await;
                    self.holding.store(false, Ordering::SeqCst);
                    self.end(&lease, &mut random, &like).await;
                }
                Ok(Begun::Newer(newer)) => seen = newer.version,
                Ok(_) => tokio::task::yield_now().await,
                Err(_) => overlaps += 1,
            }
        }
        overlaps
    }

    async fn end(&self, lease: &Lease, random: &mut Random, like: &Commit) {
        let abort = match random.below(4) {
            0 => Abort::Untouched,
            1 => Abort::InDoubt,
            _ => {
                let Ok(Some(current)) = self.store.load(&self.key).await else { return };
                let (like, access) = (&like.session, like.session.access_token());
                let session = current.succeeded_by(&access, like.zones, like.issued_at, like.ends_at);
                let commit = Commit { session, refresh_token: refresh_token() };
                let committed = self.store.commit(lease, commit).await;
                let stored = matches!(committed, Ok(Committed::Stored));
                self.stored.fetch_add(usize::from(stored), Ordering::SeqCst);
                return;
            }
        };
        let _ = self.store.abort(lease, abort).await;
    }
}
