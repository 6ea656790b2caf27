//! The suite passes an honest store and finds every flaw of the others.

use std::sync::Arc;

use authproxy_core::clock::ManualClock;
use authproxy_testing::store_contract::{StoreUnderTest, a_random_history_agrees_with_the_model, check_store};

use crate::flawed_store::{Flaw, ReferenceStore};

const CAPACITY: usize = 100;

fn store(flaw: Option<Flaw>) -> StoreUnderTest {
    store_for(CAPACITY, flaw)
}

fn store_for(sessions: usize, flaw: Option<Flaw>) -> StoreUnderTest {
    let clock = ManualClock::default();
    let store = ReferenceStore::new(sessions, clock.clone(), flaw);
    StoreUnderTest::on_manual_clock(Arc::new(store), clock).holding(sessions).forgetting()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn an_honest_store_passes_every_claim() {
    let report = check_store(async || store(None)).await;
    assert_eq!(report.skipped, Vec::<&str>::new());
    assert!(report.held.len() > 40, "{report:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_store_for_fifty_sessions_is_large_enough() {
    assert_eq!(check_store(async || store_for(50, None)).await.skipped, Vec::<&str>::new());
}

#[test]
#[should_panic(expected = "the suite opens 50 sessions at a time, and this store holds 49")]
fn a_smaller_store_is_not_blamed() {
    let _ = store_for(49, None);
}

#[test]
fn every_flaw_is_found_by_a_claim_that_is_named() {
    for flaw in Flaw::ALL {
        let suite = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).build().unwrap();
            runtime.block_on(check_store(async || store(Some(flaw))));
        });
        let Err(panic) = suite.join() else { panic!("the suite passes a store with the flaw {flaw:?}") };
        let message = panic.downcast_ref::<String>().expect("a formatted message");
        assert!(message.starts_with("the store breaks its contract: \""), "{flaw:?}: {message}");
    }
}

#[tokio::test]
async fn what_cannot_be_checked_is_reported_as_skipped() {
    let report = check_store(async || {
        let clock = ManualClock::default();
        StoreUnderTest::on_manual_clock(Arc::new(ReferenceStore::new(100, clock.clone(), None)), clock)
    })
    .await;
    assert_eq!(report.skipped.len(), 2, "{report:?}");
}

#[tokio::test]
async fn ten_more_histories_agree_with_the_model() {
    for seed in 100..110 {
        a_random_history_agrees_with_the_model(&store(None), seed, 2000).await;
    }
}
