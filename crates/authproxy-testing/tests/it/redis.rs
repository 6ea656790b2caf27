//! The Redis servers that tests start for themselves.

use authproxy_testing::redis::{RedisCluster, RedisOptions, RedisSentinel, RedisServer};

#[tokio::test]
async fn a_server_is_empty_again_after_a_restart_and_keeps_its_port() {
    let mut server = RedisServer::start().await;
    let url = server.url();
    assert_eq!(server.cli(&["SET", "k", "v"]).await, "OK");
    server.kill();
    assert!(server.try_cli(&["GET", "k"]).await.is_none());
    server.restart().await;
    assert_eq!((server.cli(&["GET", "k"]).await.as_str(), server.url()), ("", url));
}

#[tokio::test]
async fn a_server_with_its_data_on_disk_has_it_after_a_restart() {
    let mut server = RedisServer::options().appendonly().start().await;
    server.cli(&["SET", "k", "v"]).await;
    server.kill();
    server.restart().await;
    assert_eq!(server.cli(&["GET", "k"]).await, "v");
}

#[tokio::test]
async fn a_paused_server_answers_when_it_is_resumed() {
    let server = RedisServer::start().await;
    server.pause();
    let (answer, ()) = tokio::join!(server.cli(&["PING"]), async { server.resume() });
    assert_eq!(answer, "PONG");
}

#[tokio::test]
async fn a_server_asks_for_what_it_was_told_to() {
    for options in [
        RedisOptions::default().password("a password"),
        RedisOptions::default().user("someone").password("a password"),
        RedisOptions::default().tls().password("a password"),
        RedisOptions::default().unix_socket(),
        RedisOptions::default().maxmemory("3mb").maxclients(20),
    ] {
        let server = options.start().await;
        assert_eq!(server.cli(&["PING"]).await, "PONG");
        assert!(!server.log().is_empty());
    }
}

#[tokio::test]
async fn a_clusters_killed_primary_is_replaced() {
    let mut cluster = RedisCluster::start(3, 1).await;
    let primary = cluster.owner_of("k").await;
    let replica = cluster.replica_of(primary).await;
    cluster.nodes[primary].kill();
    assert_eq!(cluster.owner_of("k").await, replica);
    cluster.nodes[primary].restart().await;
    cluster.is_settled().await;
    assert_eq!(cluster.fail_over(replica).await, primary);
}

#[tokio::test]
async fn a_clusters_slot_moves_with_its_keys() {
    let cluster = RedisCluster::start(3, 0).await;
    let from = cluster.owner_of("k").await;
    cluster.nodes[from].cli(&["SET", "k", "v"]).await;
    let slot = cluster.nodes[from].cli(&["CLUSTER", "KEYSLOT", "k"]).await.parse().unwrap();
    let to = (from + 1) % 3;
    cluster.migrate(slot, from, to, async {}).await;
    assert_eq!((cluster.owner_of("k").await, cluster.nodes[to].cli(&["GET", "k"]).await.as_str()), (to, "v"));
}

#[tokio::test]
async fn sentinels_replace_a_primary_that_is_killed_and_one_that_steps_down() {
    let mut watched = RedisSentinel::start().await;
    let first = watched.primary().await;
    watched.nodes[first].kill();
    let second = watched.primary_other_than(first).await;
    watched.nodes[first].restart().await;
    let third = watched.fail_over().await;
    assert_ne!(second, third);
}
