//! The near-cache's channel in a Cluster: every shard is heard, also after slots and primaries have moved.

use std::sync::Arc;

use authproxy_core::{SessionId, SessionKey, SessionStore, store::RedisStore};
use authproxy_testing::redis::{RedisCluster, RedisSentinel, ask_until};

use super::{
    near::{assert_holds_soon, store, until_unserved},
    new_session,
};

/// Opens a session here and has it known there, whatever is moving; asks again where Redis cannot be asked.
async fn shared(here: &RedisStore, there: &RedisStore) -> SessionKey {
    let key = ask_until("a login", async || {
        let key = SessionId::random().key();
        here.create(&key, new_session(false)).await.ok().map(|()| key)
    })
    .await;
    ask_until("the session to be known", async || {
        let _ = there.load(&key).await;
        there.peek(&key)
    })
    .await;
    key
}

/// A logout here, heard there.
async fn logged_out(here: &RedisStore, there: &RedisStore, key: &SessionKey) -> std::time::Duration {
    ask_until("the logout", async || here.remove(key).await.ok()).await;
    until_unserved(there, key).await
}

async fn pair(url: &str) -> (Arc<RedisStore>, Arc<RedisStore>) {
    (store(url).await, store(url).await)
}

#[tokio::test]
async fn in_a_cluster_a_logout_holds_on_all_nodes_within_100_ms_whichever_shard_has_it() {
    let cluster = RedisCluster::start(3, 0).await;
    let (here, there) = pair(&cluster.url()).await;
    let mut took = Vec::new();
    for _ in 0..60 {
        let key = shared(&here, &there).await;
        took.push(logged_out(&here, &there, &key).await);
    }
    assert_holds_soon(took);
}

#[tokio::test]
async fn after_a_failover_in_a_cluster_changes_are_heard_again() {
    let cluster = RedisCluster::start(3, 3).await;
    let (here, there) = pair(&cluster.url()).await;
    for primary in 0..3 {
        cluster.fail_over(primary).await;
    }
    here.ready().await.unwrap();
    there.ready().await.unwrap();
    let mut took = Vec::new();
    for _ in 0..30 {
        let key = shared(&here, &there).await;
        took.push(logged_out(&here, &there, &key).await);
    }
    // Whatever was still moving was bounded by near_ttl.
    took.sort_unstable();
    assert!(took[took.len() / 2] < std::time::Duration::from_millis(100), "{took:?}");
}

#[tokio::test]
async fn after_a_failover_by_sentinels_changes_are_heard_again() {
    let sentinels = RedisSentinel::start().await;
    let (here, there) = pair(&sentinels.url()).await;
    let key = shared(&here, &there).await;
    sentinels.fail_over().await;
    logged_out(&here, &there, &key).await;
    let mut took = Vec::new();
    for _ in 0..20 {
        let key = shared(&here, &there).await;
        took.push(logged_out(&here, &there, &key).await);
    }
    took.sort_unstable();
    assert!(took[took.len() / 2] < std::time::Duration::from_millis(100), "{took:?}");
}
