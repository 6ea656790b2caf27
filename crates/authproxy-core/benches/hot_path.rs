//! What a request pays for its token: time, allocations, memory. `cargo bench -p authproxy-core --bench hot_path`.
//!
//! `SESSIONS=100000` in the environment makes it smaller. Judges no time; that a hit allocates nothing is asserted.
#![allow(clippy::unwrap_used, clippy::cast_precision_loss, clippy::disallowed_methods, missing_docs)]

mod issuer;

use std::{
    hint::black_box,
    pin::pin,
    task::{Context, Waker},
    time::Instant,
};

use authproxy_core::SessionKey;

const ROUNDS: usize = 2_100_000;
const REPEATS: usize = 7;

fn main() {
    let sessions = std::env::var("SESSIONS").ok().and_then(|count| count.parse().ok()).unwrap_or(1_000_000);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let manager = issuer::manager(&runtime, sessions, std::sync::Arc::new(authproxy_core::clock::SystemClock::new()));
    let mut keys = Vec::with_capacity(sessions);
    let resident = resident_bytes();
    let memory = allocation_counter::measure(|| {
        runtime.block_on(async {
            for _ in 0..sessions {
                keys.push(issuer::open(&manager).await);
            }
        });
    });
    let allocated = usize::try_from(memory.bytes_current).unwrap() / sessions;
    let resident = (resident_bytes() - resident).saturating_sub(sessions * size_of::<SessionKey>()) / sessions;
    println!("{sessions} sessions of two 800-byte tokens: {allocated} bytes a session allocated, {resident} resident");

    for hot in [1, 1_000, sessions] {
        measure(&format!("peek, {hot} of {sessions} in use"), &keys[..hot.min(sessions)], |key| {
            black_box(manager.peek(key)).expect("fresh");
        });
    }
    let mut context = Context::from_waker(Waker::noop());
    for hot in [1, 1_000, sessions] {
        measure(&format!("access_token, ready, {hot} of {sessions} in use"), &keys[..hot.min(sessions)], |key| {
            assert!(pin!(manager.access_token(key)).poll(&mut context).is_ready());
        });
    }
}

fn measure(what: &str, keys: &[SessionKey], mut call: impl FnMut(&SessionKey)) {
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        &keys[usize::try_from(random >> 33).unwrap() % keys.len()]
    };
    for _ in 0..ROUNDS / 10 {
        call(next());
    }
    let mut times = [0.0; REPEATS];
    let allocations = allocation_counter::measure(|| {
        for time in &mut times {
            let began = Instant::now();
            for _ in 0..ROUNDS / REPEATS {
                call(next());
            }
            *time = began.elapsed().as_nanos() as f64 / (ROUNDS / REPEATS) as f64;
        }
    });
    assert_eq!(allocations.count_total, 0, "{what} allocates");
    times.sort_by(f64::total_cmp);
    println!(
        "{what}: median {:.0} ns ({:.0} to {:.0}), no allocation",
        times[REPEATS / 2],
        times[0],
        times[REPEATS - 1]
    );
}

fn resident_bytes() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}
