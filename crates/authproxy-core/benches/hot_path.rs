//! What a request pays for its token: time, allocations, memory. `cargo bench -p authproxy-core --bench hot_path`.
//!
//! Prints a table and asserts nothing about time; that a hit allocates nothing is asserted, here and in the tests.
#![allow(clippy::unwrap_used, clippy::cast_precision_loss, clippy::disallowed_methods, missing_docs)]

use std::{
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};

use authproxy_core::{
    Credentials, MemoryStore, SessionKey, TokenManager,
    clock::{Clock, SystemClock},
};
use authproxy_testing::{CountingAllocator, FakeBackend};

#[global_allocator]
static ALLOCATOR: CountingAllocator = CountingAllocator::new();

const SESSIONS: usize = 1_000_000;
const ROUNDS: usize = 2_000_000;
const REPEATS: usize = 7;

fn main() {
    let sessions = std::env::var("SESSIONS").ok().and_then(|count| count.parse().ok()).unwrap_or(SESSIONS);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    runtime.block_on(async {
        let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
        let backend = FakeBackend::new(clock.clone()).ttls(Duration::from_hours(6), Duration::from_hours(12)).forgetful(800);
        let store = Arc::new(MemoryStore::with_clock(sessions, clock.clone()));
        let manager = TokenManager::builder(Arc::new(backend), store.clone()).clock(clock).build();

        let before = ALLOCATOR.live_bytes();
        let mut keys = Vec::with_capacity(sessions);
        let keys_bytes = sessions * size_of::<SessionKey>();
        for _ in 0..sessions {
            let opened = manager.open(Credentials::password("user@example.com", "password123"), false).await.unwrap();
            keys.push(opened.id.key());
        }
        tokio::time::sleep(Duration::from_secs(3)).await; // moka settles
        let bytes = (ALLOCATOR.live_bytes() - before).saturating_sub(keys_bytes);
        println!("{sessions} sessions of two 800-byte tokens: {} bytes a session", bytes / sessions);

        for hot in [1, 1_000, sessions] {
            let keys = &keys[..hot.min(keys.len())];
            measure(&format!("peek, {hot} hot of {sessions}"), keys, |key| {
                black_box(manager.peek(key)).expect("fresh");
            });
        }
        let waker = std::task::Waker::noop();
        let mut context = std::task::Context::from_waker(waker);
        for hot in [1, 1_000, sessions] {
            let keys = &keys[..hot.min(keys.len())];
            measure(&format!("access_token, ready, {hot} hot of {sessions}"), keys, |key| {
                let mut future = std::pin::pin!(manager.access_token(key));
                assert!(future.as_mut().poll(&mut context).is_ready());
            });
        }
        manager.shutdown(Duration::from_secs(1)).await;
    });
}

fn measure(what: &str, keys: &[SessionKey], mut call: impl FnMut(&SessionKey)) {
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let [.., a, b, c, d] = random.to_be_bytes().map(usize::from);
        &keys[(((a << 8 | b) << 8 | c) << 8 | d) % keys.len()]
    };
    for _ in 0..ROUNDS / 10 {
        call(next());
    }
    let mut times = Vec::new();
    let allocations = ALLOCATOR.allocations_here();
    for _ in 0..REPEATS {
        let began = Instant::now();
        for _ in 0..ROUNDS / REPEATS {
            call(next());
        }
        times.push(began.elapsed().as_nanos() as f64 / (ROUNDS / REPEATS) as f64);
    }
    let allocated = ALLOCATOR.allocations_here() - allocations;
    // `times` itself may grow; nothing else may allocate.
    assert!(allocated <= 4, "{what}: {allocated} allocations in {ROUNDS} calls");
    times.sort_by(f64::total_cmp);
    println!("{what}: median {:.0} ns, {:.0} to {:.0}; no allocation", times[REPEATS / 2], times[0], times[REPEATS - 1]);
}
