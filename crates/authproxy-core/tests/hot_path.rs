//! A token that is fresh and at hand costs no allocation. Alone in its binary: the allocator counts everything.
#![allow(clippy::unwrap_used)]

use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
};

use authproxy_core::{Credentials, MemoryStore, TokenManager, clock::ManualClock};
use authproxy_testing::FakeBackend;

#[test]
fn peek_and_the_ready_path_allocate_nothing() {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let clock = Arc::new(ManualClock::default());
    let _inside = runtime.enter();
    let store = Arc::new(MemoryStore::with_clock(10, clock.clone()));
    let manager = TokenManager::builder(Arc::new(FakeBackend::new(clock.clone())), store).clock(clock).build();
    let opened = runtime.block_on(manager.open(Credentials::password("user", "password123"))).unwrap();
    let key = opened.id.key();
    assert!(manager.peek(&key).is_some()); // the thread's first look registers it with the map

    let allocated = allocation_counter::measure(|| {
        for _ in 0..1000 {
            assert!(manager.peek(&key).is_some());
            let mut context = Context::from_waker(Waker::noop());
            let Poll::Ready(token) = pin!(manager.access_token(&key)).poll(&mut context) else { panic!("not ready") };
            assert!(token.unwrap().expose_authorization().starts_with(b"Bearer "));
        }
    });
    assert_eq!(allocated.count_total, 0);
}
