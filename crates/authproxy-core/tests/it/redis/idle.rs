//! The idle timeout of a fleet: a use on one node counts on all.

use std::{sync::Arc, time::Duration};

use authproxy_core::{
    Credentials, SessionStore, TokenError, TokenManager,
    clock::{Clock, SystemClock},
    manager::ManagerConfig,
    store::RedisStore,
};
use authproxy_testing::{FakeBackend, redis::RedisServer};
use tokio::time::{Instant, sleep_until};

use super::envelope;

const IDLE: Duration = Duration::from_secs(2);

fn node(server: &RedisServer, backend: &FakeBackend, clock: &Arc<dyn Clock>) -> TokenManager {
    let store = RedisStore::builder(&server.url(), envelope()).unwrap();
    let store: Arc<dyn SessionStore> = Arc::new(store.idle_timeout(Some(IDLE)).clock(clock.clone()).build().unwrap());
    let mut config = ManagerConfig::default();
    config.idle_timeout = Some(IDLE);
    TokenManager::builder(Arc::new(backend.clone()), store).config(config).clock(clock.clone()).build()
}

/// Used on one node, then on the other, then on none. Real time passes: the uses are on the server's clock.
#[tokio::test]
async fn a_session_that_is_used_on_any_node_stays_and_one_that_is_used_on_none_ends() {
    let server = RedisServer::start().await;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock::new());
    let backend = FakeBackend::new(clock.clone());
    let (one, other) = (node(&server, &backend, &clock), node(&server, &backend, &clock));
    let key = one.open(Credentials::password("user@example.com", "password123")).await.unwrap().id.key();
    let start = Instant::now();
    for step in 1..=4 {
        sleep_until(start + step * IDLE * 6 / 10).await;
        let used = if step % 2 == 0 { &one } else { &other };
        used.access_token(&key).await.unwrap();
    }
    sleep_until(Instant::now() + IDLE + IDLE / 10).await;
    for node in [&one, &other] {
        for _ in 0..2 {
            let asked = node.access_token(&key).await;
            assert!(matches!(asked, Err(TokenError::LogInAgain(_))), "asking is no use of it: {asked:?}");
        }
    }
}
