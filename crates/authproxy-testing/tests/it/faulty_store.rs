//! The faulty store fails exactly where it is told, and is honest otherwise.

use std::sync::Arc;

use authproxy_core::{
    clock::ManualClock,
    session::{SessionId, SessionKey},
    store::SessionStore,
};
use authproxy_testing::{
    Fault, FaultyStore, Gate, Verb,
    store_contract::{StoreUnderTest, check_store},
};

use crate::flawed_store::ReferenceStore;

fn store() -> FaultyStore {
    FaultyStore::new(Arc::new(ReferenceStore::new(10, ManualClock::default(), None)))
}

fn key() -> SessionKey {
    SessionId::random().key()
}

#[tokio::test]
async fn without_faults_it_keeps_the_contract_of_the_store_inside() {
    let report = check_store(async || {
        let clock = ManualClock::default();
        let store = FaultyStore::new(Arc::new(ReferenceStore::new(100, clock.clone(), None)));
        StoreUnderTest::on_manual_clock(Arc::new(store), clock).holding(100)
    })
    .await;
    assert!(report.held.len() > 40, "{report:?}");
}

#[tokio::test]
async fn each_fault_meets_one_call_of_its_verb() {
    let store = store();
    store.script(Verb::Load, [Fault::FailBefore, Fault::LoseAnswer]);
    assert!(store.remove(&key()).await.is_ok());
    assert!(store.load(&key()).await.is_err());
    assert!(store.load(&key()).await.is_err());
    assert!(store.load(&key()).await.is_ok());
    assert_eq!(store.calls(), [Verb::Remove, Verb::Load, Verb::Load, Verb::Load]);
    assert_eq!(store.calls_of(Verb::Load), 3);
}

#[tokio::test]
async fn while_down_every_verb_fails() {
    let store = store();
    store.set_down(true);
    assert!(store.load(&key()).await.is_err());
    assert!(store.remove(&key()).await.is_err());
    store.set_down(false);
    assert!(store.load(&key()).await.is_ok());
}

#[tokio::test]
async fn a_gate_holds_a_verb_until_it_is_released() {
    let (store, gate) = (store(), Gate::new());
    store.script(Verb::Load, [Fault::HoldBefore(gate.clone()), Fault::HoldAfter(gate.clone())]);
    for _ in 0..2 {
        let held = store.clone();
        let loading = tokio::spawn(async move { held.load(&key()).await });
        gate.arrived().await;
        assert!(!loading.is_finished());
        gate.release();
        assert!(loading.await.unwrap().unwrap().is_none());
    }
}

#[tokio::test]
async fn a_scripted_panic_reaches_the_caller_and_spoils_nothing() {
    let store = store();
    store.script(Verb::Load, [Fault::Panic, Fault::PanicAfter]);
    for _ in 0..2 {
        let panicking = store.clone();
        let panicked = tokio::spawn(async move { panicking.load(&key()).await }).await;
        assert!(panicked.unwrap_err().is_panic());
    }
    assert!(store.load(&key()).await.is_ok());
}

#[tokio::test]
async fn an_open_gate_lets_everyone_pass() {
    let gate = Gate::new();
    gate.open();
    gate.open();
    gate.release();
    for _ in 0..3 {
        gate.pass().await;
    }
}
