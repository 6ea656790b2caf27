//! The users' index.

use std::time::Duration;

use authproxy_core::{
    SessionStore,
    store::{Envelope, RedisStore},
};
use authproxy_testing::redis::{RedisCluster, RedisServer};

use super::{SECRET, USER, open, refresh, store};

const NEXT_SECRET: &str = "the next secret of the tests, as long as the first";

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
    assert!((590_000..=960_000).contains(&left), "{left} ms");
    // An end to the millisecond would be that of one record.
    let ends = server.cli(&["PEXPIRETIME", &index]).await;
    assert!(ends.parse::<u64>().unwrap().is_multiple_of(60_000), "{ends}");
    let ranked =
        server.cli(&["EVAL", "return redis.call('ZRANGE', KEYS[1], 0, 0, 'WITHSCORES')[2]", "1", &index]).await;
    assert_eq!(ranked, ends);
}

/// What a refresh seals with the new secret it also lists under the new one; what ends leaves both lists.
#[tokio::test]
async fn a_users_sessions_are_listed_while_secrets_are_rotated_and_each_once() {
    let server = RedisServer::start().await;
    let node = |secrets: &[&str]| {
        let builder = RedisStore::builder(&server.url(), Envelope::new(secrets).unwrap()).unwrap();
        builder.near_ttl(Duration::ZERO).build().unwrap()
    };
    let (before, during, after) = (node(&[SECRET]), node(&[NEXT_SECRET, SECRET]), node(&[NEXT_SECRET]));
    let (refreshed, left, closed) = (open(&before).await, open(&before).await, open(&before).await);
    for key in [&refreshed, &closed] {
        refresh(&during, key).await;
    }
    let mut expected = [refreshed.name(), left.name(), closed.name()];
    expected.sort_unstable();
    assert_eq!(during.sessions_of(USER).await.unwrap(), expected);
    during.remove(&closed).await.unwrap();
    assert_eq!(after.sessions_of(USER).await.unwrap(), [refreshed.name()], "as its record, that of the other is lost");
    let mut expected = [refreshed.name(), left.name()];
    expected.sort_unstable();
    assert_eq!(before.sessions_of(USER).await.unwrap(), expected);
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
