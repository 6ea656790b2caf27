//! Each class of error has its row.

use authproxy_core::{
    TokenError,
    backend::RotationContract,
    error::{LogInReason, Unavailability},
    session::DeathReason,
};
use authproxy_testing::Scripted;

use crate::world::{World, pass, secs, settle, text};

fn unavailable(result: Result<authproxy_core::ReadyToken, TokenError>) -> (Unavailability, std::time::Duration) {
    match result {
        Err(TokenError::Unavailable { reason, retry_after }) => (reason, retry_after),
        other => panic!("expected unavailable, got {other:?}"),
    }
}

fn ended(result: Result<authproxy_core::ReadyToken, TokenError>) -> DeathReason {
    match result {
        Err(TokenError::LogInAgain(LogInReason::Ended(reason))) => reason,
        other => panic!("expected the end of the session, got {other:?}"),
    }
}

/// Scenario 7.
#[tokio::test(start_paused = true)]
async fn a_background_refresh_that_fails_is_not_noticed_and_backs_off() {
    let world = World::new();
    let (key, old) = world.ahead().await;
    world.backend.script([Scripted::NotProcessed(None), Scripted::NotProcessed(None)]);
    for _ in 0..50 {
        assert_eq!(text(&world.manager.access_token(&key).await.unwrap()), text(&old));
        settle().await;
    }
    pass(1).await;
    for _ in 0..50 {
        assert_eq!(text(&world.manager.access_token(&key).await.unwrap()), text(&old));
        settle().await;
    }
    pass(2).await;
    world.manager.access_token(&key).await.unwrap();
    settle().await;
    assert_ne!(text(&world.manager.access_token(&key).await.unwrap()), text(&old), "the third try works");
}

/// Scenario 8.
#[tokio::test(start_paused = true)]
async fn a_failed_refresh_leaves_a_usable_token_and_withholds_a_dying_one() {
    let world = World::new();
    let (key, old) = world.late().await; // 10 seconds left
    world.backend.script(std::iter::repeat_n(Scripted::NotProcessed(None), 20));
    assert_eq!(text(&world.manager.access_token(&key).await.unwrap()), text(&old));
    pass(9).await; // 1 second left
    assert_eq!(unavailable(world.manager.access_token(&key).await).0, Unavailability::Backend);
}

#[tokio::test(start_paused = true)]
async fn every_class_of_error_has_its_row_on_an_expired_token() {
    for (script, reason) in [
        (Scripted::NotProcessed(None), Unavailability::Backend),
        (Scripted::ClientRejected, Unavailability::Misconfigured),
    ] {
        let world = World::new();
        let (key, _) = world.expired().await;
        world.backend.script([script]);
        let (why, retry_after) = unavailable(world.manager.access_token(&key).await);
        assert_eq!(why, reason);
        assert!(retry_after >= secs(1));
        pass(31).await;
        world.manager.access_token(&key).await.expect("the session lives on");
        world.assert_each_token_presented_once();
    }
}

/// Scenario 13.
#[tokio::test(start_paused = true)]
async fn a_definite_verdict_ends_the_session_and_nobody_asks_again() {
    let world = World::new();
    let (key, _) = world.expired().await;
    world.backend.script([Scripted::Rejected]);
    let first = world.manager.access_token(&key).await;
    assert_eq!(ended(first), DeathReason::Rejected);
    for _ in 0..10 {
        pass(60).await;
        assert_eq!(ended(world.manager.access_token(&key).await), DeathReason::Rejected);
    }
    assert_eq!(world.backend.presentations(), 1);
}

/// Scenario 15, on the manager's side: what is no verdict leaves the session alive, however often it comes.
#[tokio::test(start_paused = true)]
async fn a_refusal_of_the_proxy_itself_never_ends_a_session() {
    let world = World::new();
    let (key, _) = world.expired().await;
    world.backend.script(std::iter::repeat_n(Scripted::ClientRejected, 5));
    for _ in 0..5 {
        assert_eq!(unavailable(world.manager.access_token(&key).await).0, Unavailability::Misconfigured);
        pass(31).await;
    }
    world.manager.access_token(&key).await.unwrap();
}

/// Scenario 16.
#[tokio::test(start_paused = true)]
async fn a_retry_after_holds_for_every_session() {
    let world = World::new();
    let one = world.open().await.id.key();
    let other = world.open().await.id.key();
    pass(120).await;
    world.backend.script([Scripted::NotProcessed(Some(secs(40)))]);
    assert!(unavailable(world.manager.access_token(&one).await).1 >= secs(30));
    let (_, retry_after) = unavailable(world.manager.access_token(&other).await);
    assert!(retry_after > secs(30), "{retry_after:?}");
    assert_eq!(world.backend.presentations(), 0);
    pass(41).await;
    world.manager.access_token(&other).await.unwrap();
    world.manager.access_token(&one).await.unwrap();
}

/// Scenario 17, strict.
#[tokio::test(start_paused = true)]
async fn strict_after_a_lost_answer_serves_the_old_token_to_its_end_and_never_presents_again() {
    for script in [Scripted::LostAfter, Scripted::LostBefore] {
        let world = World::new();
        let (key, old) = world.late().await;
        let sent = usize::from(matches!(script, Scripted::LostAfter));
        world.backend.script([script]);
        for _ in 0..8 {
            assert_eq!(text(&world.manager.access_token(&key).await.unwrap()), text(&old));
            pass(1).await;
        }
        pass(2).await;
        assert_eq!(ended(world.manager.access_token(&key).await), DeathReason::OutcomeLost);
        pass(60).await;
        assert_eq!(ended(world.manager.access_token(&key).await), DeathReason::OutcomeLost);
        assert_eq!(world.backend.presentations(), sent);
    }
}

/// Scenario 17, grace: one more presentation inside it, none after it.
#[tokio::test(start_paused = true)]
async fn grace_after_a_lost_answer_presents_again_inside_it_only() {
    let world = World::under(RotationContract::Grace(secs(10)));
    let (key, old) = world.expired().await;
    world.backend.script([Scripted::LostAfter]);
    let token = world.manager.access_token(&key).await.unwrap();
    assert_ne!(text(&token), text(&old));
    assert_eq!(world.backend.most_presentations_of_one_token(), 2);

    let world = World::under(RotationContract::Grace(secs(10)));
    let (key, _) = world.expired().await;
    world.backend.script(std::iter::repeat_n(Scripted::LostAfter, 100));
    unavailable(world.manager.access_token(&key).await);
    pass(11).await;
    let presented = world.backend.presentations();
    assert_eq!(ended(world.manager.access_token(&key).await), DeathReason::OutcomeLost);
    assert_eq!(world.backend.presentations(), presented, "none after the grace");
}

/// Scenario 17, idempotent and not rotating.
#[tokio::test(start_paused = true)]
async fn a_forgiving_contract_loses_no_session_to_lost_answers() {
    for contract in [RotationContract::Idempotent, RotationContract::Reusable] {
        let world = World::under(contract);
        let (key, _) = world.expired().await;
        world.backend.script(std::iter::repeat_n(Scripted::LostAfter, 7));
        while world.manager.access_token(&key).await.is_err() {
            pass(20).await;
        }
        let token = world.manager.access_token(&key).await.unwrap();
        assert!(world.backend.accepts(&token.access_token()), "{contract:?}");
    }
}

/// Scenario 18, on the manager's side.
#[tokio::test(start_paused = true)]
async fn a_salvaged_refresh_token_is_committed_and_used_at_once() {
    let world = World::new();
    let (key, old) = world.expired().await;
    world.backend.script([Scripted::Salvageable]);
    let token = world.manager.access_token(&key).await.unwrap();
    assert_ne!(text(&token), text(&old));
    assert!(world.backend.accepts(&token.access_token()));
    assert_eq!(world.backend.presentations(), 2, "the old one once, the salvaged one once");
    world.assert_each_token_presented_once();
}

/// Scenario 12.
#[tokio::test(start_paused = true)]
async fn a_kept_refresh_token_stays_and_a_rotated_one_is_never_sent_again() {
    let world = World::under(RotationContract::Reusable);
    let (key, _) = world.expired().await;
    world.backend.script([Scripted::KeepRefreshToken]);
    world.manager.access_token(&key).await.unwrap();
    pass(120).await;
    world.manager.access_token(&key).await.unwrap();
    assert_eq!(world.backend.most_presentations_of_one_token(), 2, "kept, and so presented for the second refresh");

    let world = World::new();
    let (key, _) = world.expired().await;
    for _ in 0..20 {
        world.manager.access_token(&key).await.unwrap();
        pass(120).await;
    }
    world.assert_each_token_presented_once();
}

/// A later presentation that never arrived says nothing about an earlier one that may have.
#[tokio::test(start_paused = true)]
async fn an_unreachable_service_after_a_lost_answer_leaves_the_token_in_doubt() {
    let world = World::under(RotationContract::Grace(secs(10)));
    let (key, _) = world.expired().await;
    world.backend.script([Scripted::LostAfter, Scripted::NotProcessed(None)]);
    unavailable(world.manager.access_token(&key).await);
    pass(30).await;
    assert_eq!(ended(world.manager.access_token(&key).await), DeathReason::OutcomeLost);
    assert_eq!(world.backend.most_presentations_of_one_token(), 1, "not outside the grace");
}
