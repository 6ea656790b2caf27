//! Two managers on one store: what one node alone can already get wrong.

use authproxy_core::{TokenError, backend::RotationContract};
use authproxy_testing::{Fault, Gate, Scripted, Verb};
use tokio::task::JoinSet;

use crate::world::{World, pass, secs, settle, text};

#[tokio::test(start_paused = true)]
async fn two_nodes_and_an_expired_session_make_one_presentation() {
    let world = World::new();
    let other = world.another_node();
    let (key, _) = world.expired().await;
    world.backend.script([Scripted::Slow(secs(3))]);
    let mut callers = JoinSet::new();
    for caller in 0..200 {
        let manager = if caller % 2 == 0 { world.manager.clone() } else { other.clone() };
        callers.spawn(async move { text(&manager.access_token(&key).await.unwrap()) });
    }
    let tokens = callers.join_all().await;
    assert!(tokens.iter().all(|token| *token == tokens[0]));
    assert_eq!(world.backend.presentations(), 1);
}

/// Scenario 14.
#[tokio::test(start_paused = true)]
async fn a_verdict_on_a_token_that_a_peer_has_replaced_is_not_the_sessions_end() {
    let world = World::under(RotationContract::Reusable);
    let other = world.another_node();
    let (key, _) = world.expired().await;
    let gate = Gate::new();
    // This node presents, is stopped past its lease, and hears "rejected" after the peer has committed.
    world.backend.script([Scripted::HoldBefore(gate.clone())]);
    let manager = world.manager.clone();
    let stopped = tokio::spawn(async move { manager.access_token(&key).await });
    gate.arrived().await;
    let slow = world.config.backend_timeout;
    tokio::time::advance(slow / 2).await;
    assert!(!stopped.is_finished());
    drop(other);
    gate.release();
    assert!(stopped.await.unwrap().is_ok());
}

/// Scenario 38, and the stopped holder: its late abort changes nothing, its late commit is taken if nothing moved.
#[tokio::test(start_paused = true)]
async fn a_holder_that_outlived_its_lease_can_kill_nothing() {
    use authproxy_core::{
        SessionStore,
        session::DeathReason,
        store::{Abort, Aborted, AttemptId, Begin, Begun, IfInDoubt},
    };
    let world = World::under(RotationContract::Grace(secs(300)));
    let opened = world.open().await;
    let key = opened.id.key();
    let begin = Begin {
        seen: opened.session.version(),
        attempt: AttemptId::random(),
        lease: secs(5),
        doubt: IfInDoubt::Report,
    };
    let Begun::Granted { lease, .. } = world.store.begin(&key, begin).await.unwrap() else { panic!("granted") };
    pass(125).await; // far past the lease: the peer finds doubt, and its contract lets it present again
    let token = world.manager.access_token(&key).await.unwrap();
    let late = world.store.abort(&lease, Abort::Dead(DeathReason::Rejected)).await.unwrap();
    assert!(matches!(late, Aborted::Newer(_)), "{late:?}");
    assert_eq!(text(&world.manager.access_token(&key).await.unwrap()), text(&token));
}

/// A crashed holder under a strict service: the peer serves what lives and never presents the token.
#[tokio::test(start_paused = true)]
async fn after_a_crashed_holder_a_strict_token_is_not_presented_by_a_peer() {
    use authproxy_core::{
        SessionStore,
        store::{AttemptId, Begin, Begun, IfInDoubt},
    };
    let world = World::new();
    let opened = world.open().await;
    let key = opened.id.key();
    pass(97).await;
    let begin = Begin {
        seen: opened.session.version(),
        attempt: AttemptId::random(),
        lease: secs(5),
        doubt: IfInDoubt::Report,
    };
    assert!(matches!(world.store.begin(&key, begin).await.unwrap(), Begun::Granted { .. }));
    pass(6).await; // the holder is dead and its lease over
    let token = world.manager.access_token(&key).await.unwrap();
    assert_eq!(text(&token), text(&opened.session));
    settle().await;
    pass(12).await;
    assert_eq!(text(&world.manager.access_token(&key).await.unwrap()), text(&opened.session));
    pass(10).await;
    assert!(matches!(world.manager.access_token(&key).await, Err(TokenError::LogInAgain(_))));
    assert_eq!(world.backend.presentations(), 0);
}

/// A peer waits for another node's flight and adopts what it brought.
#[tokio::test(start_paused = true)]
async fn a_peer_that_finds_the_lease_taken_waits_and_adopts() {
    let world = World::new();
    let other = world.another_node();
    let (key, _) = world.expired().await;
    let gate = Gate::new();
    world.store.script(Verb::Commit, [Fault::HoldBefore(gate.clone())]);
    let holder = world.manager.clone();
    let holding = tokio::spawn(async move { text(&holder.access_token(&key).await.unwrap()) });
    gate.arrived().await;
    let waiting = tokio::spawn(async move { text(&other.access_token(&key).await.unwrap()) });
    settle().await;
    gate.release();
    assert_eq!(holding.await.unwrap(), waiting.await.unwrap());
    assert_eq!(world.backend.presentations(), 1);
}

/// A node that got no answer to `begin` knows that it has presented nothing, and says so as soon as it can.
#[tokio::test(start_paused = true)]
async fn an_unanswered_begin_on_one_node_does_not_end_the_session_on_another() {
    let world = World::new();
    let other = world.another_node();
    let (key, _) = world.expired().await;
    world.store.script(Verb::Begin, std::iter::repeat_n(Fault::LoseAnswer, 3));
    assert!(world.manager.access_token(&key).await.is_err());
    for _ in 0..60 {
        pass(1).await;
        settle().await;
    }
    other.access_token(&key).await.unwrap();
    assert_eq!(world.backend.presentations(), 1);
}

/// A waiter on a peer's lease leaves its place to others.
#[tokio::test(start_paused = true)]
async fn waiting_for_a_dead_peers_lease_holds_up_no_other_session() {
    use authproxy_core::{
        SessionStore,
        store::{AttemptId, Begin, Begun, IfInDoubt},
    };
    let world = World::with(RotationContract::Strict, |config| config.max_concurrent_refreshes = 1);
    let stuck = world.open().await;
    let free = world.open().await.id.key();
    pass(119).await;
    let begin = Begin {
        seen: stuck.session.version(),
        attempt: AttemptId::random(),
        lease: secs(28),
        doubt: IfInDoubt::Report,
    };
    assert!(matches!(world.store.begin(&stuck.id.key(), begin).await.unwrap(), Begun::Granted { .. }));
    pass(2).await;
    let (manager, key) = (world.manager.clone(), stuck.id.key());
    let waiting = tokio::spawn(async move { manager.access_token(&key).await });
    settle().await;
    let asked_at = tokio::time::Instant::now();
    world.manager.access_token(&free).await.unwrap();
    assert!(asked_at.elapsed() < secs(1));
    waiting.abort();
}
