//! Logout is final; a login beside a flight is its own session.

use authproxy_core::{TokenError, error::LogInReason};
use authproxy_testing::{Fault, Gate, Scripted, Verb};

use crate::world::{World, pass, settle, text};

fn is_unknown(result: &Result<authproxy_core::ReadyToken, TokenError>) -> bool {
    matches!(result, Err(TokenError::LogInAgain(LogInReason::Unknown)))
}

/// Scenario 24.
#[tokio::test(start_paused = true)]
async fn logout_wins_over_a_refresh_in_flight_and_the_new_tokens_are_revoked() {
    for after in [false, true] {
        let world = World::new();
        let (key, _) = world.expired().await;
        let gate = Gate::new();
        let held = if after { Scripted::HoldAfter(gate.clone()) } else { Scripted::HoldBefore(gate.clone()) };
        world.backend.script([held]);
        let manager = world.manager.clone();
        let waiting = tokio::spawn(async move { manager.access_token(&key).await });
        gate.arrived().await;
        assert!(world.manager.close(&key).await.unwrap());
        assert!(is_unknown(&world.manager.access_token(&key).await));
        gate.release();
        assert!(is_unknown(&waiting.await.unwrap()), "whoever waited gets no token of a closed session");
        settle().await;
        assert!(is_unknown(&world.manager.access_token(&key).await));
        assert_eq!(world.backend.live_families(), 0, "nothing that was issued still works");
    }
}

#[tokio::test(start_paused = true)]
async fn logout_wins_over_a_token_set_that_the_store_does_not_have_yet() {
    let world = World::new();
    let (key, _) = world.expired().await;
    world.store.script(Verb::Commit, std::iter::repeat_n(Fault::FailBefore, 8));
    world.manager.access_token(&key).await.expect("the new token is used though the store did not take it");
    assert!(world.manager.close(&key).await.unwrap());
    assert!(is_unknown(&world.manager.access_token(&key).await));
    pass(10).await;
    settle().await;
    assert!(is_unknown(&world.manager.access_token(&key).await));
    assert_eq!(world.backend.live_families(), 0);
}

#[tokio::test(start_paused = true)]
async fn logout_between_a_failed_commit_and_its_repetition_is_final() {
    let world = World::new();
    let (key, _) = world.expired().await;
    let gate = Gate::new();
    world.store.script(Verb::Commit, [Fault::FailBefore, Fault::FailBefore, Fault::HoldBefore(gate.clone())]);
    let manager = world.manager.clone();
    let waiting = tokio::spawn(async move { manager.access_token(&key).await });
    gate.arrived().await;
    assert!(world.manager.close(&key).await.unwrap());
    gate.release();
    assert!(waiting.await.unwrap().is_err());
    pass(10).await;
    assert!(is_unknown(&world.manager.access_token(&key).await));
    settle().await;
    assert_eq!(world.backend.live_families(), 0);
}

/// A node that kept a token set which the store could not take hears of a logout elsewhere with its next request.
#[tokio::test(start_paused = true)]
async fn logout_on_another_node_wins_over_a_token_set_that_the_store_does_not_have_yet() {
    let world = World::new();
    let other = world.another_node();
    let (key, _) = world.expired().await;
    world.store.script(Verb::Commit, std::iter::repeat_n(Fault::FailBefore, 3));
    let unsaved = world.manager.access_token(&key).await.unwrap();
    world.store.set_down(true);
    assert_eq!(text(&world.manager.access_token(&key).await.unwrap()), text(&unsaved), "kept for this");
    world.store.set_down(false);
    assert!(other.close(&key).await.unwrap());
    assert!(is_unknown(&world.manager.access_token(&key).await), "before the saver has tried again");
    assert!(is_unknown(&world.manager.session(&key).await));
    pass(10).await;
    settle().await;
    assert_eq!(world.backend.live_families(), 0);
}

/// Ten thousand seeded interleavings of a logout, a refresh and a second node's refresh.
#[test]
fn after_logout_no_interleaving_finds_the_session_alive() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(async {
        let world = World::new();
        let other = world.another_node();
        for seed in 0_u64..10_000 {
            let key = world.open().await.id.key();
            pass(120).await;
            let [a, b, c] = spread(seed);
            let (one, two) = (world.manager.clone(), other.clone());
            let first = tokio::spawn(async move {
                yields(a).await;
                let _ = one.access_token(&key).await;
            });
            let second = tokio::spawn(async move {
                yields(b).await;
                let _ = two.access_token(&key).await;
            });
            yields(c).await;
            world.manager.close(&key).await.unwrap();
            for manager in [&world.manager, &other] {
                assert!(is_unknown(&manager.access_token(&key).await), "seed {seed}");
            }
            first.await.unwrap();
            second.await.unwrap();
            for manager in [&world.manager, &other] {
                assert!(is_unknown(&manager.access_token(&key).await), "seed {seed}, after the flights");
                assert!(manager.peek(&key).is_none(), "seed {seed}");
            }
        }
        settle().await;
        assert_eq!(world.backend.live_families(), 0, "every pair of every session is revoked");
        world.assert_each_token_presented_once();
    });
}

fn spread(seed: u64) -> [u64; 3] {
    let mixed = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(17) ^ seed;
    [mixed % 23, (mixed >> 16) % 23, (mixed >> 32) % 37]
}

async fn yields(count: u64) {
    for _ in 0..count {
        tokio::task::yield_now().await;
    }
}

/// Scenario 25.
#[tokio::test(start_paused = true)]
async fn a_login_during_a_flight_keeps_its_own_tokens() {
    let world = World::new();
    let (old, _) = world.expired().await;
    let gate = Gate::new();
    world.backend.script([Scripted::HoldAfter(gate.clone())]);
    let manager = world.manager.clone();
    let flight = tokio::spawn(async move { manager.access_token(&old).await });
    gate.arrived().await;
    let new = world.open().await;
    world.manager.close(&old).await.unwrap();
    gate.release();
    assert!(is_unknown(&flight.await.unwrap()));
    settle().await;
    let token = world.manager.access_token(&new.id.key()).await.unwrap();
    assert!(world.backend.accepts(&token.access_token()), "the new login's family is not touched");
    assert_eq!(world.backend.live_families(), 1);
}

/// Scenario 26: keys are drawn, never given, so an old key can only find its own session or none.
#[tokio::test(start_paused = true)]
async fn a_closed_key_never_finds_a_later_session() {
    let world = World::new();
    let mut closed = Vec::new();
    for _ in 0..50 {
        let key = world.open().await.id.key();
        world.manager.close(&key).await.unwrap();
        closed.push(key);
    }
    world.open().await;
    for key in closed {
        assert!(is_unknown(&world.manager.access_token(&key).await));
    }
}

/// Scenario 33.
#[test]
fn a_close_is_seen_by_the_next_read_on_every_thread() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    runtime.block_on(async {
        let world = World::on(
            std::sync::Arc::new(authproxy_core::clock::ManualClock::default()),
            authproxy_core::backend::RotationContract::Strict,
            |_| {},
        );
        for _ in 0..500 {
            let key = world.open().await.id.key();
            let (manager, reader) = (world.manager.clone(), world.manager.clone());
            assert!(tokio::spawn(async move { reader.peek(&key) }).await.unwrap().is_some());
            tokio::spawn(async move { manager.close(&key).await }).await.unwrap().unwrap();
            let reader = world.manager.clone();
            assert!(tokio::spawn(async move { reader.peek(&key) }).await.unwrap().is_none());
        }
    });
}

/// Scenario 48: a background refresh that comes too late for its session is ignored.
#[tokio::test(start_paused = true)]
async fn a_background_refresh_of_a_removed_or_replaced_session_does_nothing() {
    let world = World::new();
    let (key, _) = world.ahead().await;
    let gate = Gate::new();
    world.store.script(Verb::Begin, [Fault::HoldBefore(gate.clone())]);
    world.manager.access_token(&key).await.unwrap();
    gate.arrived().await;
    world.manager.close(&key).await.unwrap();
    gate.release();
    settle().await;
    assert_eq!(world.backend.presentations(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_logout_that_the_store_did_not_confirm_is_an_error_and_can_be_repeated() {
    let world = World::new();
    let key = world.open().await.id.key();
    world.store.set_down(true);
    world.manager.close(&key).await.unwrap_err();
    world.store.set_down(false);
    assert!(world.manager.close(&key).await.unwrap());
    assert!(!world.manager.close(&key).await.unwrap());
}

/// What the store removed is revoked also when it could not say so, at the next try or with the error: as far as it
/// is known, for the refresh token was in the answer.
#[tokio::test(start_paused = true)]
async fn a_logout_whose_answer_is_lost_revokes_the_access_token() {
    for (lost, is_told) in [(1, true), (3, true), (4, false)] {
        for blind in [false, true] {
            let world = World::new();
            let opened = world.open().await;
            let key = opened.id.key();
            world.store.set_blind(blind);
            world.store.script(Verb::Remove, std::iter::repeat_n(Fault::LoseAnswer, lost));
            let closed = world.manager.close(&key).await;
            assert_eq!(closed.is_ok(), is_told, "{lost} answers lost: {closed:?}");
            assert!(closed.unwrap_or(true), "there was a session");
            settle().await;
            assert!(!world.backend.accepts(&opened.session.access_token()), "{lost} answers lost");
            assert!(is_unknown(&world.manager.access_token(&key).await));
            assert!(!world.manager.close(&key).await.unwrap());
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_logout_that_the_store_cannot_hear_of_revokes_the_access_token_all_the_same() {
    let world = World::new();
    let opened = world.open().await;
    world.store.set_down(true);
    world.manager.close(&opened.id.key()).await.unwrap_err();
    settle().await;
    assert!(!world.backend.accepts(&opened.session.access_token()));
}

#[tokio::test(start_paused = true)]
async fn a_logout_that_the_store_cannot_hear_of_revokes_the_tokens_that_it_does_not_have_yet() {
    let world = World::new();
    let (key, _) = world.expired().await;
    world.store.script(Verb::Commit, std::iter::repeat_n(Fault::FailBefore, 3));
    let unsaved = world.manager.access_token(&key).await.unwrap();
    world.store.set_down(true);
    world.manager.close(&key).await.unwrap_err();
    settle().await;
    assert!(!world.backend.accepts(&unsaved.access_token()));
    assert_eq!(world.backend.live_families(), 0, "by its refresh token, which this process has");
}
