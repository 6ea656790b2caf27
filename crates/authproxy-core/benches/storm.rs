//! Ten thousand callers on one expired session, over real sockets: `cargo bench -p authproxy-core --bench storm`.
//!
//! The auth service answers a refresh after 50 ms. Prints presentations, answers, and what the storm added to a call.
#![allow(clippy::unwrap_used, clippy::disallowed_methods, missing_docs)]

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use authproxy_core::{
    Credentials, MemoryStore, TokenManager,
    clock::{Clock, ManualClock},
};
use authproxy_testing::{FakeBackend, Scripted};
use tokio::task::JoinSet;

const CALLERS: usize = 10_000;
const ROUND_TRIP: Duration = Duration::from_millis(50);
const STORMS: usize = 5;

fn main() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
    runtime.block_on(async {
        let clock = ManualClock::default();
        let shared: Arc<dyn Clock> = Arc::new(clock.clone());
        let backend = FakeBackend::new(shared.clone());
        let store = Arc::new(MemoryStore::with_clock(100, shared.clone()));
        let manager = TokenManager::builder(Arc::new(backend.clone()), store).clock(shared).build();
        for storm in 1..=STORMS {
            let opened = manager.open(Credentials::password("user@example.com", "password123")).await.unwrap();
            clock.advance(Duration::from_secs(121));
            backend.script([Scripted::Slow(ROUND_TRIP)]);
            let before = backend.presentations();
            let mut callers = JoinSet::new();
            for _ in 0..CALLERS {
                let (manager, key) = (manager.clone(), opened.id.key());
                callers.spawn(async move {
                    let began = Instant::now();
                    let served = manager.access_token(&key).await.is_ok();
                    (served, began.elapsed())
                });
            }
            let outcomes = callers.join_all().await;
            let served = outcomes.iter().filter(|(served, _)| *served).count();
            let mut waits: Vec<_> = outcomes.into_iter().map(|(_, wait)| wait).collect();
            waits.sort();
            println!(
                "storm {storm}: {CALLERS} callers, {} presentation, {served} served; waited p50 {:.1?}, p99 {:.1?} \
                 (the service's round trip: {ROUND_TRIP:?})",
                backend.presentations() - before,
                waits[CALLERS / 2],
                waits[CALLERS * 99 / 100],
            );
            manager.close(&opened.id.key()).await.unwrap();
        }
    });
}
