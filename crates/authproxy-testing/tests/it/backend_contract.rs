//! The suite passes honest backends under every contract and finds every flaw of the others.

use std::{sync::Arc, time::Duration};

use authproxy_core::{
    HttpBackend,
    backend::{AuthBackend, Credentials, RotationContract},
    clock::ManualClock,
};
use authproxy_testing::{
    FakeAuthService, FakeBackend, Scripted, WRONG_PASSWORD,
    backend_contract::{BackendUnderTest, check_backend},
    fake_auth::{Endpoint, Misbehaviour, PASSWORD, USER},
};

use crate::flawed_backend::{Flaw, FlawedBackend};

const CONTRACTS: [RotationContract; 4] = [
    RotationContract::Strict,
    RotationContract::Grace(Duration::from_secs(10)),
    RotationContract::Reusable,
    RotationContract::Idempotent,
];

fn fake(contract: RotationContract) -> FakeBackend {
    FakeBackend::with_contract(Arc::new(ManualClock::default()), contract)
}

/// The suite around a fake, or around what wraps it.
fn around(fake: &FakeBackend, wrap: impl Fn(FakeBackend) -> Arc<dyn AuthBackend>) -> BackendUnderTest {
    let down = FakeBackend::new(Arc::new(ManualClock::default()));
    down.set_down(true);
    let (losing, hanging, counting) = (fake.clone(), fake.clone(), fake.clone());
    BackendUnderTest::new(wrap(fake.clone()), Credentials::password(USER, PASSWORD))
        .refusing(Credentials::password(USER, WRONG_PASSWORD))
        .unreachable(wrap(down))
        .losing_answers(move || losing.script([Scripted::LostAfter]))
        .hanging(move || hanging.script([Scripted::TimedOutAfter]))
        .counting(move || counting.presentations())
        .revoking()
}

#[tokio::test(start_paused = true)]
async fn a_fake_backend_passes_every_claim_under_every_contract() {
    for contract in CONTRACTS {
        let report = check_backend(async || around(&fake(contract), |fake| Arc::new(fake))).await;
        assert_eq!(report.skipped, Vec::<&str>::new(), "{contract:?}");
    }
}

#[tokio::test]
async fn http_backend_passes_every_claim_with_the_fake_auth_service() {
    let away = FakeAuthService::start().await;
    away.refuse_connections().await;
    for contract in CONTRACTS {
        let service = Arc::new(FakeAuthService::builder().rotation(contract).start().await.unwrap());
        let backend = |url: &str| Arc::new(HttpBackend::builder(url).rotation(contract).build().unwrap());
        let (backend, unreachable) = (backend(&service.url()), backend(&away.url()));
        let report = check_backend(async || {
            let (losing, hanging, counting) = (service.clone(), service.clone(), service.clone());
            BackendUnderTest::new(backend.clone(), Credentials::password(USER, PASSWORD))
                .refusing(Credentials::password(USER, WRONG_PASSWORD))
                .unreachable(unreachable.clone())
                .losing_answers(move || losing.script(Endpoint::Refresh, [Misbehaviour::ResetAfter]))
                .hanging(move || hanging.script(Endpoint::Refresh, [Misbehaviour::LoseAnswer]))
                .counting(move || counting.presentations())
                .revoking()
        })
        .await;
        assert_eq!(report.skipped, Vec::<&str>::new(), "{contract:?}");
    }
}

#[test]
fn every_flaw_is_found_by_a_claim_that_is_named() {
    for flaw in Flaw::ALL {
        let suite = std::thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
            let flawed = |fake| -> Arc<dyn AuthBackend> { Arc::new(FlawedBackend::new(fake, flaw)) };
            runtime.block_on(check_backend(async || around(&fake(RotationContract::Strict), flawed)));
        });
        let Err(panic) = suite.join() else { panic!("the suite passes a backend with the flaw {flaw:?}") };
        let message = panic.downcast_ref::<String>().expect("a formatted message");
        assert!(message.starts_with("the backend breaks its contract: \""), "{flaw:?}: {message}");
    }
}

#[tokio::test]
async fn what_cannot_be_checked_is_reported_as_skipped() {
    let credentials = Credentials::password(USER, PASSWORD);
    let report =
        check_backend(async || BackendUnderTest::new(Arc::new(fake(RotationContract::Strict)), credentials.clone()))
            .await;
    assert_eq!((report.held.len(), report.skipped.len()), (8, 6), "{report:?}");
}
