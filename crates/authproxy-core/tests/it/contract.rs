//! The contract suite for stores, run against [`MemoryStore`]. Scenario 54.

use std::sync::Arc;

use authproxy_core::{MemoryStore, clock::ManualClock};
use authproxy_testing::store_contract::{StoreUnderTest, check_store};

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn the_memory_store_keeps_the_contract() {
    let report = check_store(async || {
        let clock = ManualClock::default();
        let store = MemoryStore::with_clock(100, Arc::new(clock.clone()));
        StoreUnderTest::on_manual_clock(Arc::new(store), clock).holding(100)
    })
    .await;
    assert!(report.held.len() > 40, "{report:?}");
}
