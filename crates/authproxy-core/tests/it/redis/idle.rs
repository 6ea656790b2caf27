//! The idle timeout of a fleet: a use on one node counts on all.

use std::{sync::Arc, time::Duration};

use authproxy_core::{
    Credentials, SessionStore, TokenError, TokenManager,
    clock::{Clock, ManualClock, SystemClock},
    manager::ManagerConfig,
    store::RedisStore,
};
use authproxy_testing::{FakeBackend, redis::RedisServer};

use super::envelope;

const IDLE: Duration = Duration::from_mins(30);
const LIFE: Duration = Duration::from_hours(4);

fn node(server: &RedisServer, backend: &FakeBackend, clock: &Arc<dyn Clock>) -> TokenManager {
    let store = RedisStore::builder(&server.url(), envelope()).unwrap();
    let store: Arc<dyn SessionStore> = Arc::new(store.idle_timeout(Some(IDLE)).clock(clock.clone()).build().unwrap());
    let mut config = ManagerConfig::default();
    config.idle_timeout = Some(IDLE);
    TokenManager::builder(Arc::new(backend.clone()), store).config(config).clock(clock.clone()).build()
}

/// Time passes on the nodes' clock, and on the server's: its own cannot be moved, so the session's last use is.
async fn pass(server: &RedisServer, clock: &ManualClock, time: Duration) {
    const AGE: &str = "local used = struct.unpack('>I8', redis.call('GETRANGE', KEYS[1], 116, 123)) \
        return redis.call('SETRANGE', KEYS[1], 116, struct.pack('>I8', used - ARGV[1]))";
    clock.advance(time);
    let record = server.cli(&["KEYS", "ap:{*"]).await;
    server.cli(&["EVAL", AGE, "1", &record, &time.as_millis().to_string()]).await;
}

/// Used on one node, then on the other, then on none.
#[tokio::test]
async fn a_session_that_is_used_on_any_node_stays_and_one_that_is_used_on_none_ends() {
    let server = RedisServer::start().await;
    let manual = ManualClock::new(SystemClock::new().now());
    let clock: Arc<dyn Clock> = Arc::new(manual.clone());
    let backend = FakeBackend::new(clock.clone()).ttls(LIFE, 2 * LIFE);
    let (one, other) = (node(&server, &backend, &clock), node(&server, &backend, &clock));
    let key = one.open(Credentials::password("user@example.com", "password123")).await.unwrap().id.key();
    for used in [&other, &one, &other, &one] {
        pass(&server, &manual, IDLE * 6 / 10).await;
        used.access_token(&key).await.unwrap();
    }
    pass(&server, &manual, IDLE).await;
    for node in [&one, &other] {
        for _ in 0..2 {
            let asked = node.access_token(&key).await;
            assert!(matches!(asked, Err(TokenError::LogInAgain(_))), "asking is no use of it: {asked:?}");
        }
    }
    assert_eq!(backend.presentations(), 0, "nothing but its uses has kept it");
}
