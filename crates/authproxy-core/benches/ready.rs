//! The hot path by divan, with a million sessions of which a thousand are in use:
//! `cargo bench -p authproxy-core --bench ready`
#![allow(clippy::unwrap_used, missing_docs)]

mod issuer;

use std::{
    pin::pin,
    sync::LazyLock,
    task::{Context, Poll, Waker},
};

use authproxy_core::{SessionKey, TokenManager};
use divan::{Bencher, black_box};
use tokio::runtime::{Builder, Runtime};

/// A prime: sessions of a power of two of bytes that are a thousand apart lie all at one place of their pages, and then
/// compete for the same few lines of a cache.
const STEP: usize = 997;

/// The program's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

static FULL: LazyLock<(Runtime, TokenManager, Vec<SessionKey>)> = LazyLock::new(|| {
    let runtime = Builder::new_current_thread().enable_all().build().unwrap();
    let manager = issuer::manager(&runtime, 1_000_000, std::sync::Arc::new(authproxy_core::clock::SystemClock::new()));
    let keys = runtime.block_on(async {
        let mut keys = Vec::new();
        for session in 0..1_000_000 {
            let key = issuer::open(&manager).await;
            if session % STEP == 0 {
                keys.push(key);
            }
        }
        keys
    });
    (runtime, manager, keys)
});

fn main() {
    LazyLock::force(&FULL);
    divan::main();
}

#[divan::bench(sample_size = 10_000)]
fn peek(bencher: Bencher) {
    let (_, manager, keys) = &*FULL;
    let mut keys = keys.iter().cycle();
    bencher.bench_local(|| black_box(manager.peek(keys.next().unwrap())).unwrap());
}

#[divan::bench(sample_size = 10_000)]
fn ready_access_token(bencher: Bencher) {
    let (_, manager, keys) = &*FULL;
    let mut keys = keys.iter().cycle();
    let mut context = Context::from_waker(Waker::noop());
    bencher.bench_local(|| {
        let key = keys.next().unwrap();
        assert!(pin!(manager.access_token(black_box(key))).poll(&mut context).is_ready());
    });
}

/// What it costs more to have the token as a header value.
#[divan::bench(sample_size = 10_000)]
fn ready_authorization(bencher: Bencher) {
    let (_, manager, keys) = &*FULL;
    let mut keys = keys.iter().cycle();
    let mut context = Context::from_waker(Waker::noop());
    bencher.bench_local(|| {
        let key = keys.next().unwrap();
        let Poll::Ready(token) = pin!(manager.access_token(black_box(key))).poll(&mut context) else { unreachable!() };
        black_box(token.unwrap().access_token().authorization().clone())
    });
}
