//! Lifetimes that services send, sensible and not.

use std::time::Duration;

use authproxy_core::{TokenError, error::LogInReason, session::DeathReason};
use authproxy_testing::Scripted;

use crate::world::{World, pass, secs, settle};

/// Scenario 10.
#[tokio::test(start_paused = true)]
async fn tokens_that_arrive_expired_or_nearly_so_cause_no_hot_loop() {
    for life in [Duration::ZERO, Duration::from_millis(1), secs(1), secs(5)] {
        let world = World::new();
        let (key, _) = world.expired().await;
        world.backend.script(std::iter::repeat_n(Scripted::AccessTtl(Some(life)), 1000));
        for _ in 0..300 {
            let _ = world.manager.access_token(&key).await;
            settle().await;
            tokio::time::advance(secs(1) / 10).await;
        }
        let presentations = world.backend.presentations();
        // A token of one second is refreshed when its own zones say so, a dying one once a second at most.
        let most = if life == secs(1) { 45 } else { 32 };
        assert!(presentations <= most, "{presentations} in 30 seconds, for a life of {life:?}");
        world.assert_each_token_presented_once();
    }
}

/// Scenario 11, as far as the manager sees it: absent and absurd lifetimes end in a defined state.
#[tokio::test(start_paused = true)]
async fn absent_and_huge_lifetimes_have_defined_results() {
    let world = World::new();
    let (key, _) = world.expired().await;
    world.backend.script([Scripted::AccessTtl(None)]);
    let token = world.manager.access_token(&key).await.unwrap();
    assert_eq!(token.expires_at().since(world.clock.now()), world.config.access_ttl);
    pass(120).await;
    world.backend.script([Scripted::AccessTtl(Some(Duration::MAX))]);
    let token = world.manager.access_token(&key).await.unwrap();
    assert!(token.expires_at() > world.clock.now());
    assert!(token.session_ends_at() <= world.clock.now().plus(world.config.max_lifetime));
}

#[tokio::test(start_paused = true)]
async fn a_session_ends_with_its_refresh_token_and_says_expired() {
    let world = World::new();
    let (key, _) = world.expired().await;
    pass(3600).await;
    let ended = world.manager.access_token(&key).await;
    assert!(matches!(ended, Err(TokenError::LogInAgain(LogInReason::Ended(DeathReason::Expired)))), "{ended:?}");
    assert_eq!(world.backend.presentations(), 0, "an expired refresh token is not presented");
}

#[tokio::test(start_paused = true)]
async fn a_session_ends_at_its_longest_life_however_often_it_was_refreshed() {
    let world = World::with(authproxy_core::backend::RotationContract::Strict, |config| {
        config.max_lifetime = Duration::from_mins(30);
    });
    let (key, _) = world.expired().await;
    for _ in 0..13 {
        world.manager.access_token(&key).await.unwrap();
        pass(120).await;
    }
    pass(120).await;
    let ended = world.manager.access_token(&key).await;
    assert!(matches!(ended, Err(TokenError::LogInAgain(LogInReason::Ended(DeathReason::Expired)))), "{ended:?}");
}

#[tokio::test(start_paused = true)]
async fn an_unused_session_ends_at_its_idle_timeout_and_looking_is_not_using() {
    let world = World::with(authproxy_core::backend::RotationContract::Strict, |config| {
        config.idle_timeout = Some(Duration::from_mins(1));
    });
    let key = world.open().await.id.key();
    for _ in 0..5 {
        pass(50).await;
        world.manager.access_token(&key).await.unwrap();
    }
    pass(50).await;
    world.manager.session(&key).await.unwrap();
    pass(20).await;
    let ended = world.manager.access_token(&key).await;
    assert!(matches!(ended, Err(TokenError::LogInAgain(LogInReason::Ended(DeathReason::Expired)))), "{ended:?}");
    assert!(world.manager.peek(&key).is_none());
}

#[tokio::test(start_paused = true)]
async fn one_caller_a_version_is_told_that_the_session_was_prolonged() {
    let world = World::new();
    let (key, first) = world.expired().await;
    assert!(!first.take_prolonged(), "the login itself announces the first version");
    let second = world.manager.access_token(&key).await.unwrap();
    assert!(second.session_ends_at() > first.session_ends_at());
    assert!(second.take_prolonged());
    assert!(!world.manager.access_token(&key).await.unwrap().take_prolonged());
}
