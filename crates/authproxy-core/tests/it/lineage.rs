//! By hand and automatically: one lineage.

use authproxy_core::{RefreshToken, error::ExchangeError};
use authproxy_testing::Scripted;
use tokio::task::JoinSet;

use crate::world::{World, credentials, pass, secs, text};

async fn handed_out(world: &World) -> (authproxy_core::SessionKey, RefreshToken) {
    let opened = world.manager.open_handing_out(credentials()).await.unwrap();
    (opened.id.key(), opened.tokens.refresh_token.unwrap())
}

#[tokio::test(start_paused = true)]
async fn a_refresh_by_hand_goes_through_the_sessions_own_flight() {
    let world = World::new();
    let (key, token) = handed_out(&world).await;
    let by_hand = world.manager.exchange(token).await.unwrap();
    let automatic = world.manager.access_token(&key).await.unwrap();
    assert_eq!(by_hand.tokens.access_token.expose_secret(), text(&automatic));
    assert_eq!(world.backend.presentations(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_token_that_the_proxy_has_spent_brings_the_current_pair_once() {
    let world = World::new();
    let (key, spent) = handed_out(&world).await;
    for _ in 0..3 {
        pass(120).await;
        world.manager.access_token(&key).await.unwrap();
    }
    let presentations = world.backend.presentations();
    let current = world.manager.exchange(spent.clone()).await.unwrap();
    assert!(world.backend.accepts(&current.tokens.access_token));
    assert!(matches!(world.manager.exchange(spent).await, Err(ExchangeError::Spent)));
    assert_eq!(world.backend.presentations(), presentations, "the service saw neither");
    world.manager.access_token(&key).await.expect("the session is untouched");

    let next = world.manager.exchange(current.tokens.refresh_token.unwrap()).await.unwrap();
    assert!(world.backend.accepts(&next.tokens.access_token));
    assert_eq!(world.backend.presentations(), presentations + 1);
    world.assert_each_token_presented_once();
}

#[tokio::test(start_paused = true)]
async fn a_hundred_exchanges_of_one_token_at_once_bring_one_pair_and_one_presentation() {
    let world = World::new();
    let (key, token) = handed_out(&world).await;
    let mut exchanges = JoinSet::new();
    for _ in 0..100 {
        let (manager, token) = (world.manager.clone(), token.clone());
        exchanges.spawn(async move { manager.exchange(token).await });
    }
    let outcomes = exchanges.join_all().await;
    assert_eq!(outcomes.iter().filter(|outcome| outcome.is_ok()).count(), 1);
    assert!(outcomes.iter().all(|outcome| matches!(outcome, Ok(_) | Err(ExchangeError::Spent))));
    assert_eq!(world.backend.presentations(), 1);
    world.manager.access_token(&key).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn after_logout_a_handed_out_token_is_spent_and_never_reaches_the_service() {
    let world = World::new();
    let (key, token) = handed_out(&world).await;
    pass(120).await;
    world.manager.access_token(&key).await.unwrap();
    world.manager.close(&key).await.unwrap();
    let presentations = world.backend.presentations();
    assert!(matches!(world.manager.exchange(token).await, Err(ExchangeError::Spent)));
    assert_eq!(world.backend.presentations(), presentations);
}

#[tokio::test(start_paused = true)]
async fn a_token_of_no_session_is_passed_on_and_the_services_refusal_comes_back() {
    let world = World::new();
    let stranger = RefreshToken::new("a-strangers-token").unwrap();
    assert!(matches!(world.manager.exchange(stranger).await, Err(ExchangeError::Refused(_))));
    assert_eq!(world.backend.presentations(), 1);
    // A token that was never handed out, as of a browser's session, is a stranger's too.
}

#[tokio::test(start_paused = true)]
async fn an_exchange_during_an_outage_can_be_repeated() {
    let world = World::new();
    let (_, token) = handed_out(&world).await;
    world.backend.script([Scripted::NotProcessed(None)]);
    let outage = world.manager.exchange(token.clone()).await;
    assert!(matches!(outage, Err(ExchangeError::Unavailable { .. })), "{outage:?}");
    pass(31).await;
    world.manager.exchange(token).await.unwrap();
    world.assert_each_token_presented_once();
}

#[tokio::test(start_paused = true)]
async fn a_refusal_by_the_service_comes_back_to_the_one_who_asked_by_hand() {
    let world = World::new();
    let (key, token) = handed_out(&world).await;
    world.backend.script([Scripted::Rejected]);
    assert!(matches!(world.manager.exchange(token.clone()).await, Err(ExchangeError::Refused(_))));
    assert!(world.manager.access_token(&key).await.is_err());
    assert!(matches!(world.manager.exchange(token).await, Err(ExchangeError::Spent)));
    assert_eq!(world.backend.presentations(), 1);
}

#[tokio::test(start_paused = true)]
async fn where_the_service_does_not_rotate_the_token_stays_good() {
    let world = World::under(authproxy_core::backend::RotationContract::Reusable);
    let (_, token) = handed_out(&world).await;
    for _ in 0..3 {
        let tokens = world.manager.exchange(token.clone()).await.unwrap().tokens;
        assert_eq!(tokens.refresh_token.unwrap().expose_secret(), token.expose_secret());
        pass(60).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_past_its_end_exchanges_nothing() {
    let world = World::with(authproxy_core::backend::RotationContract::Strict, |config| {
        config.max_lifetime = secs(300);
    });
    let (_, token) = handed_out(&world).await;
    pass(301).await;
    assert!(matches!(world.manager.exchange(token).await, Err(ExchangeError::Spent)));
    assert_eq!(world.backend.presentations(), 0);
}

#[tokio::test(start_paused = true)]
async fn an_exchange_is_a_use_of_the_session_and_one_that_was_left_exchanges_nothing() {
    let world = World::with(authproxy_core::backend::RotationContract::Strict, |config| {
        config.idle_timeout = Some(secs(60));
    });
    let (key, mut token) = handed_out(&world).await;
    for _ in 0..3 {
        pass(50).await;
        token = world.manager.exchange(token).await.unwrap().tokens.refresh_token.unwrap();
    }
    pass(50).await;
    world.manager.access_token(&key).await.expect("used 50 seconds ago");
    pass(60).await;
    assert!(matches!(world.manager.exchange(token).await, Err(ExchangeError::Spent)));
}
