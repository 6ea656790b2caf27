//! Callers that go away, panic or never look again.

use std::{future::Future, pin::pin, task::Poll};

use authproxy_core::{TokenError, error::Unavailability};
use authproxy_testing::{Gate, Scripted};
use futures_util::{FutureExt, task::noop_waker};
use tokio::task::JoinSet;

use crate::world::{World, credentials, pass, secs, settle, text};

/// Polls a future at most `polls` times, letting the flight run in between, and then drops it.
async fn poll_and_drop(future: impl Future, polls: usize) -> bool {
    let mut future = pin!(future);
    for _ in 0..polls {
        if (&mut future).now_or_never().is_some() {
            return true;
        }
        tokio::task::yield_now().await;
    }
    false
}

/// Scenarios 2 and 3.
#[tokio::test(start_paused = true)]
async fn a_caller_dropped_at_any_await_point_breaks_nothing() {
    for polls in 0..40 {
        for script in [Scripted::Work, Scripted::HoldBefore(Gate::new()), Scripted::HoldAfter(Gate::new())] {
            let world = World::new();
            let (key, old) = world.expired().await;
            world.backend.script([script.clone()]);
            let answered = poll_and_drop(world.manager.access_token(&key), polls).await;
            if let Scripted::HoldBefore(gate) | Scripted::HoldAfter(gate) = &script {
                gate.open();
            }
            settle().await;
            let token = world.manager.access_token(&key).await.unwrap();
            assert_ne!(text(&token), text(&old));
            assert_eq!(world.backend.presentations(), 1, "{polls} polls, {script:?}, answered: {answered}");
        }
    }
}

/// Scenario 2: dropped while the store holds the commit.
#[tokio::test(start_paused = true)]
async fn a_caller_dropped_before_the_commit_leaves_the_flight_to_finish() {
    use authproxy_testing::{Fault, Verb};
    let world = World::new();
    let (key, _) = world.expired().await;
    let gate = Gate::new();
    world.store.script(Verb::Commit, [Fault::HoldBefore(gate.clone())]);
    {
        let mut call = pin!(world.manager.access_token(&key));
        assert!((&mut call).now_or_never().is_none());
        gate.arrived().await;
    }
    gate.release();
    settle().await;
    assert!(world.manager.peek(&key).is_some());
    assert_eq!(world.backend.presentations(), 1);
}

/// Scenario 4.
#[tokio::test(start_paused = true)]
async fn three_hundred_aborted_callers_in_a_row_do_no_harm() {
    let world = World::new();
    let (key, _) = world.expired().await;
    let gate = Gate::new();
    world.backend.script([Scripted::HoldBefore(gate.clone())]);
    for _ in 0..300 {
        let manager = world.manager.clone();
        let caller = tokio::spawn(async move { manager.access_token(&key).await });
        tokio::task::yield_now().await;
        caller.abort();
        assert!(caller.await.unwrap_err().is_cancelled());
    }
    gate.open();
    world.manager.access_token(&key).await.unwrap();
    assert_eq!(world.backend.presentations(), 1);
}

/// Scenario 5.
#[tokio::test(start_paused = true)]
async fn a_caller_that_is_never_polled_again_holds_up_nobody() {
    let world = World::new();
    let (key, _) = world.expired().await;
    let mut forgotten = Box::pin(world.manager.access_token(&key));
    let waker = noop_waker();
    assert!(matches!(forgotten.as_mut().poll(&mut std::task::Context::from_waker(&waker)), Poll::Pending));
    world.manager.access_token(&key).await.unwrap();
    assert_eq!(world.backend.presentations(), 1);
    drop(forgotten);
}

/// Scenario 21.
#[tokio::test(start_paused = true)]
async fn a_backend_that_panics_poisons_nothing() {
    let world = World::under(authproxy_core::backend::RotationContract::Reusable);
    let (key, _) = world.expired().await;
    world.backend.script([Scripted::PanicBefore, Scripted::PanicBefore]);
    let mut callers = JoinSet::new();
    for _ in 0..10 {
        let manager = world.manager.clone();
        callers.spawn(async move { manager.access_token(&key).await });
    }
    for outcome in callers.join_all().await {
        assert!(matches!(outcome, Err(TokenError::Unavailable { reason: Unavailability::Backend, .. })), "{outcome:?}");
    }
    pass(31).await;
    world.manager.access_token(&key).await.unwrap();
}

/// Scenario 21, where the contract is strict: a panic leaves the token in doubt, and it is not presented again.
#[tokio::test(start_paused = true)]
async fn a_panic_after_sending_counts_as_presented() {
    let world = World::new();
    let (key, old) = world.late().await;
    world.backend.script([Scripted::PanicAfter]);
    let token = world.manager.access_token(&key).await.unwrap();
    assert_eq!(text(&token), text(&old), "the token at hand is served while it lives");
    pass(20).await;
    assert!(matches!(world.manager.access_token(&key).await, Err(TokenError::LogInAgain(_))));
    assert_eq!(world.backend.presentations(), 1);
}

/// Scenario 22.
#[test]
fn a_callers_runtime_may_end_while_the_managers_lives() {
    let home = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let clock = authproxy_core::clock::ManualClock::default();
    let gate = Gate::new();
    let (world, key) = home.block_on(async {
        let world =
            World::on(std::sync::Arc::new(clock.clone()), authproxy_core::backend::RotationContract::Strict, |_| {});
        let key = world.open().await.id.key();
        clock.advance(secs(121));
        world.backend.script([Scripted::HoldBefore(gate.clone())]);
        (world, key)
    });
    let away = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let manager = world.manager.clone();
    away.spawn(async move { manager.access_token(&key).await });
    home.block_on(gate.arrived());
    away.shutdown_background(); // the caller is gone with its runtime; the flight is at home
    gate.open();
    home.block_on(async {
        world.manager.access_token(&key).await.unwrap();
        assert_eq!(world.backend.presentations(), 1);
        world.manager.shutdown(secs(1)).await;
        clock.advance(secs(121));
        let late = world.manager.access_token(&key).await;
        assert!(matches!(late, Err(TokenError::Unavailable { reason: Unavailability::ShuttingDown, .. })), "{late:?}");
    });
}

#[tokio::test(start_paused = true)]
async fn a_login_whose_caller_hung_up_leaves_no_session() {
    let world = World::new();
    let gate = Gate::new();
    world.backend.hold_logins(gate.clone());
    {
        let mut login = pin!(world.manager.open(credentials()));
        assert!((&mut login).now_or_never().is_none());
        gate.arrived().await;
    }
    gate.release();
    settle().await;
    assert_eq!(world.backend.live_families(), 0, "what was issued is revoked");
    assert_eq!(world.backend.revocations(), 1);
}
