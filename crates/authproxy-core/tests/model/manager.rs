//! The model's decisions against the real manager, row by row, and the one check that depends on when a reply arrives.

use std::{sync::Arc, time::Duration};

use authproxy_core::{
    Credentials, MemoryStore, TokenManager,
    backend::RotationContract,
    clock::TokioClock,
    error::{LogInReason, TokenError},
    session::{DeathReason, SessionKey, Version},
    store::{Abort, AttemptId, Begin, Begun, IfInDoubt, SessionStore},
};
use authproxy_testing::{FakeBackend, Fault, FaultyStore, Gate, Scripted, Verb};

use crate::{
    decision::{Decision, Reason, ZONES, Zone, decide},
    record::{Moment, Standing},
    service::Contract,
};

/// What the model says of a standing, and how the real store comes to it.
const STANDINGS: [(Standing, Option<Abort>); 3] = [
    (Standing::Live, None),
    (Standing::InDoubt { since: 0 }, Some(Abort::InDoubt)),
    (Standing::Dead, Some(Abort::Dead(DeathReason::Rejected))),
];

/// The model's contract and moment, and the contract under which the same is true some seconds after the login.
const CONTRACTS: [(Contract, Moment, RotationContract); 5] = [
    (Contract::Strict, 0, RotationContract::Strict),
    (Contract::Grace, 0, RotationContract::Grace(Duration::from_secs(600))),
    (Contract::Grace, 1, RotationContract::Grace(Duration::from_secs(1))),
    (Contract::Reusable, 1, RotationContract::Reusable),
    (Contract::Idempotent, 1, RotationContract::Idempotent),
];

struct World {
    backend: FakeBackend,
    store: FaultyStore,
    manager: TokenManager,
    key: SessionKey,
}

impl World {
    /// Access tokens live for 120 s.
    async fn logged_in(contract: RotationContract) -> Self {
        let clock = Arc::new(TokioClock::new());
        let backend = FakeBackend::with_contract(clock.clone(), contract);
        let store = FaultyStore::new(Arc::new(MemoryStore::with_clock(10, clock.clone())));
        let manager = TokenManager::builder(Arc::new(backend.clone()), Arc::new(store.clone())).clock(clock).build();
        let credentials = Credentials::password("user@example.com", "password123");
        let key = manager.open(credentials).await.unwrap().id.key();
        Self { backend, store, manager, key }
    }

    async fn abort(&self, abort: Abort) {
        let lease = Duration::from_secs(1);
        let begin = Begin { seen: Version::FIRST, attempt: AttemptId(1), lease, doubt: IfInDoubt::Report };
        let answer = self.store.begin(&self.key, begin).await.unwrap();
        let Begun::Granted { lease, .. } = answer else { panic!("nobody else is here: {answer:?}") };
        self.store.abort(&lease, abort).await.unwrap();
    }

    async fn decision(&self) -> Decision {
        let answer = self.manager.access_token(&self.key).await;
        settle().await;
        let first = answer.as_ref().is_ok_and(|token| token.version() == Version::FIRST);
        match (answer, self.backend.presentations()) {
            (Ok(_), 0) if first => Decision::Serve,
            (Ok(_), 1) if first => Decision::ServeAndRefresh,
            (Ok(_), 1) => Decision::Refresh,
            (Err(TokenError::LogInAgain(LogInReason::Ended(DeathReason::Rejected))), 0) => {
                Decision::LogInAgain(Reason::Rejected)
            }
            (Err(TokenError::LogInAgain(LogInReason::Ended(DeathReason::OutcomeLost))), 0) => {
                Decision::LogInAgain(Reason::OutcomeLost)
            }
            (answer, presentations) => panic!("{answer:?} after {presentations} presentations"),
        }
    }
}

/// Lets the manager's own tasks run until they wait for time.
async fn settle() {
    for _ in 0..100 {
        tokio::task::yield_now().await;
    }
}

async fn pass(millis: u64) {
    tokio::time::advance(Duration::from_millis(millis)).await;
}

#[tokio::test(start_paused = true)]
async fn the_manager_decides_as_the_model_does() {
    for (contract, now, real) in CONTRACTS {
        for (standing, abort) in STANDINGS {
            for zone in ZONES {
                let world = World::logged_in(real).await;
                if let Some(abort) = abort {
                    world.abort(abort).await;
                }
                pass(match zone {
                    Zone::Fresh => 10_000,
                    Zone::Ahead => 100_000,
                    Zone::Late => 112_000,
                    Zone::Expired => 121_000,
                })
                .await;
                let expected = decide(standing, zone, contract, now);
                assert_eq!(world.decision().await, expected, "{real:?}, {standing:?}, {zone:?}");
            }
        }
    }
}

/// `Rule::AnOldPermissionIsAskedAgain`: the store grants in time and answers too late.
#[tokio::test(start_paused = true)]
async fn a_permission_that_arrives_after_the_grace_is_not_used() {
    let world = World::logged_in(RotationContract::Grace(Duration::from_secs(8))).await;
    pass(121_000).await;
    world.backend.script([Scripted::LostAfter, Scripted::LostAfter]);
    world.manager.access_token(&world.key).await.unwrap_err();
    let presented = world.backend.presentations();
    pass(4_500).await; // two seconds of the grace are a margin: presenting again is allowed for six

    let gate = Gate::new();
    world.store.script(Verb::Begin, [Fault::Work, Fault::HoldAfter(gate.clone())]); // in doubt; granted
    let manager = world.manager.clone();
    let key = world.key;
    let caller = tokio::spawn(async move { manager.access_token(&key).await });
    gate.arrived().await;
    pass(1_900).await;
    gate.release();
    caller.await.unwrap().unwrap_err();
    assert_eq!(world.backend.presentations(), presented, "presented on a permission that was none any more");
}
