//! The manager on Redis: what a request costs, and what it is told while Redis is away. Scenario 40.

use std::{sync::Arc, time::Duration};

use authproxy_core::{
    SessionKey, SessionStore, TokenManager,
    backend::RotationContract,
    clock::{Clock, ManualClock, SystemClock},
    error::{LogInReason, TokenError, Unavailability},
    manager::ManagerConfig,
    store::RedisStore,
};
use authproxy_testing::{
    FakeBackend,
    redis::{RedisServer, ask_until},
};
use futures_util::future::join_all;
use tokio::time::Instant;

use super::envelope;
use crate::world::credentials;

const NEAR_TTL: Duration = Duration::from_secs(5);
const STALE_MAX: Duration = Duration::from_secs(60);

/// The nodes' common clock and auth service.
struct Fleet {
    clock: ManualClock,
    backend: FakeBackend,
    url: String,
    config: ManagerConfig,
}

struct Node {
    store: Arc<RedisStore>,
    manager: TokenManager,
}

impl Fleet {
    fn on(server: &RedisServer) -> Self {
        let clock = ManualClock::new(SystemClock::new().now());
        let backend = FakeBackend::with_contract(Arc::new(clock.clone()), RotationContract::Strict);
        Self { clock, backend, url: server.url(), config: ManagerConfig::default() }
    }

    async fn node(&self, near_ttl: Duration) -> Node {
        let clock: Arc<dyn Clock> = Arc::new(self.clock.clone());
        let builder = RedisStore::builder(&self.url, envelope()).unwrap();
        let builder = builder.near_ttl(near_ttl).stale_max(STALE_MAX).clock(clock.clone());
        let store = Arc::new(builder.build().unwrap());
        store.ready().await.unwrap();
        let manager = TokenManager::builder(Arc::new(self.backend.clone()), store.clone());
        Node { store, manager: manager.clock(clock).config(self.config.clone()).build() }
    }
}

impl Node {
    async fn open(&self) -> SessionKey {
        self.manager.open(credentials()).await.unwrap().id.key()
    }
}

async fn loads(server: &RedisServer) -> u64 {
    server.calls().await.iter().find(|(name, _)| name == "getrange").map_or(0, |(_, calls)| *calls)
}

fn unavailable<T: std::fmt::Debug>(answer: &Result<T, TokenError>) -> bool {
    matches!(answer, Err(TokenError::Unavailable { reason: Unavailability::Store, .. }))
}

#[tokio::test]
async fn a_request_costs_no_command_and_when_near_ttl_runs_out_one_for_all() {
    let server = RedisServer::start().await;
    let fleet = Fleet::on(&server);
    let node = fleet.node(NEAR_TTL).await;
    let key = node.open().await;
    server.reset_calls().await;
    for _ in 0..1_000 {
        node.manager.access_token(&key).await.unwrap();
        node.manager.session(&key).await.unwrap();
    }
    assert_eq!(loads(&server).await, 0);
    for round in 1..=3 {
        fleet.clock.advance(NEAR_TTL);
        let tokens = join_all((0..1_000).map(|_| node.manager.access_token(&key))).await;
        assert!(tokens.iter().all(Result::is_ok));
        assert_eq!(loads(&server).await, round, "one confirmed for all");
    }
}

#[tokio::test]
async fn without_the_near_cache_a_request_costs_one_command() {
    let server = RedisServer::start().await;
    let fleet = Fleet::on(&server);
    let node = fleet.node(Duration::ZERO).await;
    let key = node.open().await;
    server.reset_calls().await;
    for _ in 0..100 {
        node.manager.access_token(&key).await.unwrap();
    }
    assert_eq!(super::near::requested(&server).await, [("getrange".to_owned(), 100)], "and nothing else");
}

#[tokio::test]
async fn a_refused_token_is_refreshed_with_and_without_the_near_cache() {
    for near_ttl in [NEAR_TTL, Duration::ZERO] {
        let server = RedisServer::start().await;
        let fleet = Fleet::on(&server);
        let node = fleet.node(near_ttl).await;
        let key = node.open().await;
        let token = node.manager.access_token(&key).await.unwrap();
        for _ in 0..10 {
            node.manager.report_rejected(&key, token.version());
        }
        let next = node.manager.access_token(&key).await.unwrap();
        assert_eq!(next.version(), token.version().next(), "near_ttl {near_ttl:?}");
        node.manager.report_rejected(&key, token.version()); // an old one
        assert_eq!(node.manager.access_token(&key).await.unwrap().version(), next.version());
        assert_eq!(fleet.backend.most_presentations_of_one_token(), 1);
    }
}

#[tokio::test]
async fn the_end_of_a_session_is_announced_once_a_version_also_when_redis_is_asked_again() {
    for near_ttl in [NEAR_TTL, Duration::ZERO] {
        let server = RedisServer::start().await;
        let fleet = Fleet::on(&server);
        let node = fleet.node(near_ttl).await;
        let key = node.open().await;
        fleet.clock.advance(Duration::from_secs(120));
        let mut announced = 0;
        for _ in 0..5 {
            announced += u32::from(node.manager.access_token(&key).await.unwrap().take_prolonged());
            fleet.clock.advance(NEAR_TTL);
        }
        assert_eq!(announced, 1, "near_ttl {near_ttl:?}");
    }
}

#[tokio::test]
async fn while_redis_is_killed_valid_tokens_flow_up_to_stale_max_and_nobody_is_logged_out() {
    let mut server = RedisServer::options().appendonly().start().await;
    let fleet = Fleet::on(&server);
    let node = fleet.node(NEAR_TTL).await;
    let key = node.open().await;
    server.kill();
    for passed in [Duration::ZERO, NEAR_TTL, STALE_MAX.saturating_sub(NEAR_TTL)] {
        fleet.clock.advance(passed);
        let answers = join_all((0..100).map(|_| node.manager.access_token(&key))).await;
        assert!(answers.iter().all(Result::is_ok), "after {passed:?}");
    }
    assert!(node.manager.session(&key).await.is_ok());
    fleet.clock.advance(Duration::from_millis(1));
    assert!(unavailable(&node.manager.access_token(&key).await));
    assert!(unavailable(&node.manager.session(&key).await));
    assert!(node.manager.open(credentials()).await.is_err(), "no login");

    server.restart().await;
    let began = Instant::now();
    ask_until("the token to flow again", async || node.manager.access_token(&key).await.ok()).await;
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

/// A server that stands still accepts connections and answers nothing: the worst kind of outage.
#[tokio::test]
async fn while_redis_stands_still_nobody_with_a_valid_token_waits_for_long() {
    let server = RedisServer::start().await;
    let fleet = Fleet::on(&server);
    let node = fleet.node(NEAR_TTL).await;
    let key = node.open().await;
    server.pause();
    let began = Instant::now();
    for _ in 0..1_000 {
        node.manager.access_token(&key).await.unwrap();
    }
    assert!(began.elapsed() < Duration::from_secs(1), "hits need no Redis: {:?}", began.elapsed());
    fleet.clock.advance(NEAR_TTL);
    let began = Instant::now();
    join_all((0..100).map(|_| node.manager.access_token(&key)))
        .await
        .into_iter()
        .for_each(|token| drop(token.unwrap()));
    let first = began.elapsed();
    assert!(first < Duration::from_secs(3), "until it is known that Redis does not answer: {first:?}");
    let mut longest = Duration::ZERO;
    for _ in 0..20 {
        let began = Instant::now();
        node.manager.access_token(&key).await.unwrap();
        longest = longest.max(began.elapsed());
    }
    assert!(longest < Duration::from_millis(500), "{longest:?}");
    server.resume();
    let began = Instant::now();
    ask_until("the session to be confirmed", async || {
        let _ = node.manager.access_token(&key).await;
        node.store.peek(&key)
    })
    .await;
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

#[tokio::test]
async fn an_expired_token_is_no_token_while_redis_is_away() {
    let mut server = RedisServer::start().await;
    let fleet = Fleet::on(&server);
    let node = fleet.node(NEAR_TTL).await;
    let key = node.open().await;
    fleet.clock.advance(Duration::from_secs(100));
    node.manager.access_token(&key).await.unwrap();
    ask_until("the refresh to be stored", async || node.store.peek(&key).filter(|session| session.version.0 == 2))
        .await;
    server.kill();
    fleet.clock.advance(Duration::from_secs(59));
    assert!(node.manager.access_token(&key).await.is_ok());
    fleet.clock.advance(Duration::from_secs(61));
    assert!(unavailable(&node.manager.access_token(&key).await));
    assert_eq!(fleet.backend.most_presentations_of_one_token(), 1);
}

#[tokio::test]
async fn a_server_that_comes_back_empty_has_no_sessions_for_the_near_cache_either() {
    let mut server = RedisServer::start().await;
    let fleet = Fleet::on(&server);
    let (elsewhere, node) = (fleet.node(NEAR_TTL).await, fleet.node(NEAR_TTL).await);
    let key = elsewhere.open().await;
    assert!(node.manager.access_token(&key).await.is_ok());
    // A node that is there to the end writes again what it has written last.
    drop(elsewhere);
    server.restart().await;
    let unknown = |answer: &Result<_, TokenError>| matches!(answer, Err(TokenError::LogInAgain(LogInReason::Unknown)));
    ask_until("the loss to be noticed", async || {
        unknown(&node.manager.access_token(&key).await.map(drop)).then_some(())
    })
    .await;
    assert!(node.store.last_known(&key).is_none());
}
