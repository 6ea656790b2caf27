//! What the verbs cost: commands by `INFO commandstats`, and bytes.

use std::time::Duration;

use authproxy_core::{
    RefreshToken, SessionId, SessionStore,
    clock::{Clock, SystemClock},
    session::Session,
    store::NewSession,
    token::AccessToken,
};
use authproxy_testing::redis::RedisServer;
use tokio::time::Instant;

use super::{granted, new_session, open, refresh, slow::SlowPath, store, successor, zones};

/// Commands as nodes have sent them: without those that scripts call.
async fn sent(server: &RedisServer) -> u64 {
    let calls = server.calls().await;
    let called = |names: &[&str]| {
        calls.iter().filter(|(name, _)| names.contains(&name.as_str())).map(|(_, calls)| calls).sum::<u64>()
    };
    called(&["evalsha", "eval"])
}

#[tokio::test]
async fn a_load_is_one_command() {
    let server = RedisServer::start().await;
    let store = store(&server.url()).await;
    let key = open(&store).await;
    server.reset_calls().await;
    for _ in 0..100 {
        store.load(&key).await.unwrap().unwrap();
    }
    assert_eq!(super::near::requested(&server).await, [("getrange".to_owned(), 100)]);
}

#[tokio::test]
async fn a_login_and_a_refresh_are_a_few_scripts() {
    let server = RedisServer::start().await;
    let store = store(&server.url()).await;
    let seen = store.load(&open(&store).await).await.unwrap().unwrap(); // the scripts are known from now on
    let warmed = open(&store).await;
    let lease = granted(&store, &warmed, seen.version).await;
    store.commit(&lease, successor(&seen)).await.unwrap();

    server.reset_calls().await;
    let key = open(&store).await;
    assert_eq!(sent(&server).await, 2, "create, and the user's index: {:?}", server.calls().await);
    server.reset_calls().await;
    let lease = granted(&store, &key, seen.version).await;
    store.commit(&lease, successor(&seen)).await.unwrap();
    assert_eq!(sent(&server).await, 3, "begin, commit, and the user's index: {:?}", server.calls().await);
}

/// Every answer takes a fixed time longer: what takes less than so many of them is no more round trips.
#[tokio::test]
async fn a_login_is_two_round_trips_and_a_refresh_three() {
    const ROUND_TRIP: Duration = Duration::from_millis(150);
    let server = RedisServer::start().await;
    let slow = SlowPath::start(&server.address(), ROUND_TRIP).await;
    let store = store(&slow.url()).await;
    let warmed = SessionId::random().key();
    store.create(&warmed, new_session(true)).await.unwrap(); // the scripts are known from now on
    refresh(&store, &warmed).await;

    let (mut logins, mut refreshes) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        let key = SessionId::random().key();
        let began = Instant::now();
        store.create(&key, new_session(true)).await.unwrap();
        logins.push(began.elapsed());

        let current = store.load(&key).await.unwrap().unwrap();
        let began = Instant::now();
        let lease = granted(&store, &key, current.version).await;
        store.commit(&lease, successor(&current)).await.unwrap();
        refreshes.push(began.elapsed());
    }
    // A machine that stands still makes one of them slower, never faster.
    assert!(*logins.iter().min().unwrap() < 3 * ROUND_TRIP, "logins took {logins:?}");
    assert!(*refreshes.iter().min().unwrap() < 4 * ROUND_TRIP, "refreshes took {refreshes:?}");
}

/// Reported by `cargo nextest run -p authproxy-core bytes --no-capture`.
#[tokio::test]
async fn the_bytes_of_a_session_are_few() {
    let server = RedisServer::start().await;
    let store = store(&server.url()).await;
    let used = async || server.info("memory", "used_memory").await.unwrap().parse::<u64>().unwrap();
    open(&store).await;
    let before = used().await;
    for _ in 0..1_000 {
        open(&store).await;
    }
    let each = (used().await - before) / 1_000;
    println!("{each} bytes a session in Redis, with tokens of 45 bytes, its user's index included");
    assert!(each < 1_000, "{each} bytes");
}

/// As an auth service with JWTs has them: a record alone, its index beside it.
#[tokio::test]
async fn the_bytes_of_a_session_with_tokens_of_800_bytes_are_few() {
    let server = RedisServer::start().await;
    let store = store(&server.url()).await;
    let (key, now) = (SessionId::random().key(), SystemClock::new().now());
    let access_token = AccessToken::new(&"a".repeat(800)).unwrap();
    let session = Session::new(super::USER.into(), &access_token, zones(), now, now.plus(Duration::from_secs(600)));
    let refresh_token = RefreshToken::new(&"r".repeat(800)).ok();
    store.create(&key, NewSession { session, refresh_token, handed_out: false }).await.unwrap();
    let mut bytes = Vec::new();
    for pattern in ["ap:{*", "ap:u:*"] {
        let name = server.cli(&["KEYS", pattern]).await;
        bytes.push(server.cli(&["MEMORY", "USAGE", &name]).await.parse::<u64>().unwrap());
    }
    println!("{} bytes a record in Redis with two tokens of 800 bytes, {} its user's index", bytes[0], bytes[1]);
    assert!(bytes[0] < 2_400, "{bytes:?}");
}
