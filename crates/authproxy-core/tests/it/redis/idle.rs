//! The idle timeout of a fleet: a use on one node counts on all.

use std::{sync::Arc, time::Duration};

use authproxy_core::{
    Credentials, SessionId, SessionKey, SessionStore, TokenError, TokenManager,
    clock::{Clock, ManualClock, SystemClock},
    manager::ManagerConfig,
    session::Version,
    store::{Abort, AttemptId, Lease, RedisStore},
};
use authproxy_testing::{
    FakeBackend,
    redis::{RedisServer, ask_until},
};

use super::envelope;

const IDLE: Duration = Duration::from_mins(30);
const NEARLY_IDLE: Duration = Duration::from_secs(30 * 60 - 2);
const LIFE: Duration = Duration::from_hours(4);

struct Fleet {
    server: RedisServer,
    clock: ManualClock,
    backend: FakeBackend,
    stores: [Arc<RedisStore>; 2],
    nodes: [TokenManager; 2],
    key: SessionKey,
}

impl Fleet {
    /// Two nodes, and a session that was opened on the first.
    async fn start() -> Self {
        let server = RedisServer::start().await;
        let clock = ManualClock::new(SystemClock::new().now());
        let backend = FakeBackend::new(Arc::new(clock.clone())).ttls(LIFE, 2 * LIFE);
        let stores = [(); 2].map(|()| {
            let store = RedisStore::builder(&server.url(), envelope()).unwrap().idle_timeout(Some(IDLE));
            Arc::new(store.clock(Arc::new(clock.clone())).build().unwrap())
        });
        let nodes = stores.clone().map(|store| {
            let mut config = ManagerConfig::default();
            config.idle_timeout = Some(IDLE);
            let manager = TokenManager::builder(Arc::new(backend.clone()), store);
            manager.config(config).clock(Arc::new(clock.clone())).build()
        });
        let login = Credentials::password("user@example.com", "password123");
        let key = nodes[0].open(login).await.unwrap().id.key();
        Self { server, clock, backend, stores, nodes, key }
    }

    /// Time passes on the nodes' clock, and on the server's: its own cannot be moved, so the session's last use is, and
    /// the nodes hear from it what its time is on their clock.
    async fn pass(&self, time: Duration) {
        const AGE: &str = "local used = struct.unpack('>I8', redis.call('GETRANGE', KEYS[1], 116, 123)) \
            return redis.call('SETRANGE', KEYS[1], 116, struct.pack('>I8', used - ARGV[1]))";
        self.clock.advance(time);
        self.eval(AGE, &[&time.as_millis().to_string()]).await;
        for store in &self.stores {
            let nothing = Lease { key: SessionId::random().key(), attempt: AttemptId::random(), base: Version::FIRST };
            store.abort(&nothing, Abort::Untouched).await.unwrap();
        }
    }

    /// Uses the session on a node, and waits until the store knows: it is told behind the request.
    async fn used_on(&self, node: usize) {
        const UNUSED: &str = "local time = redis.call('TIME') \
            return time[1] * 1000 - struct.unpack('>I8', redis.call('GETRANGE', KEYS[1], 116, 123))";
        self.nodes[node].access_token(&self.key).await.unwrap();
        ask_until("the use to be written down", async || {
            let unused: i64 = self.eval(UNUSED, &[]).await.parse().unwrap();
            (unused < 60_000).then_some(())
        })
        .await;
    }

    /// Runs a script on the session's record.
    async fn eval(&self, script: &str, arguments: &[&str]) -> String {
        let record = self.server.cli(&["KEYS", "ap:{*"]).await;
        let command: Vec<&str> = ["EVAL", script, "1", &record].into_iter().chain(arguments.iter().copied()).collect();
        self.server.cli(&command).await
    }

    async fn assert_over_everywhere(&self) {
        for node in &self.nodes {
            for _ in 0..2 {
                let asked = node.access_token(&self.key).await;
                assert!(matches!(asked, Err(TokenError::LogInAgain(_))), "asking is no use of it: {asked:?}");
            }
        }
    }
}

/// Used on one node, then on the other, then on none.
#[tokio::test]
async fn a_session_that_is_used_on_any_node_stays_and_one_that_is_used_on_none_ends() {
    let fleet = Fleet::start().await;
    for used in [1, 0, 1, 0] {
        fleet.pass(IDLE * 6 / 10).await;
        fleet.used_on(used).await;
    }
    fleet.pass(IDLE).await;
    fleet.assert_over_everywhere().await;
    assert_eq!(fleet.backend.presentations(), 0, "nothing but its uses has kept it");
}

/// `GET /session`, and the looks on which a stream's end depends.
#[tokio::test]
async fn looking_is_not_using() {
    let fleet = Fleet::start().await;
    for _ in 0..4 {
        fleet.pass(IDLE / 5).await;
        for node in &fleet.nodes {
            node.session(&fleet.key).await.unwrap();
        }
    }
    fleet.pass(IDLE / 5).await;
    for node in &fleet.nodes {
        assert!(matches!(node.session(&fleet.key).await, Err(TokenError::LogInAgain(_))), "looked at all the time");
    }
    fleet.assert_over_everywhere().await;
}

/// What a node remembers is no reason to end a session: it may have been used elsewhere since.
#[tokio::test]
async fn a_session_that_was_just_used_on_another_node_is_not_idle_here() {
    let fleet = Fleet::start().await;
    fleet.nodes[1].access_token(&fleet.key).await.unwrap();
    fleet.pass(NEARLY_IDLE).await;
    fleet.nodes[1].session(&fleet.key).await.unwrap();
    fleet.pass(Duration::from_secs(1)).await;
    fleet.used_on(0).await;
    fleet.pass(Duration::from_secs(2)).await;
    assert!(fleet.stores[1].peek(&fleet.key).is_some(), "the other node remembers an earlier use");
    fleet.nodes[1].session(&fleet.key).await.unwrap();
    fleet.nodes[1].access_token(&fleet.key).await.unwrap();
}

/// Nor is an outage: nobody can be asked whether it was used.
#[tokio::test]
async fn while_redis_is_away_nobody_is_logged_out_for_being_idle() {
    let mut fleet = Fleet::start().await;
    fleet.pass(NEARLY_IDLE).await;
    fleet.nodes[1].session(&fleet.key).await.unwrap();
    fleet.pass(Duration::from_secs(1)).await;
    fleet.used_on(0).await;
    fleet.server.kill();
    fleet.clock.advance(Duration::from_secs(2));
    let asked = fleet.nodes[1].access_token(&fleet.key).await;
    assert!(matches!(asked, Err(TokenError::Unavailable { .. })), "{asked:?}");
    fleet.nodes[0].access_token(&fleet.key).await.expect("it knows that the session is used");
}
