//! Herds, a failing service, a full queue.

use std::sync::Arc;

use authproxy_core::{
    TokenError,
    backend::RotationContract,
    error::{OpenError, Unavailability},
    manager::AccessOptions,
    token::RefreshToken,
};
use authproxy_testing::{Gate, Scripted};
use tokio::{task::JoinSet, time::Instant};

use crate::world::{World, credentials, pass, secs, settle};

/// Scenario 47.
#[tokio::test(start_paused = true)]
async fn a_hundred_thousand_sessions_that_expire_in_one_second_refresh_at_a_bounded_rate() {
    const SESSIONS: usize = 100_000;
    let world = World::with(RotationContract::Strict, |config| config.max_refreshes_per_second = 4_000);
    let mut keys = Vec::with_capacity(SESSIONS);
    for _ in 0..SESSIONS {
        keys.push(world.open().await.id.key());
    }
    pass(120).await;
    let begun = world.clock.now();
    let mut callers = JoinSet::new();
    for key in keys {
        let manager = world.manager.clone();
        callers.spawn(async move {
            manager.access_token_with(&key, AccessOptions::default().wait(secs(120))).await.is_ok()
        });
    }
    assert!(callers.join_all().await.into_iter().all(|served| served));
    let presented_at = world.backend.presented_at();
    assert_eq!(presented_at.len(), SESSIONS);
    world.assert_each_token_presented_once();
    let mut by_second = std::collections::BTreeMap::<u64, usize>::new();
    for at in presented_at {
        *by_second.entry(at.since(begun).as_secs()).or_default() += 1;
    }
    let most = by_second.values().copied().max().unwrap_or(0);
    assert!(most <= 8_100, "{most} in one second: more than a burst and a second's worth");
    assert!(by_second.len() >= 20, "spread over {} seconds only", by_second.len());
}

#[tokio::test(start_paused = true)]
async fn a_refresh_that_has_nothing_to_wait_for_takes_no_time() {
    let world = World::new();
    let (key, old) = world.expired().await;
    let asked_at = Instant::now();
    let newer = world.manager.access_token(&key).await.unwrap();
    assert!(newer.version() > old.version());
    assert_eq!(asked_at.elapsed(), secs(0));
}

/// Scenario 47: the soft limits of sessions that were opened together are spread over the jitter's window.
#[tokio::test(start_paused = true)]
async fn sessions_opened_together_come_back_apart() {
    let world = World::new();
    let mut keys = Vec::new();
    for _ in 0..1_000 {
        keys.push(world.open().await.id.key());
    }
    let mut refreshed_in = [0_usize; 13];
    pass(84).await;
    for slot in &mut refreshed_in {
        let before = world.backend.presentations();
        for key in &keys {
            world.manager.access_token(key).await.unwrap();
            settle_once().await;
        }
        settle().await;
        *slot = world.backend.presentations() - before;
        pass(1).await;
    }
    assert_eq!(refreshed_in.iter().sum::<usize>(), 1_000, "{refreshed_in:?}");
    assert!(refreshed_in.iter().all(|count| *count < 200), "a twelfth each, give or take: {refreshed_in:?}");
}

async fn settle_once() {
    for _ in 0..8 {
        tokio::task::yield_now().await;
    }
}

/// Scenario 49.
#[tokio::test(start_paused = true)]
async fn a_failing_service_is_left_alone_probed_once_and_used_again() {
    let world = World::under(RotationContract::Reusable);
    let mut keys = Vec::new();
    for _ in 0..40 {
        keys.push(world.open().await.id.key());
    }
    pass(120).await;
    world.backend.script(std::iter::repeat_n(Scripted::LostAfter, 1000));
    for key in &keys {
        let outcome = world.manager.access_token(key).await;
        assert!(matches!(outcome, Err(TokenError::Unavailable { reason: Unavailability::Backend, .. })));
    }
    let presented = world.backend.presentations();
    assert!(presented <= 20, "{presented}: the breaker opened after ten failures in a row");
    let fast = tokio::time::Instant::now();
    world.manager.access_token(&keys[39]).await.unwrap_err();
    assert!(fast.elapsed() < secs(1), "told at once while the breaker is open");
    pass(31).await;
    let before = world.backend.presentations();
    let mut callers = JoinSet::new();
    for key in keys.clone() {
        let manager = world.manager.clone();
        callers.spawn(async move { manager.access_token(&key).await.is_ok() });
    }
    callers.join_all().await;
    assert!(world.backend.presentations() - before <= 2, "one probe, which may present twice by its contract");
}

#[tokio::test(start_paused = true)]
async fn while_the_service_fails_no_background_refresh_risks_a_token() {
    let world = World::new();
    let mut keys = Vec::new();
    for _ in 0..30 {
        keys.push(world.open().await.id.key());
    }
    pass(106).await;
    world.backend.script(std::iter::repeat_n(Scripted::NotProcessed(Some(secs(60))), 1));
    for key in &keys {
        world.manager.access_token(key).await.unwrap();
        settle().await;
    }
    assert_eq!(world.backend.presentations(), 0, "the first answer's Retry-After held for all of them");
}

/// Scenario 16: calls that were in the air when the service asked to be left alone say nothing about its wish.
#[tokio::test(start_paused = true)]
async fn an_answer_that_was_under_way_does_not_lift_a_retry_after() {
    let world = World::new();
    let mut keys = Vec::new();
    for _ in 0..3 {
        keys.push(world.open().await.id.key());
    }
    pass(120).await;
    let gate = Gate::new();
    world.backend.script([Scripted::HoldBefore(gate.clone()), Scripted::NotProcessed(Some(secs(40)))]);
    let under_way = tokio::spawn({
        let (manager, key) = (world.manager.clone(), keys[0]);
        async move { manager.access_token(&key).await.is_ok() }
    });
    settle().await;
    world.manager.access_token(&keys[1]).await.unwrap_err();
    gate.open();
    assert!(under_way.await.unwrap());
    let before = world.backend.presentations();
    let refused = world.manager.access_token(&keys[2]).await;
    let Err(TokenError::Unavailable { retry_after, .. }) = refused else { panic!("{refused:?}") };
    assert!(retry_after > secs(30), "{retry_after:?}");
    assert_eq!(world.backend.presentations(), before);
    pass(41).await;
    world.manager.access_token(&keys[2]).await.unwrap();
}

/// Anybody may send any text as a refresh token of no session, also one that the service stumbles over.
#[tokio::test(start_paused = true)]
async fn what_the_service_makes_of_strangers_tokens_shuts_nobody_off() {
    for script in [Scripted::ClientRejected, Scripted::LostBefore] {
        let world = World::new();
        let (key, _) = world.expired().await;
        world.backend.script(std::iter::repeat_n(script, 40));
        for _ in 0..40 {
            let stranger = RefreshToken::new("a-strangers-token").unwrap();
            world.manager.exchange(stranger).await.unwrap_err();
        }
        world.manager.access_token(&key).await.expect("the session's own refresh is let through");
    }
}

/// Scenario 50.
#[tokio::test(start_paused = true)]
async fn a_full_queue_answers_overloaded_and_background_refreshes_give_way() {
    let world = World::with(RotationContract::Strict, |config| {
        config.max_concurrent_refreshes = 2;
        config.max_waiting_refreshes = 3;
    });
    let mut keys = Vec::new();
    for _ in 0..8 {
        keys.push(world.open().await.id.key());
    }
    pass(120).await;
    let gate = Gate::new();
    world.backend.script(std::iter::repeat_n(Scripted::HoldBefore(gate.clone()), 8));
    let mut callers = JoinSet::new();
    for key in keys {
        let manager = world.manager.clone();
        callers.spawn(async move { manager.access_token(&key).await });
    }
    let late = world.open().await.id.key();
    settle().await;
    gate.open();
    let outcomes = callers.join_all().await;
    let overloaded = |outcome: &&Result<_, TokenError>| {
        matches!(outcome, Err(TokenError::Unavailable { reason: Unavailability::Overloaded, .. }))
    };
    assert_eq!(outcomes.iter().filter(overloaded).count(), 3, "two run, three wait, three are told");
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 5);
    world.manager.access_token(&late).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn background_refreshes_take_at_most_half_of_the_places() {
    let world = World::with(RotationContract::Strict, |config| config.max_concurrent_refreshes = 4);
    let mut keys = Vec::new();
    for _ in 0..10 {
        keys.push(world.open().await.id.key());
    }
    let urgent = world.open().await.id.key();
    pass(107).await;
    let gate = Gate::new();
    world.backend.script(std::iter::repeat_n(Scripted::HoldBefore(gate.clone()), 2));
    for key in &keys {
        world.manager.access_token(key).await.unwrap();
        settle().await;
    }
    pass(2).await;
    world.manager.access_token(&urgent).await.expect("a place was left for one who waits");
    assert_eq!(world.backend.presentations(), 1);
    gate.open();
    settle().await;
    assert_eq!(world.backend.presentations(), 3);
}

#[tokio::test(start_paused = true)]
async fn a_background_refresh_that_finds_no_room_stands_in_nobodys_way() {
    let world = World::with(RotationContract::Strict, |config| config.max_concurrent_refreshes = 4);
    let mut keys = Vec::new();
    for _ in 0..4 {
        keys.push(world.open().await.id.key());
    }
    pass(107).await;
    let gate = Gate::new();
    world.backend.script(std::iter::repeat_n(Scripted::HoldBefore(gate.clone()), 2));
    let fresh = AccessOptions::default().min_validity(secs(30));
    for (place, key) in keys.iter().enumerate() {
        let old = world.manager.access_token(key).await.unwrap();
        if place == 3 {
            settle().await; // the other one is waited for before it was declined
        }
        if place >= 2 {
            let new = world.manager.access_token_with(key, fresh).await.unwrap();
            assert!(new.version() > old.version(), "one that was waited for had room");
        } else {
            settle().await;
        }
    }
    gate.open();
    settle().await;
    world.assert_each_token_presented_once();
    assert_eq!(world.backend.presentations(), 4);
}

/// Scenario 30.
#[tokio::test(start_paused = true)]
async fn a_full_store_refuses_the_login_and_evicts_nobody() {
    use authproxy_core::{MemoryStore, TokenManager, clock::Clock};
    let clock: Arc<dyn Clock> = Arc::new(authproxy_core::clock::TokioClock::new());
    let backend = authproxy_testing::FakeBackend::new(clock.clone());
    let store = Arc::new(MemoryStore::with_clock(100, clock.clone()));
    let manager = TokenManager::builder(Arc::new(backend.clone()), store.clone()).clock(clock).build();
    let mut keys = Vec::new();
    for _ in 0..100 {
        keys.push(manager.open(credentials()).await.unwrap().id.key());
    }
    for _ in 0..50 {
        assert!(matches!(manager.open(credentials()).await, Err(OpenError::Full)));
    }
    for key in &keys {
        assert!(manager.peek(key).is_some());
    }
    settle().await;
    assert_eq!(backend.live_families(), 100, "what the refused logins were issued is revoked");
    manager.close(&keys[0]).await.unwrap();
    manager.open(credentials()).await.expect("room again");
    assert_eq!(store.len(), 100);
}

/// Scenario 31.
#[tokio::test(start_paused = true)]
async fn expired_sessions_are_freed_without_any_traffic() {
    use authproxy_core::{
        MemoryStore, SessionStore, TokenManager,
        clock::{Clock, TokioClock},
    };
    let clock: Arc<dyn Clock> = Arc::new(TokioClock::new());
    let backend = authproxy_testing::FakeBackend::new(clock.clone()).ttls(secs(2), secs(4));
    let store = Arc::new(MemoryStore::with_clock(100, clock.clone()));
    let manager = TokenManager::builder(Arc::new(backend), store.clone()).clock(clock).build();
    let mut keys = Vec::new();
    for _ in 0..50 {
        keys.push(manager.open(credentials()).await.unwrap().id.key());
    }
    pass(4).await;
    settle().await;
    assert!(keys.iter().all(|key| manager.peek(key).is_none()), "by our clock, at once");
    pass(299).await;
    settle().await;
    assert_eq!(store.len(), 50, "remembered for five minutes, to say that they have expired");
    assert!(store.load(&keys[0]).await.unwrap().is_some());
    pass(3).await; // nobody asks: the manager's own tick looks
    settle().await;
    assert_eq!(store.len(), 0);
    assert!(store.load(&keys[0]).await.unwrap().is_none());
}
