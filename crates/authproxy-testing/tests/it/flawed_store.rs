//! The smallest honest session store, and the same with one flaw, which the suite must find.

use std::{
    collections::{HashMap, HashSet},
    sync::Mutex,
    time::Duration,
};

use async_trait::async_trait;
use authproxy_core::{
    clock::{Clock, ManualClock, Timestamp},
    error::StoreError,
    session::{DeathReason, Session, SessionKey, Standing},
    store::{
        Abort, Aborted, AttemptId, Begin, Begun, Commit, Committed, CreateError, Exchanged, HandedOut, IfInDoubt,
        Lease, NewSession, Removed, SessionStore,
    },
    token::RefreshToken,
};

/// What a [`ReferenceStore`] does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    CreateReplaces,
    FullEvicts,
    FullRefusesEarly,
    EndedAreForgotten,
    EndedAreKept,
    SeveralLeases,
    LeaseRunsOutFree,
    LeaseIsShort,
    ReplayedBeginIsBusy,
    DoubtRestartsTheIntent,
    DoubtGrantsMany,
    OlderAttemptIsGranted,
    UntouchedClearsDoubt,
    UntouchedLeavesDoubt,
    DoubtIsNotPublished,
    DeathIsForgotten,
    AbortIsNotFenced,
    LateDeathKills,
    LateCommitIsRefused,
    NewerIsOverwritten,
    DeadRefusesCommit,
    CommitRevivesRemoved,
    ReplayedCommitIsSuperseded,
    ReplayIsForgottenByTheNextCommit,
    ReplayedCommitFreesTheLease,
    KeptTokenErases,
    RemoveForgetsTheHandedOut,
    ExchangesTwice,
    ExchangeHandsNothingOut,
    PeekIsStale,
    BeginIsNotAtomic,
    ExchangeIsNotAtomic,
    RemoveIsNotAtomic,
}

impl Flaw {
    pub(crate) const ALL: [Self; 33] = [
        Self::CreateReplaces,
        Self::FullEvicts,
        Self::FullRefusesEarly,
        Self::EndedAreForgotten,
        Self::EndedAreKept,
        Self::SeveralLeases,
        Self::LeaseRunsOutFree,
        Self::LeaseIsShort,
        Self::ReplayedBeginIsBusy,
        Self::DoubtRestartsTheIntent,
        Self::DoubtGrantsMany,
        Self::OlderAttemptIsGranted,
        Self::UntouchedClearsDoubt,
        Self::UntouchedLeavesDoubt,
        Self::DoubtIsNotPublished,
        Self::DeathIsForgotten,
        Self::AbortIsNotFenced,
        Self::LateDeathKills,
        Self::LateCommitIsRefused,
        Self::NewerIsOverwritten,
        Self::DeadRefusesCommit,
        Self::CommitRevivesRemoved,
        Self::ReplayedCommitIsSuperseded,
        Self::ReplayIsForgottenByTheNextCommit,
        Self::ReplayedCommitFreesTheLease,
        Self::KeptTokenErases,
        Self::RemoveForgetsTheHandedOut,
        Self::ExchangesTwice,
        Self::ExchangeHandsNothingOut,
        Self::PeekIsStale,
        Self::BeginIsNotAtomic,
        Self::ExchangeIsNotAtomic,
        Self::RemoveIsNotAtomic,
    ];
}

pub(crate) struct ReferenceStore {
    clock: ManualClock,
    capacity: usize,
    flaw: Option<Flaw>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    records: HashMap<SessionKey, Record>,
    first_seen: HashMap<SessionKey, Session>,
    handed_out: HashMap<String, HandedOut>,
}

struct Record {
    session: Session,
    refresh_token: Option<RefreshToken>,
    dead: Option<DeathReason>,
    doubt: Option<Timestamp>,
    held: Option<Held>,
    committed: HashSet<AttemptId>,
    last_committed: Option<AttemptId>,
}

struct Held {
    attempt: AttemptId,
    first_intent: Timestamp,
    until: Timestamp,
}

impl ReferenceStore {
    pub(crate) fn new(capacity: usize, clock: ManualClock, flaw: Option<Flaw>) -> Self {
        Self { clock, capacity, flaw, state: Mutex::default() }
    }

    fn has(&self, flaw: Flaw) -> bool {
        self.flaw == Some(flaw)
    }

    /// Gives other tasks their turn between two steps that an honest store takes as one.
    async fn between_two_steps(&self, flaw: Flaw) {
        if self.has(flaw) {
            tokio::task::yield_now().await;
        }
    }

    fn would_grant(&self, key: &SessionKey) -> bool {
        let now = self.clock.now();
        let state = self.state.lock().unwrap();
        state.records.get(key).is_some_and(|record| record.held.as_ref().is_none_or(|held| held.until <= now))
    }

    fn begin_now(&self, key: &SessionKey, begin: Begin, unguarded: bool) -> Begun {
        let now = self.clock.now();
        let mut state = self.state.lock().unwrap();
        let Some(record) = state.records.get_mut(key) else { return Begun::Missing };
        if let Some(reason) = record.dead {
            return Begun::Dead(reason);
        }
        if record.session.version > begin.seen && !self.has(Flaw::OlderAttemptIsGranted) {
            return Begun::Newer(record.session.clone());
        }
        let Some(refresh_token) = record.refresh_token.clone() else { return Begun::Missing };
        let lease = Lease { key: *key, attempt: begin.attempt, base: record.session.version };
        if let Some(held) = &record.held {
            let mine = held.attempt == begin.attempt && !self.has(Flaw::ReplayedBeginIsBusy);
            let many = self.has(Flaw::SeveralLeases)
                || (self.has(Flaw::DoubtGrantsMany) && record.doubt.is_some() && begin.doubt == IfInDoubt::Grant)
                || unguarded;
            if held.until > now && mine {
                return Begun::Granted { lease, refresh_token, first_intent: held.first_intent };
            }
            if held.until > now && !many {
                return Begun::Busy { lease_left: held.until.since(now) };
            }
            if held.until <= now && !self.has(Flaw::LeaseRunsOutFree) {
                record.doubt = Some(held.first_intent);
            }
        }
        if let (Some(since), IfInDoubt::Report) = (record.doubt, begin.doubt) {
            return Begun::InDoubt { since };
        }
        let first_intent = record.doubt.filter(|_| !self.has(Flaw::DoubtRestartsTheIntent)).unwrap_or(now);
        let lasts = if self.has(Flaw::LeaseIsShort) { begin.lease / 4 * 3 } else { begin.lease };
        record.held = Some(Held { attempt: begin.attempt, first_intent, until: now.plus(lasts) });
        Begun::Granted { lease, refresh_token, first_intent }
    }

    fn commit_now(&self, lease: &Lease, commit: Commit) -> Committed {
        let now = self.clock.now();
        let mut state = self.state.lock().unwrap();
        if self.has(Flaw::CommitRevivesRemoved) && !state.records.contains_key(&lease.key) {
            state.records.insert(lease.key, Record::new(commit.session.clone(), Some(commit.refresh_token.clone())));
            return Committed::Stored;
        }
        let Some(record) = state.records.get_mut(&lease.key) else { return Committed::Gone };
        let remembered = if self.has(Flaw::ReplayIsForgottenByTheNextCommit) {
            record.last_committed == Some(lease.attempt)
        } else {
            record.committed.contains(&lease.attempt)
        };
        if remembered && !self.has(Flaw::ReplayedCommitIsSuperseded) {
            if self.has(Flaw::ReplayedCommitFreesTheLease) {
                record.held = None;
            }
            return Committed::Stored;
        }
        let moved = record.session.version != lease.base && !self.has(Flaw::NewerIsOverwritten);
        let late = record.held.as_ref().is_none_or(|held| held.attempt != lease.attempt || held.until <= now);
        let refused = (record.dead.is_some() && self.has(Flaw::DeadRefusesCommit))
            || (late && self.has(Flaw::LateCommitIsRefused));
        if moved || refused {
            return Committed::Superseded(record.session.clone());
        }
        record.session = commit.session;
        let same = |token: &RefreshToken| token.expose_secret() == commit.refresh_token.expose_secret();
        let erased = record.refresh_token.as_ref().is_some_and(same) && self.has(Flaw::KeptTokenErases);
        record.refresh_token = (!erased).then_some(commit.refresh_token);
        (record.dead, record.doubt, record.held) = (None, None, None);
        record.committed.insert(lease.attempt);
        record.last_committed = Some(lease.attempt);
        Committed::Stored
    }

    fn abort_now(&self, lease: &Lease, abort: Abort) -> Aborted {
        let mut state = self.state.lock().unwrap();
        let Some(record) = state.records.get_mut(&lease.key) else { return Aborted::Fenced };
        if record.session.version != lease.base {
            return Aborted::Newer(record.session.clone());
        }
        let unfenced =
            self.has(Flaw::AbortIsNotFenced) || (self.has(Flaw::LateDeathKills) && matches!(abort, Abort::Dead(_)));
        let mine = |held: &mut Held| held.attempt == lease.attempt || unfenced;
        let Some(held) = record.held.take_if(mine) else { return Aborted::Fenced };
        match abort {
            Abort::Untouched if self.has(Flaw::UntouchedClearsDoubt) => record.doubt = None,
            Abort::Untouched if self.has(Flaw::UntouchedLeavesDoubt) => record.doubt = Some(held.first_intent),
            Abort::Untouched => {}
            Abort::InDoubt => {
                record.doubt = Some(held.first_intent);
                if !self.has(Flaw::DoubtIsNotPublished) {
                    record.stand(Standing::InDoubt { since: held.first_intent });
                }
            }
            Abort::Dead(reason) => {
                record.dead = Some(reason).filter(|_| !self.has(Flaw::DeathIsForgotten));
                record.stand(Standing::Dead(reason));
            }
        }
        Aborted::Done
    }
}

impl Record {
    fn new(session: Session, refresh_token: Option<RefreshToken>) -> Self {
        Self {
            session,
            refresh_token,
            dead: None,
            doubt: None,
            held: None,
            committed: HashSet::new(),
            last_committed: None,
        }
    }

    fn stand(&mut self, standing: Standing) {
        self.session = self.session.with_standing(standing);
    }
}

#[async_trait]
impl SessionStore for ReferenceStore {
    async fn create(&self, key: &SessionKey, new: NewSession) -> Result<(), CreateError> {
        let mut state = self.state.lock().unwrap();
        if state.records.contains_key(key) && !self.has(Flaw::CreateReplaces) {
            return Err(CreateError::Exists);
        }
        let capacity = if self.has(Flaw::FullRefusesEarly) { self.capacity - 1 } else { self.capacity };
        if state.records.len() >= capacity {
            if !self.has(Flaw::FullEvicts) {
                return Err(CreateError::Full);
            }
            let victim = *state.records.keys().next().unwrap();
            state.records.remove(&victim);
        }
        let session = new.session;
        if let (Some(token), true) = (&new.refresh_token, new.handed_out) {
            let handed_out = HandedOut { key: *key, version: session.version, exchanged: false };
            state.handed_out.insert(token.expose_secret().to_owned(), handed_out);
        }
        state.first_seen.insert(*key, session.clone());
        state.records.insert(*key, Record::new(session, new.refresh_token));
        Ok(())
    }

    fn peek(&self, key: &SessionKey) -> Option<Session> {
        self.state.lock().unwrap().first_seen.get(key).cloned().filter(|_| self.has(Flaw::PeekIsStale))
    }

    async fn load(&self, key: &SessionKey) -> Result<Option<Session>, StoreError> {
        Ok(self.state.lock().unwrap().records.get(key).map(|record| record.session.clone()))
    }

    async fn begin(&self, key: &SessionKey, begin: Begin) -> Result<Begun, StoreError> {
        let unguarded = self.has(Flaw::BeginIsNotAtomic) && self.would_grant(key);
        self.between_two_steps(Flaw::BeginIsNotAtomic).await;
        Ok(self.begin_now(key, begin, unguarded))
    }

    async fn commit(&self, lease: &Lease, commit: Commit) -> Result<Committed, StoreError> {
        Ok(self.commit_now(lease, commit))
    }

    async fn abort(&self, lease: &Lease, abort: Abort) -> Result<Aborted, StoreError> {
        Ok(self.abort_now(lease, abort))
    }

    async fn remove(&self, key: &SessionKey) -> Result<Option<Removed>, StoreError> {
        let removed =
            |record: &Record| Removed { session: record.session.clone(), refresh_token: record.refresh_token.clone() };
        if self.has(Flaw::RemoveIsNotAtomic) {
            let found = self.state.lock().unwrap().records.get(key).map(removed);
            tokio::task::yield_now().await;
            self.state.lock().unwrap().records.remove(key);
            return Ok(found);
        }
        let mut state = self.state.lock().unwrap();
        if self.has(Flaw::RemoveForgetsTheHandedOut) {
            state.handed_out.retain(|_, handed_out| handed_out.key != *key);
        }
        Ok(state.records.remove(key).as_ref().map(removed))
    }

    async fn find_handed_out(&self, token: &RefreshToken) -> Result<Option<HandedOut>, StoreError> {
        Ok(self.state.lock().unwrap().handed_out.get(token.expose_secret()).copied())
    }

    async fn exchange(&self, presented: &RefreshToken) -> Result<Exchanged, StoreError> {
        let found = self.find_handed_out(presented).await?;
        let before = found.is_some_and(|found| found.exchanged);
        self.between_two_steps(Flaw::ExchangeIsNotAtomic).await;
        let mut state = self.state.lock().unwrap();
        let state = &mut *state;
        let Some(handed_out) = state.handed_out.get_mut(presented.expose_secret()) else {
            return Ok(Exchanged::Missing);
        };
        let Some(record) = state.records.get(&handed_out.key) else { return Ok(Exchanged::Missing) };
        let Some(refresh_token) = record.refresh_token.clone() else { return Ok(Exchanged::Missing) };
        let spent = if self.has(Flaw::ExchangeIsNotAtomic) { before } else { handed_out.exchanged };
        if spent && !self.has(Flaw::ExchangesTwice) {
            return Ok(Exchanged::Already);
        }
        handed_out.exchanged = true;
        let next = HandedOut { key: handed_out.key, version: record.session.version, exchanged: false };
        if !self.has(Flaw::ExchangeHandsNothingOut) {
            state.handed_out.insert(refresh_token.expose_secret().to_owned(), next);
        }
        Ok(Exchanged::Current { session: record.session.clone(), refresh_token })
    }

    fn maintain(&self) {
        let now = self.clock.now();
        let linger = match self.flaw {
            Some(Flaw::EndedAreForgotten) => Duration::ZERO,
            Some(Flaw::EndedAreKept) => Duration::MAX,
            _ => Duration::from_mins(5),
        };
        self.state.lock().unwrap().records.retain(|_, record| record.session.ends_at.plus(linger) > now);
    }
}
