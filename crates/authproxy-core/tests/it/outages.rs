//! A session store that fails, hangs or loses its answers.

use authproxy_core::{TokenError, error::Unavailability, manager::AccessOptions};
use authproxy_testing::{Fault, Gate, Scripted, Verb};

use crate::world::{World, credentials, pass, secs, settle, text};

/// Scenario 40, on one node.
#[tokio::test(start_paused = true)]
async fn with_the_store_down_every_zone_has_its_row() {
    let world = World::new();
    let key = world.open().await.id.key();
    let first = world.manager.access_token(&key).await.unwrap();
    world.store.set_down(true);
    for second in [0, 97, 3, 9] {
        pass(second).await; // fresh, ahead, ahead, late
        let token = world.manager.access_token(&key).await.unwrap();
        assert_eq!(text(&token), text(&first));
        settle().await;
    }
    pass(20).await; // expired
    let outage = world.manager.access_token(&key).await;
    assert!(matches!(outage, Err(TokenError::Unavailable { reason: Unavailability::Store, .. })), "{outage:?}");
    assert_eq!(world.backend.presentations(), 0, "no intent in the store, no presentation");
    assert!(world.manager.open(credentials()).await.is_err());
    assert_eq!(world.backend.live_families(), 1, "what the failed login was issued is revoked");
    world.store.set_down(false);
    pass(1).await;
    let token = world.manager.access_token(&key).await.unwrap();
    assert!(world.backend.accepts(&token.access_token()));
    world.assert_each_token_presented_once();
}

/// However often it has failed: what is left alone for long is an auth service, not a store.
#[tokio::test(start_paused = true)]
async fn a_second_after_the_store_is_back_its_sessions_are_refreshed() {
    let world = World::new();
    let (key, _) = world.expired().await;
    world.store.set_down(true);
    for _ in 0..30 {
        let outage = world.manager.access_token(&key).await;
        assert!(matches!(outage, Err(TokenError::Unavailable { reason: Unavailability::Store, .. })), "{outage:?}");
        pass(1).await;
    }
    world.store.set_down(false);
    world.manager.access_token(&key).await.unwrap();
    world.assert_each_token_presented_once();
}

#[tokio::test(start_paused = true)]
async fn a_store_without_a_local_copy_that_is_down_is_unavailable_and_ends_nothing() {
    let world = World::new();
    let key = world.open().await.id.key();
    world.store.set_blind(true);
    world.store.set_down(true);
    let outage = world.manager.access_token(&key).await;
    assert!(matches!(outage, Err(TokenError::Unavailable { reason: Unavailability::Store, .. })), "{outage:?}");
    world.store.set_down(false);
    world.manager.access_token(&key).await.unwrap();
}

/// Scenario 27 and 41: the answer to `begin` or `commit` is lost, and the repetition finds the same.
#[tokio::test(start_paused = true)]
async fn a_lost_answer_of_the_store_is_asked_for_again_and_costs_no_presentation() {
    for verb in [Verb::Begin, Verb::Commit] {
        let world = World::new();
        let (key, _) = world.expired().await;
        world.store.script(verb, [Fault::LoseAnswer, Fault::LoseAnswer]);
        let token = world.manager.access_token(&key).await.unwrap();
        assert!(world.backend.accepts(&token.access_token()));
        assert_eq!(world.backend.presentations(), 1, "{verb:?}");
        assert_eq!(world.manager.access_token(&key).await.unwrap().version(), token.version());
    }
}

#[tokio::test(start_paused = true)]
async fn a_begin_whose_answers_were_all_lost_does_not_leave_the_session_in_doubt() {
    let world = World::new();
    let (key, _) = world.expired().await;
    world.store.script(Verb::Begin, std::iter::repeat_n(Fault::LoseAnswer, 3));
    assert!(world.manager.access_token(&key).await.is_err());
    pass(60).await; // the lease that was granted unheard has run out
    let token = world.manager.access_token(&key).await.unwrap();
    assert!(world.backend.accepts(&token.access_token()));
    assert_eq!(world.backend.presentations(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_token_set_that_the_store_could_not_take_is_used_and_written_when_it_is_back() {
    let world = World::new();
    let (key, _) = world.expired().await;
    world.store.script(Verb::Commit, std::iter::repeat_n(Fault::FailBefore, 6));
    let token = world.manager.access_token(&key).await.unwrap();
    assert!(world.backend.accepts(&token.access_token()));
    assert_eq!(text(&world.manager.access_token(&key).await.unwrap()), text(&token), "also the next caller's");
    assert!(world.manager.peek(&key).is_none(), "the store's copy is older and is not used");
    for _ in 0..10 {
        pass(1).await;
        settle().await;
    }
    assert_eq!(text(&world.manager.peek(&key).expect("written, and published by the store")), text(&token));
    pass(120).await;
    world.manager.access_token(&key).await.unwrap();
    world.assert_each_token_presented_once();
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_holds_up_nobody_for_long_whose_token_it_does_not_have_yet() {
    let world = World::new();
    let (key, _) = world.expired().await;
    world.store.script(Verb::Commit, std::iter::repeat_n(Fault::FailBefore, 20));
    let unsaved = world.manager.access_token(&key).await.unwrap();
    world.store.script(Verb::Load, [Fault::HoldBefore(Gate::new()), Fault::HoldBefore(Gate::new())]);
    let begun = tokio::time::Instant::now();
    assert_eq!(text(&world.manager.access_token(&key).await.unwrap()), text(&unsaved));
    assert!(begun.elapsed() < secs(1), "{:?}", begun.elapsed());
    let at_once = AccessOptions::default().wait(secs(0));
    assert_eq!(text(&world.manager.access_token_with(&key, at_once).await.unwrap()), text(&unsaved));
    assert!(begun.elapsed() < secs(1));
}

#[tokio::test(start_paused = true)]
async fn a_store_that_hangs_counts_as_down_within_its_timeout() {
    let world = World::new();
    let (key, _) = world.expired().await;
    let gate = Gate::new();
    world.store.script(Verb::Begin, std::iter::repeat_n(Fault::HoldBefore(gate), 3));
    let begun = tokio::time::Instant::now();
    let outage = world.manager.access_token(&key).await;
    assert!(matches!(outage, Err(TokenError::Unavailable { reason: Unavailability::Store, .. })), "{outage:?}");
    assert!(begun.elapsed() < secs(8));
    pass(60).await;
    world.manager.access_token(&key).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_store_that_panics_loses_no_token_set() {
    let world = World::new();
    let (key, _) = world.expired().await;
    world.store.script(Verb::Commit, std::iter::repeat_n(Fault::Panic, 3));
    let token = world.manager.access_token(&key).await.unwrap();
    assert!(world.backend.accepts(&token.access_token()));
    pass(5).await;
    settle().await;
    assert_eq!(text(&world.manager.peek(&key).unwrap()), text(&token));
}

/// An abort that the store did not hear leaves the lease to its holder, who knows that nothing was presented.
#[tokio::test(start_paused = true)]
async fn an_unheard_abort_of_an_untouched_token_does_not_put_it_in_doubt() {
    let world = World::new();
    let (key, _) = world.expired().await;
    world.backend.script([Scripted::NotProcessed(None)]);
    world.store.script(Verb::Abort, std::iter::repeat_n(Fault::FailBefore, 3));
    assert!(world.manager.access_token(&key).await.is_err());
    pass(60).await;
    world.manager.access_token(&key).await.unwrap();
    assert_eq!(world.backend.presentations(), 1);
}
