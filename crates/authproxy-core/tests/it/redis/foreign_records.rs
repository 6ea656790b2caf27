//! What may lie where a record should: no session, counted, never a panic or an error.

use std::time::Duration;

use authproxy_core::{
    SessionKey, SessionStore,
    session::Version,
    store::{Abort, Aborted, AttemptId, Begin, Begun, Committed, Envelope, IfInDoubt, Lease, RedisStore},
};
use authproxy_testing::redis::{RedisServer, ask_until};

use super::{begin_on, open, store, successor};

/// The name of the only record there.
async fn record(server: &RedisServer) -> String {
    let names = server.cli(&["KEYS", "ap:{*"]).await;
    assert_eq!(names.lines().count(), 1, "{names}");
    names
}

async fn eval(server: &RedisServer, script: &str, keys: &[&str]) {
    let count = keys.len().to_string();
    let command: Vec<&str> = ["EVAL", script, &count].into_iter().chain(keys.iter().copied()).collect();
    let answer = server.cli(&command).await;
    assert!(!answer.contains("ERR"), "{answer}");
}

/// No verb finds a session, and each that looked counts what it found.
async fn is_no_session(store: &RedisStore, key: &SessionKey) {
    let counted = store.unreadable_records();
    assert!(store.load(key).await.unwrap().is_none());
    assert_eq!(store.unreadable_records(), counted + 1);
    let begun = store.begin(key, begin_on(Version::FIRST)).await.unwrap();
    assert!(matches!(begun, Begun::Missing), "{begun:?}");
    assert_eq!(store.unreadable_records(), counted + 2);
    let lease = Lease { key: *key, attempt: AttemptId::random(), base: Version::FIRST };
    let aborted = store.abort(&lease, Abort::Untouched).await.unwrap();
    assert!(matches!(aborted, Aborted::Fenced), "{aborted:?}");
}

#[tokio::test]
async fn whatever_lies_in_a_records_place_is_no_session_and_is_counted() {
    let server = RedisServer::start().await;
    let store = store(&server.url()).await;
    let cut = |at: usize| format!("redis.call('SET', KEYS[1], string.sub(redis.call('GET', KEYS[1]), 1, {at}))");
    let newer = "redis.call('SETRANGE', KEYS[1], 11, '\\9')";
    for spoil in [
        cut(1),
        cut(131),
        cut(140),
        cut(300),
        "redis.call('SETRANGE', KEYS[1], 2, '\\2')".to_owned(),
        "redis.call('SETRANGE', KEYS[1], 0, '{\"not\": \"ours\"}')".to_owned(),
        newer.to_owned(),
        "redis.call('SET', KEYS[1], string.rep('x', 10000000))".to_owned(),
        "redis.call('SET', KEYS[1], redis.call('GET', KEYS[1]) .. string.rep('x', 10000000))".to_owned(),
        "redis.call('DEL', KEYS[1]) redis.call('LPUSH', KEYS[1], 'a list')".to_owned(),
    ] {
        server.cli(&["FLUSHALL"]).await;
        let key = open(&store).await;
        let session = store.load(&key).await.unwrap().unwrap();
        eval(&server, &spoil, &[&record(&server).await]).await;
        is_no_session(&store, &key).await;
        let lease = Lease { key, attempt: AttemptId::random(), base: Version::FIRST };
        let committed = store.commit(&lease, successor(&session)).await.unwrap();
        // A header of ours that has a newer version stands for one, whether or not its parts can be opened here.
        let is_newer = spoil == newer;
        assert_eq!(matches!(committed, Committed::Superseded(_)), is_newer, "{spoil}: {committed:?}");
        assert_eq!(matches!(committed, Committed::Gone), !is_newer, "{spoil}: {committed:?}");
        store.remove(&key).await.unwrap();
        assert!(store.load(&key).await.unwrap().is_none());
    }
}

#[tokio::test]
async fn a_record_under_another_sessions_key_is_no_session() {
    let server = RedisServer::start().await;
    let store = store(&server.url()).await;
    let key = open(&store).await;
    let name = record(&server).await;
    server.cli(&["RENAME", &name, "ap:kept"]).await;
    let other = open(&store).await;
    server.cli(&["COPY", "ap:kept", &record(&server).await, "REPLACE"]).await;
    is_no_session(&store, &other).await;
    server.cli(&["RENAME", "ap:kept", &name]).await;
    assert!(store.load(&key).await.unwrap().is_some(), "in its own place it is one again");
}

#[tokio::test]
async fn a_node_without_the_secret_finds_no_session_and_holds_up_nobody_who_has_it() {
    let server = RedisServer::start().await;
    let knows = store(&server.url()).await;
    let key = open(&knows).await;
    let session = knows.load(&key).await.unwrap().unwrap();
    let envelope = Envelope::new(["another secret, and just as long as the first"]).unwrap();
    let stranger = RedisStore::builder(&server.url(), envelope).unwrap().build().unwrap();
    is_no_session(&stranger, &key).await;
    let begun = knows.begin(&key, begin_on(session.version)).await.unwrap();
    assert!(matches!(begun, Begun::Granted { .. }), "{begun:?}");
}

#[tokio::test]
async fn secrets_are_rotated_without_ending_a_session() {
    const NEXT: &str = "the next secret, and just as long as the first";
    let server = RedisServer::start().await;
    let before = store(&server.url()).await;
    let key = open(&before).await;
    let rotated = Envelope::new([NEXT, super::SECRET]).unwrap();
    let during = RedisStore::builder(&server.url(), rotated).unwrap().build().unwrap();
    super::refresh(&during, &key).await;
    let after = RedisStore::builder(&server.url(), Envelope::new([NEXT]).unwrap()).unwrap().build().unwrap();
    super::refresh(&after, &key).await;
    assert_eq!(after.unreadable_records(), 0);
}

/// A secret was added to some nodes before the others know it: what they cannot open has superseded theirs all the same,
/// and is of one lineage with it.
#[tokio::test]
async fn a_late_commit_of_a_node_that_cannot_open_the_newer_version_is_superseded_and_not_gone() {
    let server = RedisServer::start().await;
    let old = store(&server.url()).await;
    let secrets = Envelope::new(["a newer secret of the tests, longer than 32 characters", super::SECRET]).unwrap();
    let new = RedisStore::builder(&server.url(), secrets).unwrap().near_ttl(Duration::ZERO).build().unwrap();
    let key = open(&old).await;
    let current = old.load(&key).await.unwrap().unwrap();
    let short = Begin { lease: Duration::from_millis(1), ..begin_on(Version::FIRST) };
    let Begun::Granted { lease: late, .. } = old.begin(&key, short).await.unwrap() else { panic!("granted") };
    let again = Begin { doubt: IfInDoubt::Grant, ..begin_on(Version::FIRST) };
    let lease = ask_until("the first lease's end", async || match new.begin(&key, again).await.unwrap() {
        Begun::Granted { lease, .. } => Some(lease),
        _ => None,
    })
    .await;
    assert!(matches!(new.commit(&lease, successor(&current)).await.unwrap(), Committed::Stored));
    let late = old.commit(&late, successor(&current)).await.unwrap();
    assert!(matches!(late, Committed::Superseded(_)), "what is gone is revoked: {late:?}");
    assert_eq!(new.load(&key).await.unwrap().unwrap().version, Version(2));
}
