//! The users' index.

use authproxy_core::SessionStore;
use authproxy_testing::redis::{RedisCluster, RedisServer};

use super::{USER, open, refresh, store};

#[tokio::test]
async fn a_users_sessions_are_listed_from_login_to_logout() {
    let server = RedisServer::start().await;
    let (one, other) = (store(&server.url()).await, store(&server.url()).await);
    let (first, second) = (open(&one).await, open(&other).await);
    refresh(&one, &second).await;
    let mut listed = one.sessions_of(USER).await.unwrap();
    listed.sort_unstable();
    let mut expected = [first.name(), second.name()];
    expected.sort_unstable();
    assert_eq!(listed, expected);
    other.remove(&first).await.unwrap();
    assert_eq!(one.sessions_of(USER).await.unwrap(), [second.name()]);
    assert!(one.sessions_of("somebody else").await.unwrap().is_empty());
}

#[tokio::test]
async fn an_index_lives_as_long_as_its_longest_session() {
    let server = RedisServer::start().await;
    let store = store(&server.url()).await;
    open(&store).await;
    let index = server.cli(&["KEYS", "ap:u:*"]).await;
    let left: i64 = server.cli(&["PTTL", &index]).await.parse().unwrap();
    assert!((590_000..=900_000).contains(&left), "{left} ms");
}

#[tokio::test]
async fn an_index_works_in_a_cluster() {
    let cluster = RedisCluster::start(3, 0).await;
    let store = store(&cluster.url()).await;
    for _ in 0..20 {
        open(&store).await;
    }
    assert_eq!(store.sessions_of(USER).await.unwrap().len(), 20);
}
