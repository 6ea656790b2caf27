//! The contract suite for stores, run against one server, a Cluster, and a primary under Sentinels. Scenario 54.

use std::sync::Arc;

use authproxy_core::clock::SystemClock;
use authproxy_testing::{
    redis::{RedisCluster, RedisSentinel, RedisServer},
    store_contract::{StoreUnderTest, check_store},
};

use super::store;

async fn keeps_the_contract(url: &str) {
    let report =
        check_store(async || StoreUnderTest::in_real_time(store(url).await, Arc::new(SystemClock::new()))).await;
    assert!(report.held.len() > 45, "{report:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_redis_store_keeps_the_contract() {
    keeps_the_contract(&RedisServer::start().await.url()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_redis_store_keeps_the_contract_in_a_cluster() {
    let cluster = RedisCluster::start(3, 0).await;
    cluster.be_patient().await;
    keeps_the_contract(&cluster.url()).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_redis_store_keeps_the_contract_through_sentinels() {
    let watched = RedisSentinel::start().await;
    watched.be_patient().await;
    keeps_the_contract(&watched.url()).await;
}
