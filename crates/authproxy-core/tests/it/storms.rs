//! Many callers, one refresh.

use std::{collections::HashMap, sync::Arc};

use authproxy_core::{
    TokenError,
    error::{LogInReason, Unavailability},
};
use authproxy_testing::{Gate, Scripted};
use tokio::{sync::watch, task::JoinSet};

use crate::world::{World, pass, secs, settle, text};

/// Scenario 1.
#[tokio::test(start_paused = true)]
async fn a_thousand_callers_on_an_expired_session_cause_one_presentation() {
    let world = World::new();
    let (key, old) = world.expired().await;
    let mut callers = JoinSet::new();
    for _ in 0..1000 {
        let manager = world.manager.clone();
        callers.spawn(async move { manager.access_token(&key).await.unwrap() });
    }
    let tokens = callers.join_all().await;
    assert_eq!(tokens.len(), 1000);
    assert!(tokens.iter().all(|token| text(token) == text(&tokens[0]) && token.version() > old.version()));
    assert!(world.backend.accepts(&tokens[0].access_token()));
    assert_eq!(world.backend.presentations(), 1);
}

/// Scenario 1, on real threads: the election holds without tokio's single file.
#[test]
fn a_thousand_callers_on_eight_threads_cause_one_presentation() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(8).enable_all().build().unwrap();
    runtime.block_on(async {
        for _ in 0..20 {
            let clock = authproxy_core::clock::ManualClock::default();
            let world = World::on(Arc::new(clock.clone()), authproxy_core::backend::RotationContract::Strict, |_| {});
            let opened = world.open().await;
            clock.advance(secs(121));
            let mut callers = JoinSet::new();
            for _ in 0..1000 {
                let (manager, key) = (world.manager.clone(), opened.id.key());
                callers.spawn(async move { manager.access_token(&key).await.unwrap().version() });
            }
            let versions = callers.join_all().await;
            assert!(versions.iter().all(|version| *version == versions[0]));
            assert_eq!(world.backend.presentations(), 1);
        }
    });
}

/// Scenario 6.
#[tokio::test(start_paused = true)]
async fn past_the_soft_limit_everyone_is_served_at_once_and_one_refresh_runs_behind() {
    let world = World::new();
    let (key, old) = world.ahead().await;
    let gate = Gate::new();
    world.backend.script([Scripted::HoldBefore(gate.clone())]);
    for _ in 0..100 {
        assert_eq!(text(&world.manager.access_token(&key).await.unwrap()), text(&old));
    }
    gate.arrived().await;
    gate.release();
    settle().await;
    assert_ne!(text(&world.manager.access_token(&key).await.unwrap()), text(&old));
    assert_eq!(world.backend.presentations(), 1);
}

/// Scenario 23.
#[tokio::test(start_paused = true)]
async fn five_hundred_reports_of_a_refused_token_cause_one_refresh_and_old_reports_none() {
    let world = World::new();
    let opened = world.open().await;
    let key = opened.id.key();
    let refused = opened.session.version();
    for _ in 0..500 {
        world.manager.report_rejected(&key, refused);
    }
    let fresh = world.manager.access_token(&key).await.unwrap();
    assert!(fresh.version() > refused, "whoever asks after the report waits for the new token");
    assert_eq!(world.backend.presentations(), 1);
    for _ in 0..500 {
        world.manager.report_rejected(&key, refused);
    }
    settle().await;
    assert_eq!(world.backend.presentations(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_upstream_that_refuses_every_token_causes_one_refresh_in_ten_seconds() {
    let world = World::new();
    let opened = world.open().await;
    let key = opened.id.key();
    for _ in 0..1000 {
        let token = world.manager.access_token(&key).await.unwrap();
        world.manager.report_rejected(&key, token.version());
        tokio::time::advance(secs(1) / 50).await;
    }
    assert!(world.backend.presentations() <= 3, "{} in 20 seconds", world.backend.presentations());
    world.assert_each_token_presented_once();
}

#[tokio::test(start_paused = true)]
async fn a_refused_token_that_cannot_be_refreshed_is_served_again() {
    let world = World::new();
    let opened = world.open().await;
    world.backend.script([Scripted::NotProcessed(None)]);
    world.manager.report_rejected(&opened.id.key(), opened.session.version());
    let token = world.manager.access_token(&opened.id.key()).await.unwrap();
    assert_eq!(text(&token), text(&opened.session));
    settle().await;
    assert!(world.manager.peek(&opened.id.key()).is_some(), "the hot path is open again");
}

/// Scenario 28. There are no parameter variants here; the two ways to refresh one session are by hand and by itself.
#[tokio::test(start_paused = true)]
async fn two_ways_to_refresh_at_once_get_right_tokens_and_spend_the_lineage_serially() {
    let world = World::new();
    let opened = world.manager.open_handing_out(crate::world::credentials()).await.unwrap();
    pass(120).await;
    let by_hand = world.manager.exchange(opened.tokens.refresh_token.clone().unwrap());
    let key = opened.id.key();
    let (by_hand, automatic) = tokio::join!(by_hand, world.manager.access_token(&key));
    assert!(world.backend.accepts(&by_hand.unwrap().tokens.access_token));
    assert!(world.backend.accepts(&automatic.unwrap().access_token()));
    world.assert_each_token_presented_once();
}

/// Scenario 29.
#[tokio::test(start_paused = true)]
async fn waiters_with_different_demands_are_each_judged_on_their_own() {
    use authproxy_core::manager::AccessOptions;
    let world = World::new();
    let opened = world.open().await;
    let key = opened.id.key();
    pass(70).await; // 50 seconds left: fresh, but too short for one of the two
    let content = world.manager.access_token(&key).await.unwrap();
    assert_eq!(text(&content), text(&opened.session));
    let demanding = AccessOptions::default().min_validity(secs(55));
    let (first, second) = tokio::join!(
        world.manager.access_token_with(&key, demanding),
        world.manager.access_token_with(&key, AccessOptions::default().min_validity(secs(3600))),
    );
    assert!(first.unwrap().expires_at() >= world.clock.now().plus(secs(55)));
    second.unwrap();
    assert!(world.backend.presentations() <= 2);
    world.assert_each_token_presented_once();
}

/// Scenario 32: no caller is lost and no second leader elected, whatever the order of joins and landings.
#[test]
fn the_election_loses_nobody_and_elects_one() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    runtime.block_on(async {
        let clock = authproxy_core::clock::ManualClock::default();
        let world = World::on(Arc::new(clock.clone()), authproxy_core::backend::RotationContract::Strict, |_| {});
        let opened = world.open().await;
        for round in 1..=300 {
            clock.advance(secs(121));
            let mut callers = JoinSet::new();
            for _ in 0..16 {
                let (manager, key) = (world.manager.clone(), opened.id.key());
                callers.spawn(async move { manager.access_token(&key).await.is_ok() });
            }
            let served = tokio::time::timeout(secs(30), callers.join_all()).await.expect("a wake-up was lost");
            assert!(served.into_iter().all(|served| served));
            assert_eq!(world.backend.presentations(), round);
        }
        world.assert_each_token_presented_once();
    });
}

/// Scenario 34: a reader sees one version whole, never one's token with another's expiry.
#[test]
fn a_reader_never_sees_a_mixed_version() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap();
    runtime.block_on(async {
        let clock = authproxy_core::clock::ManualClock::default();
        let world = World::on(Arc::new(clock.clone()), authproxy_core::backend::RotationContract::Strict, |_| {});
        let opened = world.open().await;
        let key = opened.id.key();
        let mut readers = JoinSet::new();
        let (progress, mut seen): (Vec<_>, Vec<_>) = (0..3).map(|_| watch::channel(None)).unzip();
        for progress in progress {
            let manager = world.manager.clone();
            readers.spawn(async move {
                let mut seen = HashMap::new();
                while !progress.is_closed() {
                    if let Some(token) = manager.peek(&key) {
                        let whole = (text(&token), token.expires_at());
                        assert_eq!(*seen.entry(token.version()).or_insert(whole.clone()), whole);
                        progress.send_replace(Some(token.version()));
                    }
                    tokio::task::yield_now().await;
                }
                seen.len()
            });
        }
        for _ in 0..25 {
            clock.advance(secs(121));
            let current = world.manager.access_token(&key).await.unwrap().version();
            for reader in &mut seen {
                let read = reader.wait_for(|version| *version == Some(current));
                tokio::time::timeout(secs(30), read).await.expect("a reader still sees an old one").unwrap();
            }
        }
        drop(seen);
        assert!(readers.join_all().await.into_iter().all(|versions| versions >= 25));
    });
}

#[tokio::test(start_paused = true)]
async fn a_caller_with_a_short_deadline_is_told_so_and_the_flight_goes_on() {
    use authproxy_core::manager::AccessOptions;
    let world = World::new();
    let (key, _) = world.expired().await;
    world.backend.script([Scripted::Slow(secs(3))]);
    let hasty = world.manager.access_token_with(&key, AccessOptions::default().wait(secs(1))).await;
    assert!(matches!(hasty, Err(TokenError::Unavailable { reason: Unavailability::Deadline, .. })), "{hasty:?}");
    world.manager.access_token(&key).await.unwrap();
    assert_eq!(world.backend.presentations(), 1);
}

#[tokio::test(start_paused = true)]
async fn an_unknown_session_is_told_to_log_in_without_a_call_to_the_service() {
    let world = World::new();
    let key = authproxy_core::SessionId::random().key();
    let unknown = world.manager.access_token(&key).await;
    assert!(matches!(unknown, Err(TokenError::LogInAgain(LogInReason::Unknown))), "{unknown:?}");
    assert_eq!(world.backend.presentations(), 0);
}
