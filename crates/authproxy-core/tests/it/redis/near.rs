//! The near-cache between nodes: what costs no command, and how soon a change elsewhere holds. Scenarios 42 and 44.

use std::{sync::Arc, time::Duration};

use authproxy_core::{
    SessionKey, SessionStore,
    clock::{Clock, ManualClock, SystemClock},
    session::{DeathReason, Version},
    store::{Abort, Aborted, RedisStore},
};
use authproxy_testing::redis::{RedisServer, ask_until};
use tokio::time::Instant;

use super::{envelope, granted, open, refresh};

pub const NEAR_TTL: Duration = Duration::from_secs(5);
const STALE_MAX: Duration = Duration::from_secs(60);
/// A logout elsewhere holds after this time while Redis is up.
const HOLDS_WITHIN: Duration = Duration::from_millis(100);

/// A node on a clock that stands still until it is told to move.
async fn node(url: &str, near_ttl: Duration) -> (Arc<RedisStore>, ManualClock) {
    let clock = ManualClock::new(SystemClock::new().now());
    let builder = RedisStore::builder(url, envelope()).unwrap().near_ttl(near_ttl).stale_max(STALE_MAX);
    let node = Arc::new(builder.clock(Arc::new(clock.clone())).build().unwrap());
    node.ready().await.unwrap();
    (node, clock)
}

/// A node's store with its near-cache, connected and listening.
pub async fn store(url: &str) -> Arc<RedisStore> {
    let store = Arc::new(RedisStore::builder(url, envelope()).unwrap().build().unwrap());
    store.ready().await.unwrap();
    store
}

/// Has a node know the session, and serve it unasked.
pub async fn known(node: &RedisStore, key: &SessionKey) {
    node.load(key).await.unwrap().unwrap();
    assert!(node.peek(key).is_some());
}

/// How long it takes until a node serves a session no more.
pub async fn until_unserved(node: &RedisStore, key: &SessionKey) -> Duration {
    let began = Instant::now();
    while node.peek(key).is_some() {
        assert!(began.elapsed() < Duration::from_secs(10), "still served");
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    began.elapsed()
}

/// Fails unless nearly all took less than the bound: the machine that runs the tests may stand still once.
pub fn assert_holds_soon(mut took: Vec<Duration>) {
    took.sort_unstable();
    assert!(took[took.len() * 9 / 10 - 1] < HOLDS_WITHIN, "{took:?}");
    assert!(took[took.len() - 1] < 10 * HOLDS_WITHIN, "{took:?}");
}

/// Nobody may listen any more, and whoever does is cut off.
async fn forbid_channels(server: &RedisServer) {
    server.cli(&["ACL", "SETUSER", "default", "resetchannels"]).await;
}

async fn allow_channels(server: &RedisServer) {
    server.cli(&["ACL", "SETUSER", "default", "allchannels"]).await;
}

/// Waits until so many nodes listen.
async fn listening(server: &RedisServer, nodes: usize) {
    ask_until("the nodes to listen", async || {
        let subscribers = server.cli(&["PUBSUB", "NUMSUB", "ap:invalidations"]).await;
        (subscribers.trim().lines().last() == Some(&nodes.to_string())).then_some(())
    })
    .await;
}

/// The commands that were called for requests: without those by which listeners learn every few seconds whether they
/// still hear.
pub async fn requested(server: &RedisServer) -> Vec<(String, u64)> {
    let mut calls = server.calls().await;
    calls.retain(|(name, _)| !["time", "role", "client|setname"].contains(&name.as_str()));
    calls
}

#[tokio::test]
async fn a_hit_is_no_command() {
    let server = RedisServer::start().await;
    let node = store(&server.url()).await;
    let key = open(&node).await;
    assert!(node.peek(&key).is_some(), "known from the login on");
    let other = store(&server.url()).await;
    known(&other, &key).await;
    server.reset_calls().await;
    for _ in 0..10_000 {
        assert!(node.peek(&key).is_some() && other.peek(&key).is_some());
    }
    assert_eq!(requested(&server).await, []);
}

#[tokio::test]
async fn a_logout_on_one_node_holds_on_all_within_100_ms() {
    let server = RedisServer::start().await;
    let (here, there, third) = (store(&server.url()).await, store(&server.url()).await, store(&server.url()).await);
    let mut took = Vec::new();
    for _ in 0..50 {
        let key = open(&here).await;
        known(&there, &key).await;
        known(&third, &key).await;
        here.remove(&key).await.unwrap().unwrap();
        assert!(here.peek(&key).is_none() && here.last_known(&key).is_none(), "where it happened: at once");
        took.push(until_unserved(&there, &key).await.max(until_unserved(&third, &key).await));
        assert!(there.load(&key).await.unwrap().is_none());
        assert!(there.last_known(&key).is_none());
    }
    assert_holds_soon(took);
}

#[tokio::test]
async fn a_refresh_and_a_death_on_one_node_are_seen_on_all() {
    let server = RedisServer::start().await;
    let (here, there) = (store(&server.url()).await, store(&server.url()).await);
    let key = open(&here).await;
    known(&there, &key).await;
    refresh(&here, &key).await;
    assert_eq!(here.peek(&key).unwrap().version, Version(2), "where it happened: no command is needed");
    until_unserved(&there, &key).await;
    assert_eq!(there.last_known(&key).unwrap().version, Version::FIRST, "good enough if Redis were away");
    assert_eq!(there.load(&key).await.unwrap().unwrap().version, Version(2));
    assert_eq!(there.peek(&key).unwrap().version, Version(2));

    let lease = granted(&here, &key, Version(2)).await;
    let dead = here.abort(&lease, Abort::Dead(DeathReason::Rejected)).await.unwrap();
    assert!(matches!(dead, Aborted::Done));
    assert!(here.peek(&key).is_none());
    until_unserved(&there, &key).await;
    assert!(there.last_known(&key).is_none(), "it is over, also if Redis were away");
}

/// Scenario 44, with the channel down.
#[tokio::test]
async fn with_the_channel_down_a_logout_elsewhere_holds_within_near_ttl() {
    let server = RedisServer::start().await;
    let here = store(&server.url()).await;
    let (there, clock) = node(&server.url(), NEAR_TTL).await;
    let key = open(&here).await;
    known(&there, &key).await;
    forbid_channels(&server).await;
    until_unserved(&there, &key).await; // the loss was noticed: everything is to be confirmed
    known(&there, &key).await;

    here.remove(&key).await.unwrap().unwrap();
    clock.advance(NEAR_TTL.saturating_sub(Duration::from_millis(1)));
    assert!(there.peek(&key).is_some(), "nothing was heard, and near_ttl is not over");
    clock.advance(Duration::from_millis(1));
    assert!(there.peek(&key).is_none());
    assert!(there.load(&key).await.unwrap().is_none());
    assert!(there.last_known(&key).is_none());

    let key = open(&here).await;
    known(&there, &key).await;
    allow_channels(&server).await;
    listening(&server, 2).await;
    until_unserved(&there, &key).await; // something may have gone unheard
    known(&there, &key).await;
    here.remove(&key).await.unwrap().unwrap();
    until_unserved(&there, &key).await;
}

#[tokio::test]
async fn a_listener_that_is_cut_off_listens_again_and_everything_is_confirmed_once() {
    let server = RedisServer::start().await;
    let (here, there) = (store(&server.url()).await, store(&server.url()).await);
    let key = open(&here).await;
    known(&there, &key).await;
    listening(&server, 2).await;
    server.cli(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
    until_unserved(&there, &key).await;
    listening(&server, 2).await;
    ask_until("the session to be served unasked again", async || {
        there.load(&key).await.unwrap().unwrap();
        there.peek(&key)
    })
    .await;
    here.remove(&key).await.unwrap().unwrap();
    until_unserved(&there, &key).await;
}

#[tokio::test]
async fn with_a_near_ttl_of_zero_every_load_is_one_command() {
    let server = RedisServer::start().await;
    let here = store(&server.url()).await;
    let (there, _) = node(&server.url(), Duration::ZERO).await;
    let key = open(&here).await;
    server.reset_calls().await;
    for _ in 0..100 {
        assert!(there.peek(&key).is_none() && there.last_known(&key).is_none());
        there.load(&key).await.unwrap().unwrap();
    }
    let calls = server.calls().await;
    assert_eq!(calls.iter().find(|(name, _)| name == "getrange"), Some(&("getrange".to_owned(), 100)));
    here.remove(&key).await.unwrap().unwrap();
    assert!(there.load(&key).await.unwrap().is_none(), "at once");
}

#[tokio::test]
async fn a_server_that_says_nonsense_on_the_channel_changes_nothing() {
    let server = RedisServer::start().await;
    let (here, there) = (store(&server.url()).await, store(&server.url()).await);
    let key = open(&here).await;
    let marker = open(&here).await;
    known(&there, &key).await;
    known(&there, &marker).await;
    for nonsense in ["", "x", "twenty-four bytes, not 25", &"long".repeat(10_000)] {
        server.cli(&["PUBLISH", "ap:invalidations", nonsense]).await;
    }
    here.remove(&marker).await.unwrap().unwrap();
    until_unserved(&there, &marker).await; // all that was said before was heard
    assert!(there.peek(&key).is_some());
}

#[tokio::test]
async fn while_redis_is_away_the_last_known_session_is_there_up_to_stale_max() {
    let mut server = RedisServer::options().appendonly().start().await;
    let here = store(&server.url()).await;
    let (there, clock) = node(&server.url(), NEAR_TTL).await;
    let key = open(&here).await;
    known(&there, &key).await;
    server.kill();
    ask_until("the loss to be known", async || there.load(&key).await.err()).await;
    assert!(there.peek(&key).is_none(), "the channel is lost: Redis is to be asked");
    assert!(there.last_known(&key).is_some());
    clock.advance(STALE_MAX);
    assert!(there.last_known(&key).is_some());
    clock.advance(Duration::from_millis(1));
    assert!(there.last_known(&key).is_none());

    server.restart().await;
    let began = Instant::now();
    ask_until("the session to be served unasked again", async || {
        let _ = there.load(&key).await;
        there.peek(&key)
    })
    .await;
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
}

/// No herd: everybody is confirmed once, however many ask for it.
#[tokio::test]
async fn after_an_interruption_a_thousand_sessions_are_confirmed_by_a_thousand_commands() {
    let server = RedisServer::start().await;
    let node = store(&server.url()).await;
    let mut keys = Vec::new();
    for _ in 0..1_000 {
        keys.push(open(&node).await);
    }
    server.cli(&["CLIENT", "KILL", "TYPE", "pubsub"]).await;
    until_unserved(&node, &keys[0]).await;
    listening(&server, 1).await;
    ask_until("the listener to know that it listens", async || {
        node.load(&keys[0]).await.unwrap().unwrap();
        node.peek(&keys[0])
    })
    .await;
    server.reset_calls().await;
    let connections = server.info("stats", "total_connections_received").await;
    let callers = keys.iter().flat_map(|key| std::iter::repeat_n(key, 10)).map(|key| async {
        if node.peek(key).is_none() {
            node.load(key).await.unwrap().unwrap();
        }
    });
    futures_util::future::join_all(callers).await;
    assert!(keys.iter().all(|key| node.peek(key).is_some()));
    let calls = server.calls().await;
    let loads = calls.iter().find(|(name, _)| name == "getrange").map_or(0, |(_, calls)| *calls);
    assert!((990..1_000).contains(&loads), "{calls:?}");
    let so_far = |connections: Option<String>| connections.unwrap().parse::<u64>().unwrap();
    let after = so_far(server.info("stats", "total_connections_received").await);
    assert!(after - so_far(connections) <= 3, "redis-cli's own, and no others");
}
