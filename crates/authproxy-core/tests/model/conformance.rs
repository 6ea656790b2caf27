//! The model's store against the real one: random sequences of verbs, repeats and time steps on two sessions go
//! through both, and every answer must be the same.
//!
//! The names of attempts are few and leases are made up freely, so stale, repeated and foreign ones are common. Each
//! token carries its session's number, so a token that reached the other session would be seen.

use std::{sync::Arc, time::Duration};

use authproxy_core::{
    clock::{Clock, ManualClock, Timestamp},
    session::{DeathReason, Session, SessionId, SessionKey, Standing as RealStanding, Version as RealVersion, Zones},
    store::{self, MemoryStore, NewSession, SessionStore},
    token::{AccessToken, RefreshToken},
};
use proptest::{
    prelude::*,
    test_runner::{TestCaseResult, TestError, TestRunner},
};

use crate::{
    record::{Abort, Aborted, Begin, Begun, Commit, Committed, Issue, Lease, Moment, Record, Standing},
    rules::Rule,
};

const SESSIONS: usize = 2;

#[derive(Clone, Copy, Debug)]
enum Step {
    /// `behind`: how many versions the asker is behind the store, -1 for one ahead of it (an unsaved set).
    Begin {
        session: usize,
        behind: i8,
        attempt: u8,
        lease: u8,
        grant_in_doubt: bool,
    },
    Commit {
        session: usize,
        behind: i8,
        attempt: u8,
        ahead: u8,
        rotates: bool,
    },
    Abort {
        session: usize,
        behind: i8,
        attempt: u8,
        abort: Abort,
    },
    Remove {
        session: usize,
    },
    Pass {
        seconds: u8,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let session = 0..SESSIONS;
    let behind = prop_oneof![6 => Just(0_i8), 2 => Just(1_i8), 1 => Just(-1_i8)];
    let attempt = 1..4_u8;
    let abort = prop_oneof![3 => Just(Abort::Untouched), 3 => Just(Abort::InDoubt), 1 => Just(Abort::Dead)];
    prop::collection::vec(
        prop_oneof![
            8 => (session.clone(), behind.clone(), attempt.clone(), 1..10_u8, any::<bool>()).prop_map(
                |(session, behind, attempt, lease, grant_in_doubt)| {
                    Step::Begin { session, behind, attempt, lease, grant_in_doubt }
                }
            ),
            5 => (session.clone(), behind.clone(), attempt.clone(), 1..3_u8, any::<bool>()).prop_map(
                |(session, behind, attempt, ahead, rotates)| Step::Commit { session, behind, attempt, ahead, rotates }
            ),
            4 => (session.clone(), behind, attempt, abort)
                .prop_map(|(session, behind, attempt, abort)| Step::Abort { session, behind, attempt, abort }),
            1 => session.prop_map(|session| Step::Remove { session }),
            4 => (0..8_u8).prop_map(|seconds| Step::Pass { seconds }),
        ],
        1..60,
    )
}

/// One session on both sides.
struct Both {
    number: usize,
    key: SessionKey,
    model: Record,
    lease_ends: Moment,
    issued: Issue,
}

struct Harness {
    clock: ManualClock,
    start: Timestamp,
    store: MemoryStore,
    sessions: Vec<Both>,
    broken: Option<Rule>,
}

impl Harness {
    async fn new(broken: Option<Rule>) -> Self {
        let clock = ManualClock::default();
        let store = MemoryStore::with_clock(SESSIONS, Arc::new(clock.clone()));
        let mut sessions = Vec::new();
        for number in 0..SESSIONS {
            let key = SessionId::random().key();
            let new = NewSession {
                session: session(number, 1, 1, clock.now()),
                refresh_token: Some(refresh_token(number, 1)),
                handed_out: false,
            };
            store.create(&key, new).await.unwrap();
            sessions.push(Both { number, key, model: Record::opened(), lease_ends: 0, issued: 1 });
        }
        Self { start: clock.now(), clock, store, sessions, broken }
    }

    fn moment(&self, at: Timestamp) -> Moment {
        Moment::try_from(at.since(self.start).as_secs()).unwrap()
    }

    async fn take(&mut self, step: Step) -> TestCaseResult {
        let now = self.moment(self.clock.now());
        for both in &mut self.sessions {
            if both.model.attempt.is_some() && now >= both.lease_ends {
                both.model.lease_runs_out();
            }
        }
        match step {
            Step::Begin { session, behind, attempt, lease, grant_in_doubt } => {
                let seen = self.version(session, behind);
                self.begin(session, Begin { seen, attempt, grant_in_doubt }, lease, now).await?;
            }
            Step::Commit { session, behind, attempt, ahead, rotates } => {
                let lease = Lease { attempt, base: self.version(session, behind) };
                let both = &mut self.sessions[session];
                both.issued += 1;
                let (access, refresh) = (both.issued, rotates.then_some(both.issued));
                let version = both.model.version + ahead;
                self.commit(session, lease, Commit { version, access, refresh }).await?;
            }
            Step::Abort { session, behind, attempt, abort } => {
                let lease = Lease { attempt, base: self.version(session, behind) };
                self.abort(session, lease, abort).await?;
            }
            Step::Remove { session } => self.remove(session).await?,
            Step::Pass { seconds } => self.clock.advance(Duration::from_secs(seconds.into())),
        }
        for session in 0..SESSIONS {
            self.compare(session).await?;
        }
        Ok(())
    }

    fn version(&self, session: usize, behind: i8) -> u8 {
        self.sessions[session].model.version.saturating_add_signed(-behind)
    }

    async fn begin(&mut self, session: usize, begin: Begin, lease: u8, now: Moment) -> TestCaseResult {
        let both = &mut self.sessions[session];
        let real = store::Begin {
            seen: RealVersion(begin.seen.into()),
            attempt: store::AttemptId(begin.attempt.into()),
            lease: Duration::from_secs(lease.into()),
            doubt: if begin.grant_in_doubt { store::IfInDoubt::Grant } else { store::IfInDoubt::Report },
        };
        let real = self.store.begin(&both.key, real).await.unwrap();
        let model = both.model.begin(begin, now, self.broken);
        if matches!(model, Begun::Granted { .. }) {
            both.lease_ends = now + Moment::from(lease);
        }
        let lease_left = both.lease_ends.saturating_sub(now);
        let both = &self.sessions[session];
        let seen = match real {
            store::Begun::Granted { lease, refresh_token, first_intent } => Begun::Granted {
                lease: both.lease(&lease),
                refresh: both.issue(refresh_token.expose_secret()),
                first_intent: self.moment(first_intent),
            },
            store::Begun::Newer(newer) => Begun::Newer(both.version(&newer)),
            store::Begun::Busy { lease_left: real } => {
                prop_assert_eq!(real, Duration::from_secs(lease_left.into()));
                Begun::Busy
            }
            store::Begun::InDoubt { since } => Begun::InDoubt { since: self.moment(since) },
            store::Begun::Dead(DeathReason::Rejected) => Begun::Dead,
            store::Begun::Dead(reason) => panic!("died of {reason:?}"),
            store::Begun::Missing => Begun::Missing,
        };
        prop_assert_eq!(seen, model);
        Ok(())
    }

    async fn commit(&mut self, session: usize, lease: Lease, commit: Commit) -> TestCaseResult {
        let both = &mut self.sessions[session];
        let real = store::Commit {
            session: self::session(both.number, commit.version, commit.access, self.start),
            refresh_token: refresh_token(both.number, commit.refresh.or(both.model.refresh).unwrap_or_default()),
        };
        let real = self.store.commit(&both.real_lease(lease), real).await.unwrap();
        let model = both.model.commit(lease, commit, self.broken);
        let seen = match real {
            store::Committed::Stored => Committed::Stored,
            store::Committed::Superseded(newer) => Committed::Superseded(both.version(&newer)),
            store::Committed::Gone => Committed::Gone,
        };
        prop_assert_eq!(seen, model);
        Ok(())
    }

    async fn abort(&mut self, session: usize, lease: Lease, abort: Abort) -> TestCaseResult {
        let both = &mut self.sessions[session];
        let real = match abort {
            Abort::Untouched => store::Abort::Untouched,
            Abort::InDoubt => store::Abort::InDoubt,
            Abort::Dead => store::Abort::Dead(DeathReason::Rejected),
        };
        let real = self.store.abort(&both.real_lease(lease), real).await.unwrap();
        let model = both.model.abort(lease, abort, self.broken);
        let seen = match real {
            store::Aborted::Done => Aborted::Done,
            store::Aborted::Newer(newer) => Aborted::Newer(both.version(&newer)),
            store::Aborted::Fenced => Aborted::Fenced,
        };
        prop_assert_eq!(seen, model);
        Ok(())
    }

    async fn remove(&mut self, session: usize) -> TestCaseResult {
        let both = &mut self.sessions[session];
        let real = self.store.remove(&both.key).await.unwrap();
        let seen = real.map(|removed| {
            let refresh = removed.refresh_token.map(|token| both.issue(token.expose_secret()));
            (both.version(&removed.session), refresh)
        });
        let held = (both.model.version, both.model.refresh);
        prop_assert_eq!(seen, both.model.remove().then_some(held));
        Ok(())
    }

    /// What everybody sees of a session.
    async fn compare(&self, session: usize) -> TestCaseResult {
        let both = &self.sessions[session];
        let real = self.store.load(&both.key).await.unwrap();
        let seen = real.map(|real| {
            let standing = match real.standing {
                RealStanding::Live => Standing::Live,
                RealStanding::InDoubt { since } => Standing::InDoubt { since: self.moment(since) },
                RealStanding::Dead(_) => Standing::Dead,
            };
            (both.version(&real), both.issue(real.expose_secret()), standing)
        });
        let model = (both.model.version, both.model.access, both.model.standing());
        prop_assert_eq!(seen, (!both.model.removed).then_some(model));
        Ok(())
    }
}

impl Both {
    fn real_lease(&self, lease: Lease) -> store::Lease {
        let attempt = store::AttemptId(lease.attempt.into());
        store::Lease { key: self.key, attempt, base: RealVersion(lease.base.into()) }
    }

    fn lease(&self, real: &store::Lease) -> Lease {
        assert_eq!(real.key, self.key, "a lease of the other session");
        Lease { attempt: u8::try_from(real.attempt.0).unwrap(), base: u8::try_from(real.base.0).unwrap() }
    }

    fn version(&self, real: &Session) -> u8 {
        self.issue(real.expose_secret());
        u8::try_from(real.version.0).unwrap()
    }

    fn issue(&self, token: &str) -> Issue {
        let (session, issue) = token.split_once('-').unwrap();
        assert_eq!(session, self.number.to_string(), "a token of the other session");
        issue.parse().unwrap()
    }
}

fn session(number: usize, version: u8, issue: Issue, at: Timestamp) -> Session {
    let hour = at.plus(Duration::from_hours(1));
    let zones = Zones { refresh_at: hour, wait_at: hour, expires_at: hour };
    let access_token = AccessToken::new(&format!("{number}-{issue}")).unwrap();
    let mut session = Session::new("user".into(), &access_token, zones, at, at.plus(Duration::from_hours(24)));
    for _ in 1..version {
        session = session.succeeded_by(&access_token, zones, at, session.ends_at);
    }
    session
}

fn refresh_token(number: usize, issue: Issue) -> RefreshToken {
    RefreshToken::new(&format!("{number}-{issue}")).unwrap()
}

fn agree(steps: Vec<Step>, broken: Option<Rule>) -> TestCaseResult {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let mut harness = Harness::new(broken).await;
        for step in steps {
            harness.take(step).await?;
        }
        Ok(())
    })
}

fn search(broken: Option<Rule>) -> Result<(), TestError<Vec<Step>>> {
    let config = ProptestConfig { cases: 2000, failure_persistence: None, ..ProptestConfig::default() };
    TestRunner::new(config).run(&steps(), |steps| agree(steps, broken))
}

#[test]
fn the_memory_store_answers_as_the_model_does() {
    if let Err(difference) = search(None) {
        panic!("{difference}");
    }
}

#[test]
fn a_store_that_breaks_a_rule_is_told_from_the_model() {
    let rules =
        [Rule::AnEndedLeaseIsDoubt, Rule::ACommitNeedsItsBase, Rule::RemovedStaysRemoved, Rule::AnAbortIsFenced];
    for rule in rules {
        assert!(matches!(search(Some(rule)), Err(TestError::Fail(..))), "nobody misses {rule:?}");
    }
}
