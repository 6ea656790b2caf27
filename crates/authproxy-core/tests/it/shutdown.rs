//! The manager's end. Scenario 51.

use authproxy_core::{
    TokenError,
    error::{OpenError, Unavailability},
    manager::ShutdownReport,
};
use authproxy_testing::{Fault, Gate, Scripted, Verb};

use crate::world::{World, credentials, secs, settle, text};

#[tokio::test(start_paused = true)]
async fn a_flight_in_the_air_may_land_and_nothing_is_left_over() {
    let world = World::new();
    let (key, _) = world.expired().await;
    world.backend.script([Scripted::Slow(secs(3))]);
    let manager = world.manager.clone();
    let waiting = tokio::spawn(async move { manager.access_token(&key).await });
    settle().await;
    assert_eq!(world.manager.shutdown(secs(10)).await, ShutdownReport::default());
    let token = waiting.await.unwrap().unwrap();
    assert_eq!(text(&world.manager.access_token(&key).await.unwrap()), text(&token), "fresh tokens still flow");
    assert_eq!(world.manager.shutdown(secs(10)).await, ShutdownReport::default(), "a second one has nothing to do");
}

#[tokio::test(start_paused = true)]
async fn what_is_cut_off_while_presented_is_reported_and_stored_as_in_doubt() {
    let world = World::new();
    let (key, _) = world.expired().await;
    world.backend.script([Scripted::HoldAfter(Gate::new())]);
    let manager = world.manager.clone();
    let waiting = tokio::spawn(async move { manager.access_token(&key).await });
    settle().await;
    let report = world.manager.shutdown(secs(1)).await;
    assert_eq!(report.in_doubt, 1, "{report:?}");
    assert!(waiting.await.unwrap().is_err());
    let survivor = world.another_node();
    assert!(matches!(survivor.access_token(&key).await, Err(TokenError::LogInAgain(_))));
    assert_eq!(world.backend.presentations(), 1, "the survivor does not present it again");
}

#[tokio::test(start_paused = true)]
async fn a_token_set_that_the_store_never_took_is_reported() {
    let world = World::new();
    let (key, _) = world.expired().await;
    world.store.script(Verb::Commit, std::iter::repeat_n(Fault::FailBefore, 1000));
    world.manager.access_token(&key).await.unwrap();
    assert_eq!(world.manager.shutdown(secs(2)).await.unsaved, 1);
}

#[tokio::test(start_paused = true)]
async fn a_token_set_that_the_store_takes_in_time_is_written_before_the_end() {
    let world = World::new();
    let (key, _) = world.expired().await;
    world.store.script(Verb::Commit, std::iter::repeat_n(Fault::FailBefore, 5));
    let token = world.manager.access_token(&key).await.unwrap();
    assert_eq!(world.manager.shutdown(secs(10)).await, ShutdownReport::default());
    assert_eq!(text(&world.another_node().access_token(&key).await.unwrap()), text(&token));
}

#[tokio::test(start_paused = true)]
async fn after_the_shutdown_nothing_new_is_begun() {
    let world = World::new();
    let (key, _) = world.expired().await;
    world.manager.shutdown(secs(1)).await;
    let refused = world.manager.access_token(&key).await;
    assert!(
        matches!(refused, Err(TokenError::Unavailable { reason: Unavailability::ShuttingDown, .. })),
        "{refused:?}"
    );
    let login = world.manager.open(credentials()).await;
    assert!(matches!(login, Err(OpenError::Unavailable(Unavailability::ShuttingDown))));
    assert_eq!(world.backend.presentations(), 0);
}

/// The permission arrives after the deadline: what was not presented is in nobody's doubt.
#[tokio::test(start_paused = true)]
async fn what_is_cut_off_before_it_is_presented_is_given_back() {
    let world = World::new();
    let (key, _) = world.expired().await;
    let gate = Gate::new();
    world.store.script(Verb::Begin, [Fault::HoldAfter(gate.clone())]);
    let manager = world.manager.clone();
    let waiting = tokio::spawn(async move { manager.access_token(&key).await });
    settle().await;
    let manager = world.manager.clone();
    let stopping = tokio::spawn(async move { manager.shutdown(secs(1)).await });
    tokio::time::sleep(secs(1) + secs(1) / 10).await;
    gate.open();
    assert_eq!(stopping.await.unwrap(), ShutdownReport::default());
    let told = waiting.await.unwrap();
    assert!(matches!(told, Err(TokenError::Unavailable { reason: Unavailability::ShuttingDown, .. })), "{told:?}");
    assert_eq!(world.backend.presentations(), 0);
    world.another_node().access_token(&key).await.unwrap();
}

/// The deadline and the answer come at the same moment: the answer is kept.
#[tokio::test(start_paused = true)]
async fn an_answer_that_is_there_at_the_cut_off_is_kept() {
    let world = World::new();
    let (key, _) = world.expired().await;
    let gate = Gate::new();
    world.backend.script([Scripted::HoldAfter(gate.clone())]);
    let manager = world.manager.clone();
    let waiting = tokio::spawn(async move { manager.access_token(&key).await });
    gate.arrived().await;
    gate.open(); // the flight is woken, and has not run yet
    assert_eq!(world.manager.shutdown(std::time::Duration::ZERO).await, ShutdownReport::default());
    let token = waiting.await.unwrap().unwrap();
    assert_eq!(text(&world.another_node().access_token(&key).await.unwrap()), text(&token));
    world.assert_each_token_presented_once();
}
