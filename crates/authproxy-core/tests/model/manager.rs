//! The model's decisions against the real manager: first the policy's table, row by row, then the rules of the flight
//! that the model found to be needed, each by the trace that `broken_rules.rs` prints.

use std::time::Duration;

use authproxy_core::{
    backend::RotationContract,
    error::{LogInReason, TokenError},
    manager::TokenManager,
    session::{DeathReason, SessionKey, Standing as RealStanding, Version},
    store::{Abort, AttemptId, Begin, Begun, IfInDoubt, SessionStore},
};

use crate::{
    decision::{Decision, Reason, ZONES, Zone, decide},
    record::Standing,
    rig::{Answer, Fault, Shared, World},
    service::Contract,
};

const GRACE: Duration = Duration::from_mins(1);

/// What the model says of a standing, and how to bring the real store into it.
const STANDINGS: [(Standing, Option<Abort>); 3] = [
    (Standing::Live, None),
    (Standing::InDoubt { since: 0 }, Some(Abort::InDoubt)),
    (Standing::Dead, Some(Abort::Dead(DeathReason::Rejected))),
];

/// The model's contract and moment, and the real contract in which the same is true 105 s after the intent.
const CONTRACTS: [(Contract, u16, RotationContract); 5] = [
    (Contract::Strict, 0, RotationContract::Strict),
    (Contract::Grace, 0, RotationContract::Grace(Duration::from_mins(10))),
    (Contract::Grace, 1, RotationContract::Grace(Duration::from_secs(1))),
    (Contract::Reusable, 1, RotationContract::Reusable),
    (Contract::Idempotent, 1, RotationContract::Idempotent),
];

#[tokio::test(start_paused = true)]
async fn the_manager_decides_as_the_model_does() {
    for (contract, now, real) in CONTRACTS {
        for (standing, abort) in STANDINGS {
            for zone in ZONES {
                let expected = decide(standing, zone, contract, now);
                assert_eq!(observed(real, abort, zone).await, expected, "{real:?}, {standing:?}, {zone:?}");
            }
        }
    }
}

async fn observed(contract: RotationContract, abort: Option<Abort>, zone: Zone) -> Decision {
    let world = World::new(contract, &[]);
    let manager = world.manager();
    let key = world.log_in(&manager).await;
    if let Some(abort) = abort {
        let lease = Duration::from_secs(1);
        let begin = Begin { seen: Version::FIRST, attempt: AttemptId(1), lease, doubt: IfInDoubt::Report };
        let Begun::Granted { lease, .. } = world.store.begin(&key, begin).await.unwrap() else {
            panic!("nobody else is here")
        };
        world.store.abort(&lease, abort).await.unwrap();
    }
    world.clock.advance(Duration::from_secs(match zone {
        Zone::Fresh => 10,
        Zone::Ahead => 85,
        Zone::Late => 95,
        Zone::Expired => 105,
    }));
    let answer = manager.access_token(&key).await;
    settle().await;
    let presentations = world.presented().len();
    match answer {
        Ok(token) if token.version() > Version::FIRST && presentations == 1 => Decision::Refresh,
        Ok(token) if token.version() == Version::FIRST && presentations == 0 => Decision::Serve,
        Ok(token) if token.version() == Version::FIRST && presentations == 1 => Decision::ServeAndRefresh,
        Err(TokenError::LogInAgain(LogInReason::Ended(reason))) if presentations == 0 => {
            Decision::LogInAgain(match reason {
                DeathReason::Rejected => Reason::Rejected,
                DeathReason::OutcomeLost => Reason::OutcomeLost,
                other => panic!("ended by {other:?}"),
            })
        }
        other => panic!("{other:?} after {presentations} presentations"),
    }
}

/// Lets the manager's own tasks run until they wait for time.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

/// A session whose access token has expired, and a manager of it.
async fn expired(contract: RotationContract, script: &[Answer]) -> (Shared, TokenManager, SessionKey) {
    let world = World::new(contract, script);
    let manager = world.manager();
    let key = world.log_in(&manager).await;
    world.clock.advance(Duration::from_secs(105));
    (world, manager, key)
}

#[tokio::test(start_paused = true)]
async fn a_refusal_after_a_lost_answer_leaves_the_token_in_doubt() {
    let script = [Answer::Lost, Answer::NotProcessed];
    let (world, manager, key) = expired(RotationContract::Grace(GRACE), &script).await;

    manager.access_token(&key).await.unwrap_err();
    let standing = world.store.load(&key).await.unwrap().unwrap().standing;
    assert!(matches!(standing, RealStanding::InDoubt { .. }), "{standing:?}");

    world.clock.advance(GRACE);
    manager.access_token(&key).await.unwrap_err();
    assert_eq!(world.presented().len(), 2, "presented after the grace");
}

#[tokio::test(start_paused = true)]
async fn a_permission_whose_answer_was_lost_is_not_used_after_the_grace() {
    let (world, manager, key) = expired(RotationContract::Grace(GRACE), &[Answer::Lost, Answer::Lost]).await;
    manager.access_token(&key).await.unwrap_err();
    world.clock.advance(Duration::from_secs(5));
    world.spoil_begins(&[Fault::ReplyLost; 3]);
    manager.access_token(&key).await.unwrap_err();

    world.clock.advance(GRACE);
    manager.access_token(&key).await.unwrap_err();
    assert_eq!(world.presented().len(), 2, "presented after the grace");
}

#[tokio::test(start_paused = true)]
async fn a_permission_that_came_after_the_grace_is_not_used() {
    let (world, manager, key) = expired(RotationContract::Grace(GRACE), &[Answer::Lost, Answer::Lost]).await;
    manager.access_token(&key).await.unwrap_err();
    world.clock.advance(Duration::from_secs(5));
    world.spoil_begins(&[Fault::Slow(GRACE)]);

    manager.access_token(&key).await.unwrap_err();
    assert_eq!(world.presented().len(), 2, "presented after the grace");
}

#[tokio::test(start_paused = true)]
async fn a_lease_given_back_late_frees_no_token_that_is_being_presented() {
    let script = [Answer::NotProcessed, Answer::Silence];
    let (world, manager, key) = expired(RotationContract::Strict, &script).await;
    world.spoil_aborts(&[Fault::Late; 3]);
    manager.access_token(&key).await.unwrap_err();
    world.clock.advance(Duration::from_secs(5));

    let presenting = tokio::spawn({
        let manager = manager.clone();
        async move { manager.access_token(&key).await }
    });
    settle().await;
    assert_eq!(world.presented().len(), 2, "the first was refused unprocessed; the second is on its way");
    world.deliver_late().await;
    world.manager().access_token(&key).await.unwrap_err();
    presenting.await.unwrap().unwrap_err();
    assert_eq!(world.presented().len(), 2, "presented by another while the first presentation was on its way");
}

#[tokio::test(start_paused = true)]
async fn a_lease_whose_giving_back_was_not_answered_keeps_nobody_waiting() {
    for fault in [Fault::Late, Fault::ReplyLost] {
        let (world, manager, key) = expired(RotationContract::Strict, &[Answer::NotProcessed]).await;
        world.spoil_aborts(&[fault; 3]);
        manager.access_token(&key).await.unwrap_err();
        world.clock.advance(Duration::from_mins(1)); // beyond the lease
        let token = manager.access_token(&key).await.unwrap();
        assert_eq!(token.version(), Version::FIRST.next(), "{fault:?}");
    }
}
