//! The contract suite for stores, run against one server, a Cluster, and a primary under Sentinels. Scenario 54.

use std::sync::Arc;

use authproxy_core::{clock::SystemClock, store::RedisStore};
use authproxy_testing::{
    redis::{RedisCluster, RedisSentinel, RedisServer},
    store_contract::{StoreUnderTest, check_store},
};

use super::store;

async fn keeps_the_contract(made: impl AsyncFn() -> Arc<RedisStore>) {
    let report = check_store(async || StoreUnderTest::in_real_time(made().await, Arc::new(SystemClock::new()))).await;
    assert!(report.held.len() > 45, "{report:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_redis_store_keeps_the_contract() {
    let server = RedisServer::start().await;
    keeps_the_contract(async || store(&server.url()).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_redis_store_keeps_the_contract_with_its_near_cache() {
    let server = RedisServer::start().await;
    keeps_the_contract(async || super::near::store(&server.url()).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_redis_store_keeps_the_contract_in_a_cluster() {
    let cluster = RedisCluster::start(3, 0).await;
    cluster.be_patient().await;
    keeps_the_contract(async || store(&cluster.url()).await).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_redis_store_keeps_the_contract_through_sentinels() {
    let watched = RedisSentinel::start().await;
    watched.be_patient().await;
    keeps_the_contract(async || store(&watched.url()).await).await;
}
