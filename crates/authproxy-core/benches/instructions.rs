//! `peek` and the ready path, as often as the arguments say: `scripts/instructions` counts what a call costs.
#![allow(clippy::unwrap_used, missing_docs)]

mod issuer;

use std::{
    hint::black_box,
    pin::pin,
    task::{Context, Waker},
};

fn main() {
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    let call = arguments.next().unwrap_or_default();
    let count: usize = arguments.next().and_then(|count| count.parse().ok()).unwrap_or(0);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let manager = issuer::manager(&runtime, 1_000, std::sync::Arc::new(authproxy_core::clock::SystemClock::new()));
    let keys: Vec<_> = runtime.block_on(async {
        let mut keys = Vec::new();
        for _ in 0..1_000 {
            keys.push(issuer::open(&manager).await);
        }
        keys
    });
    let mut context = Context::from_waker(Waker::noop());
    for key in keys.iter().cycle().take(count) {
        if call == "peek" {
            black_box(manager.peek(key)).unwrap();
        } else {
            assert!(pin!(manager.access_token(key)).poll(&mut context).is_ready());
        }
    }
}
