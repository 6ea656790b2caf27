//! Claims about verbs that run at the same time.

use std::sync::Arc;

use authproxy_core::{
    error::StoreError,
    session::{SessionId, SessionKey, Version},
    store::{AttemptId, Begin, Begun, Committed, CreateError, Exchanged, IfInDoubt, SessionStore},
};
use tokio::{sync::Barrier, task::JoinSet};

use super::{
    StoreUnderTest,
    case::{Case, LONG_LEASE, refresh_token},
};

const TASKS: usize = 64;
/// Also the most sessions that a claim has open at a time, but for those that fill the store.
pub(super) const ROUNDS: usize = 50;

/// Runs `work` in 64 tasks that start together; their results.
async fn together<T, F>(store: &StoreUnderTest, work: impl Fn(Arc<dyn SessionStore>) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let start = Arc::new(Barrier::new(TASKS));
    let mut tasks = JoinSet::new();
    for _ in 0..TASKS {
        let (start, work) = (start.clone(), work(store.store.clone()));
        tasks.spawn(async move {
            start.wait().await;
            work.await
        });
    }
    tasks.join_all().await
}

/// Of 64 attempts at once exactly one is granted, and the others wait.
pub async fn of_many_attempts_one_is_granted(store: &StoreUnderTest) {
    let case = Case::new("of many attempts one is granted", store);
    for _ in 0..ROUNDS {
        let key = case.open().await.key;
        let begun = together(store, |store| begin(store, key, IfInDoubt::Report)).await;
        one_granted(&case, &begun);
    }
}

/// Of 64 attempts at once on a session in doubt exactly one is granted, and the others wait.
pub async fn of_many_attempts_in_doubt_one_is_granted(store: &StoreUnderTest) {
    let case = Case::new("of many attempts in doubt one is granted", store);
    let mut keys = Vec::new();
    for _ in 0..ROUNDS {
        let key = case.open().await.key;
        case.granted(&key, store.short_lease(), IfInDoubt::Report).await;
        keys.push(key);
    }
    case.let_leases_run_out().await;
    for key in keys {
        let begun = together(store, |store| begin(store, key, IfInDoubt::Grant)).await;
        one_granted(&case, &begun);
    }
}

async fn begin(store: Arc<dyn SessionStore>, key: SessionKey, doubt: IfInDoubt) -> Result<Begun, StoreError> {
    let begin = Begin { seen: Version::FIRST, attempt: AttemptId::random(), lease: LONG_LEASE, doubt };
    store.begin(&key, begin).await
}

#[track_caller]
fn one_granted(case: &Case<'_>, begun: &[Result<Begun, StoreError>]) {
    let granted = begun.iter().filter(|begun| matches!(begun, Ok(Begun::Granted { .. }))).count();
    let busy = begun.iter().filter(|begun| matches!(begun, Ok(Begun::Busy { .. }))).count();
    case.check((granted, busy) == (1, TASKS - 1), format!("{granted} were granted and {busy} told to wait"));
}

/// Of 64 sessions created at once under one key exactly one is.
pub async fn of_many_creates_of_a_key_one_succeeds(store: &StoreUnderTest) {
    let case = Case::new("of many creates of a key one succeeds", store);
    let key = SessionId::random().key();
    let now = case.now();
    let created = together(store, |store| {
        let new = Case::new("of many creates of a key one succeeds", case.under_test)
            .new_session(Some(refresh_token()), false);
        async move { store.create(&key, new).await }
    })
    .await;
    let succeeded = created.iter().filter(|created| created.is_ok()).count();
    let exists = created.iter().filter(|created| matches!(created, Err(CreateError::Exists))).count();
    case.check((succeeded, exists) == (1, TASKS - 1), format!("{succeeded} succeeded, {exists} were told it exists"));
    case.check(case.loaded(&key).await.opened_at >= now, "the session is not one of those created");
}

/// Of 64 exchanges of one token at once exactly one succeeds.
pub async fn of_many_exchanges_of_a_token_one_succeeds(store: &StoreUnderTest) {
    let case = Case::new("of many exchanges of a token one succeeds", store);
    for _ in 0..ROUNDS {
        let opened = case.open_handed_out().await;
        case.rotate(&opened.key).await;
        let exchanged = together(store, |store| {
            let presented = opened.refresh_token.clone();
            async move { store.exchange(&presented).await }
        })
        .await;
        let succeeded = exchanged.iter().filter(|it| matches!(it, Ok(Exchanged::Current { .. }))).count();
        let already = exchanged.iter().filter(|it| matches!(it, Ok(Exchanged::Already))).count();
        case.check((succeeded, already) == (1, TASKS - 1), format!("{succeeded} succeeded, {already} came too late"));
    }
}

/// Of 64 removals at once exactly one is told what to revoke.
pub async fn of_many_removals_one_is_told_what_to_revoke(store: &StoreUnderTest) {
    let case = Case::new("of many removals one is told what to revoke", store);
    for _ in 0..ROUNDS {
        let key = case.open().await.key;
        let removed = together(store, |store| async move { store.remove(&key).await }).await;
        let told = removed.iter().filter(|removed| matches!(removed, Ok(Some(_)))).count();
        case.check(told == 1, format!("{told} were told what to revoke"));
    }
}

/// One commit that arrives 64 times at once is stored once, and every copy is told so.
pub async fn a_commit_that_arrives_many_times_is_stored_once(store: &StoreUnderTest) {
    let case = Case::new("a commit that arrives many times is stored once", store);
    for _ in 0..ROUNDS {
        let key = case.open().await.key;
        let lease = case.granted(&key, LONG_LEASE, IfInDoubt::Report).await.lease;
        let commit = case.next(&key, refresh_token()).await;
        let committed = together(store, |store| {
            let commit = commit.clone();
            async move { store.commit(&lease, commit).await }
        })
        .await;
        case.check(committed.iter().all(|it| matches!(it, Ok(Committed::Stored))), committed);
        case.check(case.loaded(&key).await.version == Version(2), "the version is not the second");
    }
}

/// Whichever comes first, a commit or a removal at the same time, the session is gone afterwards.
pub async fn a_removal_wins_over_a_commit_at_the_same_time(store: &StoreUnderTest) {
    let case = Case::new("a removal wins over a commit at the same time", store);
    for round in 0..ROUNDS * 4 {
        let key = case.open().await.key;
        let lease = case.granted(&key, LONG_LEASE, IfInDoubt::Report).await.lease;
        let commit = case.next(&key, refresh_token()).await;
        let stores = (store.store.clone(), store.store.clone());
        let writing = async move { stores.0.commit(&lease, commit).await };
        let removing = async move { stores.1.remove(&key).await };
        // The task that is spawned first usually runs first.
        let (written, removed) = if round % 2 == 0 {
            let (first, second) = (tokio::spawn(writing), tokio::spawn(removing));
            (first.await, second.await)
        } else {
            let (first, second) = (tokio::spawn(removing), tokio::spawn(writing));
            (second.await, first.await)
        };
        case.check(matches!(written, Ok(Ok(Committed::Stored | Committed::Gone))), written);
        case.check(matches!(removed, Ok(Ok(Some(_)))), removed);
        case.is_gone(&key).await;
    }
}
