//! The fake backend keeps its contracts to the letter and misbehaves as it is told.

use std::{sync::Arc, time::Duration};

use authproxy_core::{
    backend::{AuthBackend, BackendError, Credentials, Login, RefreshError, RefreshRequest, RotationContract},
    clock::ManualClock,
    token::{RefreshToken, TokenSet},
};
use authproxy_testing::{CANARY, Call, CallFault, FakeBackend, Gate, Scripted};

const GRACE: Duration = Duration::from_secs(10);

fn on(contract: RotationContract) -> (ManualClock, FakeBackend) {
    let clock = ManualClock::default();
    (clock.clone(), FakeBackend::with_contract(Arc::new(clock), contract))
}

async fn log_in(backend: &FakeBackend) -> TokenSet {
    match backend.login(&Credentials::password("user", "password123")).await {
        Ok(Login::Issued(issued)) => issued.tokens,
        other => panic!("{other:?}"),
    }
}

async fn present(backend: &FakeBackend, token: &RefreshToken, key: &str) -> Result<TokenSet, RefreshError> {
    let timeout = Duration::from_secs(10);
    backend.refresh(RefreshRequest { refresh_token: token, idempotency_key: key, timeout }).await
}

#[tokio::test]
async fn strict_ends_the_family_on_reuse_and_counts_it() {
    let (_, backend) = on(RotationContract::Strict);
    let (token, other) = (log_in(&backend).await.refresh_token.unwrap(), log_in(&backend).await);
    let rotated = present(&backend, &token, "a").await.unwrap();
    assert!(backend.accepts(&rotated.access_token));
    assert!(matches!(present(&backend, &token, "a").await, Err(RefreshError::Rejected(_))));
    assert!(!backend.accepts(&rotated.access_token) && backend.accepts(&other.access_token));
    assert_eq!((backend.reuses_detected(), backend.presentations_of(&token)), (1, 2));
    assert_eq!((backend.presentations(), backend.most_presentations_of_one_token()), (2, 2));
    assert_eq!((backend.live_families(), backend.live_refresh_tokens().len()), (1, 1));
}

#[tokio::test]
async fn grace_forgives_reuse_until_it_is_over() {
    let (clock, backend) = on(RotationContract::Grace(GRACE));
    let token = log_in(&backend).await.refresh_token.unwrap();
    let first = present(&backend, &token, "a").await.unwrap();
    clock.advance(Duration::from_millis(9_999));
    let second = present(&backend, &token, "a").await.unwrap();
    assert!(backend.accepts(&first.access_token) && backend.accepts(&second.access_token));
    // The grace is counted from the rotation and not prolonged by a second presentation.
    clock.advance(Duration::from_millis(1));
    assert!(matches!(present(&backend, &token, "a").await, Err(RefreshError::Rejected(_))));
    assert!(!backend.accepts(&second.access_token));
}

#[tokio::test]
async fn reusable_never_rotates() {
    let (_, backend) = on(RotationContract::Reusable);
    let token = log_in(&backend).await.refresh_token.unwrap();
    for _ in 0..3 {
        assert!(present(&backend, &token, "a").await.unwrap().refresh_token.is_none());
    }
    assert_eq!(backend.reuses_detected(), 0);
}

#[tokio::test]
async fn idempotent_repeats_its_answer_to_the_same_key_and_token_only() {
    let (_, backend) = on(RotationContract::Idempotent);
    let (token, other) = (log_in(&backend).await.refresh_token.unwrap(), log_in(&backend).await);
    let first = present(&backend, &token, "a").await.unwrap();
    let again = present(&backend, &token, "a").await.unwrap();
    assert_eq!(first.access_token.expose_secret(), again.access_token.expose_secret());
    let stolen = present(&backend, &other.refresh_token.unwrap(), "a").await;
    assert!(matches!(stolen, Err(RefreshError::Rejected(_))), "another token got the answer of the first");
    assert!(matches!(present(&backend, &token, "b").await, Err(RefreshError::Rejected(_))));
    assert_eq!(backend.reuses_detected(), 1);
}

#[tokio::test]
async fn tokens_expire_by_the_clock_and_carry_the_canary() {
    let (clock, backend) = on(RotationContract::Strict);
    let tokens = log_in(&backend).await;
    let token = tokens.refresh_token.unwrap();
    assert!(tokens.access_token.expose_secret().contains(CANARY) && token.expose_secret().contains(CANARY));
    clock.advance(Duration::from_mins(2));
    assert!(!backend.accepts(&tokens.access_token));
    clock.advance(Duration::from_mins(58));
    assert!(matches!(present(&backend, &token, "a").await, Err(RefreshError::Rejected(_))));
    assert_eq!((backend.reuses_detected(), backend.live_families()), (0, 0));
}

#[tokio::test]
async fn each_scripted_outcome_is_what_it_says_and_rotates_or_not() {
    use RefreshError::{Ambiguous, ClientRejected, NotProcessed, Rejected};
    type Expected = fn(&Result<TokenSet, RefreshError>) -> bool;
    let rows: [(Scripted, bool, usize, Expected); 9] = [
        (Scripted::Work, true, 1, |it| it.is_ok()),
        (Scripted::NotProcessed(None), false, 0, |it| matches!(it, Err(NotProcessed { .. }))),
        (Scripted::ClientRejected, false, 0, |it| matches!(it, Err(ClientRejected(_)))),
        (Scripted::Rejected, false, 1, |it| matches!(it, Err(Rejected(_)))),
        (Scripted::LostBefore, false, 0, |it| matches!(it, Err(Ambiguous { salvaged: None, .. }))),
        (Scripted::LostAfter, true, 1, |it| matches!(it, Err(Ambiguous { salvaged: None, .. }))),
        (Scripted::Salvageable, true, 1, |it| matches!(it, Err(Ambiguous { salvaged: Some(_), .. }))),
        (Scripted::KeepRefreshToken, false, 1, |it| matches!(it, Ok(TokenSet { refresh_token: None, .. }))),
        (Scripted::AccessTtl(None), true, 1, |it| matches!(it, Ok(TokenSet { access_expires_at: None, .. }))),
    ];
    for (scripted, rotates, presented, expected) in rows {
        let (_, backend) = on(RotationContract::Strict);
        let token = log_in(&backend).await.refresh_token.unwrap();
        backend.script([scripted.clone()]);
        let outcome = present(&backend, &token, "a").await;
        assert!(expected(&outcome), "{scripted:?}: {outcome:?}");
        let live = backend.live_refresh_tokens();
        let rotated = !live.iter().any(|live| live.expose_secret() == token.expose_secret());
        assert_eq!((rotated, backend.presentations()), (rotates, presented), "{scripted:?}");
        assert_eq!(backend.calls(Call::Refresh), 1);
    }
}

#[tokio::test]
async fn scripted_panics_happen_before_or_after_the_rotation_and_poison_nothing() {
    for (scripted, presented) in [(Scripted::PanicBefore, 0), (Scripted::PanicAfter, 1)] {
        let (_, backend) = on(RotationContract::Grace(GRACE));
        let token = log_in(&backend).await.refresh_token.unwrap();
        backend.script([scripted]);
        let (panicking, presenting) = (backend.clone(), token.clone());
        let panicked = tokio::spawn(async move { present(&panicking, &presenting, "a").await.is_ok() }).await;
        assert!(panicked.unwrap_err().is_panic());
        assert_eq!(backend.presentations(), presented);
        present(&backend, &token, "a").await.unwrap();
    }
}

#[tokio::test(start_paused = true)]
async fn a_timeout_takes_the_requests_time_and_no_more() {
    let (_, backend) = on(RotationContract::Strict);
    let token = log_in(&backend).await.refresh_token.unwrap();
    backend.script([Scripted::TimedOutAfter]);
    let waiting = present(&backend, &token, "a");
    let outcome = tokio::time::timeout(Duration::from_millis(10_001), waiting).await.unwrap();
    assert!(matches!(outcome, Err(RefreshError::Ambiguous { .. })));
}

#[tokio::test]
async fn a_held_refresh_is_seen_to_be_dropped() {
    let (_, backend) = on(RotationContract::Strict);
    let (one, other) = (log_in(&backend).await, log_in(&backend).await);
    let gate = Gate::new();
    backend.script([Scripted::HoldBefore(gate.clone()), Scripted::HoldAfter(gate.clone())]);
    let mut flights = Vec::new();
    for tokens in [one, other] {
        let (backend, token) = (backend.clone(), tokens.refresh_token.unwrap());
        flights.push(tokio::spawn(async move { present(&backend, &token, "a").await.is_ok() }));
        gate.arrived().await;
    }
    assert_eq!((backend.most_refreshes_at_once(), backend.presentations()), (2, 1));
    flights[0].abort();
    assert!((&mut flights[0]).await.is_err());
    assert_eq!(backend.dropped_refreshes(), 1);
    gate.open();
    assert!((&mut flights[1]).await.unwrap());
    assert_eq!(backend.dropped_refreshes(), 1);
}

#[tokio::test]
async fn other_calls_fail_as_scripted_and_when_the_service_is_down() {
    let (_, backend) = on(RotationContract::Strict);
    let tokens = log_in(&backend).await;
    backend.script_call(Call::Protected, [CallFault::TimedOut, CallFault::Refused]);
    assert!(matches!(backend.protected(&tokens.access_token).await, Err(BackendError::TimedOut)));
    assert_eq!(backend.protected(&tokens.access_token).await.unwrap().status, 401);
    assert_eq!(backend.protected(&tokens.access_token).await.unwrap().status, 200);
    backend.script_call(Call::Login, [CallFault::WithoutRefreshToken]);
    assert!(log_in(&backend).await.refresh_token.is_none());
    backend.set_down(true);
    assert!(matches!(backend.protected(&tokens.access_token).await, Err(BackendError::Unreachable(_))));
    let refreshed = present(&backend, &tokens.refresh_token.unwrap(), "a").await;
    assert!(matches!(refreshed, Err(RefreshError::NotProcessed { .. })));
    backend.set_down(false);
    log_in(&backend).await;
}
