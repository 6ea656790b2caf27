//! Why the published sessions stand in a lock-free map beside moka: a lookup in each, of a million entries.
//! `cargo bench -p authproxy-core --bench index`
#![allow(clippy::unwrap_used, clippy::cast_precision_loss, clippy::disallowed_methods, missing_docs)]

use std::{
    hint::black_box,
    sync::Arc,
    time::{Duration, Instant},
};

const ENTRIES: u64 = 1_000_000;
const ROUNDS: u64 = 1_000_000;

fn main() {
    let moka: moka::sync::Cache<u64, Arc<u64>> =
        moka::sync::Cache::builder().time_to_live(Duration::from_hours(1)).build();
    let papaya: papaya::HashMap<u64, Arc<u64>> = papaya::HashMap::new();
    for entry in 0..ENTRIES {
        moka.insert(entry, Arc::new(entry));
        papaya.pin().insert(entry, Arc::new(entry));
    }
    moka.run_pending_tasks();
    for hot in [1_000, ENTRIES] {
        measure(&format!("moka, {hot} of {ENTRIES} in use"), hot, |key| moka.get(&key));
        measure(&format!("papaya, {hot} of {ENTRIES} in use"), hot, |key| papaya.pin().get(&key).cloned());
    }
}

fn measure(what: &str, hot: u64, mut look_up: impl FnMut(u64) -> Option<Arc<u64>>) {
    let mut random = 0x9E37_79B9_7F4A_7C15_u64;
    let mut next = || {
        random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (random >> 33) % hot
    };
    for _ in 0..ROUNDS / 10 {
        black_box(look_up(next())).unwrap();
    }
    let began = Instant::now();
    for _ in 0..ROUNDS {
        black_box(look_up(next())).unwrap();
    }
    println!("{what}: {:.0} ns", began.elapsed().as_nanos() as f64 / ROUNDS as f64);
}
