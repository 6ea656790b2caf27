//! Redis killed, paused, full, loading, read-only: what callers are told, how soon, and how it ends.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use authproxy_core::{
    SessionId, SessionStore,
    session::{Standing, Version},
    store::{Abort, Aborted, AttemptId, Begun, Commit, Committed, ConnectProblem, CreateError, Exchanged, Lease},
};
use authproxy_testing::redis::{RedisServer, ask_until};
use tokio::{task::JoinSet, time::Instant};

use super::{begin_on, found_again, granted, new_session, open, refresh, store, successor, unconnected};

/// Within this time of its return Redis is used again.
const BACK_WITHIN: Duration = Duration::from_secs(2);

#[tokio::test]
async fn while_redis_is_down_callers_are_told_at_once_and_when_it_is_back_it_is_used_again() {
    let mut server = RedisServer::options().appendonly().start().await;
    let store = store(&server.url()).await;
    let key = open(&store).await;
    server.kill();
    ask_until("the loss to be known", async || store.load(&key).await.err()).await;
    let began = Instant::now();
    for _ in 0..1_000 {
        assert!(store.load(&key).await.is_err());
    }
    assert!(began.elapsed() < Duration::from_secs(2), "a thousand refusals took {:?}", began.elapsed());
    assert_eq!(*store.ready().await.unwrap_err().problem(), ConnectProblem::Refused);
    server.restart().await;
    let began = Instant::now();
    found_again(&store, &key).await;
    assert!(began.elapsed() < BACK_WITHIN, "{:?}", began.elapsed());
    refresh(&store, &key).await;
}

/// All nodes together make few connections while Redis is away, and none in step.
#[tokio::test]
async fn reconnecting_is_no_storm() {
    let mut server = RedisServer::start().await;
    let store = store(&server.url()).await;
    let key = open(&store).await;
    server.kill();
    let listener = tokio::net::TcpListener::bind(server.address()).await.unwrap();
    let counting = tokio::spawn(async move {
        let mut connections = 0;
        let deadline = Instant::now() + Duration::from_secs(2);
        while let Ok(Ok((connection, _))) = tokio::time::timeout_at(deadline, listener.accept()).await {
            connections += 1;
            drop(connection);
        }
        connections
    });
    let callers: Vec<_> = (0..100)
        .map(|_| {
            let store = store.clone();
            tokio::spawn(async move {
                for _ in 0..100 {
                    let _ = store.load(&key).await;
                    tokio::time::sleep(Duration::from_millis(10)).await;
                }
            })
        })
        .collect();
    let connections = counting.await.unwrap();
    assert!((1..=12).contains(&connections), "{connections} connections in two seconds");
    for caller in callers {
        caller.await.unwrap();
    }
}

#[tokio::test]
async fn a_server_that_comes_back_empty_has_no_sessions_and_learns_the_scripts() {
    let mut server = RedisServer::start().await;
    let (elsewhere, store) = (store(&server.url()).await, store(&server.url()).await);
    let key = open(&elsewhere).await;
    // A node that is there to the end writes again what it has written last.
    drop(elsewhere);
    let lease = granted(&store, &key, Version::FIRST).await;
    let commit = successor(&store.load(&key).await.unwrap().unwrap());
    server.restart().await;
    ask_until("Redis to be back", async || store.ready().await.ok()).await;
    assert!(store.load(&key).await.unwrap().is_none());
    assert!(matches!(store.commit(&lease, commit).await.unwrap(), Committed::Gone));
    refresh(&store, &open(&store).await).await;
    server.cli(&["SCRIPT", "FLUSH"]).await;
    refresh(&store, &open(&store).await).await;
}

#[tokio::test]
async fn a_paused_server_is_given_up_soon_and_used_again_when_it_goes_on() {
    let server = RedisServer::start().await;
    let store = store(&server.url()).await;
    let key = open(&store).await;
    server.pause();
    let began = Instant::now();
    assert!(store.load(&key).await.is_err());
    assert!(began.elapsed() < Duration::from_secs(2), "{:?}", began.elapsed());
    ask_until("the server to be given up", async || {
        let began = Instant::now();
        let refused = store.load(&key).await.is_err();
        (refused && began.elapsed() < Duration::from_millis(20)).then_some(())
    })
    .await;
    server.resume();
    let began = Instant::now();
    found_again(&store, &key).await;
    assert!(began.elapsed() < BACK_WITHIN, "{:?}", began.elapsed());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_socket_reset_costs_no_caller_an_error() {
    let server = RedisServer::start().await;
    let store = store(&server.url()).await;
    let key = open(&store).await;
    let stop = Arc::new(AtomicBool::new(false));
    let mut callers = JoinSet::new();
    for _ in 0..16 {
        let (store, stop, key) = (store.clone(), stop.clone(), open(&store).await);
        callers.spawn(async move {
            while !stop.load(Ordering::SeqCst) {
                refresh(&store, &key).await;
            }
        });
    }
    for _ in 0..20 {
        server.cli(&["CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes"]).await;
        for _ in 0..20 {
            refresh(&store, &key).await;
        }
    }
    stop.store(true, Ordering::SeqCst);
    callers.join_all().await;
}

/// Sessions go on being refreshed and closed; only new ones find no room.
#[tokio::test]
async fn a_full_server_refuses_logins_and_keeps_everybody() {
    let server = RedisServer::start().await;
    let store = store(&server.url()).await;
    let (key, closed, new) = (open(&store).await, open(&store).await, new_session(true));
    let handed_out = new.refresh_token.clone().unwrap();
    store.create(&SessionId::random().key(), new).await.unwrap();
    server.cli(&["CONFIG", "SET", "maxmemory", "1mb"]).await;
    let refused = store.create(&SessionId::random().key(), new_session(true)).await;
    assert!(matches!(refused, Err(CreateError::Full)), "{refused:?}");
    refresh(&store, &key).await;
    assert!(store.remove(&closed).await.unwrap().is_some());
    assert!(store.load(&closed).await.unwrap().is_none());
    let exchanged = store.exchange(&handed_out).await.unwrap();
    assert!(matches!(exchanged, Exchanged::Current { .. }), "{exchanged:?}");
    server.cli(&["CONFIG", "SET", "maxmemory", "0"]).await;
    open(&store).await;
}

/// Whoever comes back to a primary that has become a replica looks for the primary again.
#[tokio::test]
async fn a_server_that_turns_into_a_replica_is_left_until_it_is_a_primary_again() {
    let (server, other) = (RedisServer::start().await, RedisServer::start().await);
    let store = store(&server.url()).await;
    let key = open(&store).await;
    let port = other.port().to_string();
    server.cli(&["CONFIG", "SET", "replica-serve-stale-data", "yes"]).await;
    server.cli(&["REPLICAOF", "127.0.0.1", &port]).await;
    assert!(store.begin(&key, begin_on(Version::FIRST)).await.is_err());
    let told = ask_until("the reason", async || store.ready().await.err()).await;
    assert_eq!(*told.problem(), ConnectProblem::NotPrimary);
    server.cli(&["REPLICAOF", "NO", "ONE"]).await;
    ask_until("Redis to be back", async || store.ready().await.ok()).await;
    refresh(&store, &open(&store).await).await;
}

#[tokio::test]
async fn a_server_with_too_many_connections_is_tried_until_it_has_room() {
    let server = RedisServer::options().maxclients(3).start().await;
    let mut others = Vec::new();
    for _ in 0..3 {
        others.push(tokio::net::TcpStream::connect(server.address()).await.unwrap());
    }
    let store = unconnected(&server.url());
    let told = ask_until("a refusal", async || store.ready().await.err()).await;
    assert_eq!(*told.problem(), ConnectProblem::TooManyConnections);
    drop(others);
    ask_until("room", async || store.ready().await.ok()).await;
}

/// The answer to `begin` is lost and its abort overtakes it: what arrives late is granted nothing.
#[tokio::test]
async fn a_begin_that_its_abort_has_overtaken_is_granted_nothing() {
    let server = RedisServer::start().await;
    let store = store(&server.url()).await;
    let key = open(&store).await;
    let late = begin_on(Version::FIRST);
    let lease = Lease { key, attempt: late.attempt, base: Version::FIRST };
    assert!(matches!(store.abort(&lease, Abort::Untouched).await.unwrap(), Aborted::Fenced));
    let begun = store.begin(&key, late).await.unwrap();
    assert!(matches!(begun, Begun::Busy { .. }), "{begun:?}");
    granted(&store, &key, Version::FIRST).await;
    assert_eq!(store.load(&key).await.unwrap().unwrap().standing, Standing::Live);
}

/// A failover has lost a commit: the next token set of whoever won it puts the record right.
#[tokio::test]
async fn a_record_that_fell_behind_takes_the_commit_of_a_later_version() {
    let server = RedisServer::start().await;
    let store = store(&server.url()).await;
    let key = open(&store).await;
    let name = server.cli(&["KEYS", "ap:{*"]).await;
    server.cli(&["COPY", &name, "ap:before"]).await;
    let second = refresh(&store, &key).await;
    let lease = granted(&store, &key, second.version).await;
    server.cli(&["COPY", "ap:before", &name, "REPLACE"]).await;
    assert!(matches!(store.commit(&lease, successor(&second)).await.unwrap(), Committed::Stored));
    let healed = store.load(&key).await.unwrap().unwrap();
    assert_eq!(healed.version, Version(3));
    refresh(&store, &key).await;
}

/// The service has kept the token that was presented: the record that fell behind holds an older one, long spent.
#[tokio::test]
async fn a_record_that_fell_behind_takes_the_refresh_token_that_was_kept_too() {
    let server = RedisServer::start().await;
    let store = store(&server.url()).await;
    let key = open(&store).await;
    let name = server.cli(&["KEYS", "ap:{*"]).await;
    server.cli(&["COPY", &name, "ap:before"]).await;
    let second = refresh(&store, &key).await;
    let begun = store.begin(&key, begin_on(second.version)).await.unwrap();
    let Begun::Granted { lease, refresh_token, .. } = begun else { panic!("{begun:?}") };
    server.cli(&["COPY", "ap:before", &name, "REPLACE"]).await;
    let kept = Commit { refresh_token: refresh_token.clone(), ..successor(&second) };
    assert!(matches!(store.commit(&lease, kept).await.unwrap(), Committed::Stored));
    let begun = store.begin(&key, begin_on(Version(3))).await.unwrap();
    let Begun::Granted { refresh_token: next, .. } = begun else { panic!("{begun:?}") };
    assert_eq!(next.expose_secret(), refresh_token.expose_secret(), "a spent token would be presented");
}

/// What a user may do is settled by the server's access lists; whoever may not publish has slower peers, no failures.
#[tokio::test]
async fn a_user_that_may_not_publish_still_refreshes() {
    let server = RedisServer::start().await;
    server.cli(&["ACL", "SETUSER", "quiet", "on", ">word", "+@all", "-publish", "-spublish", "~ap:*"]).await;
    let store = store(&format!("redis://quiet:word@{}", server.address())).await;
    let key = open(&store).await;
    refresh(&store, &key).await;
    assert!(store.remove(&key).await.unwrap().is_some());
    let lease = Lease { key, attempt: AttemptId::random(), base: Version(2) };
    assert!(matches!(store.abort(&lease, Abort::Untouched).await.unwrap(), Aborted::Fenced));
}

/// A server that does not take writes refuses them; what it can read it still answers.
#[tokio::test]
async fn a_server_that_misses_its_replicas_refuses_writes_and_changes_nothing() {
    let server = RedisServer::start().await;
    let store = store(&server.url()).await;
    let key = open(&store).await;
    server.cli(&["CONFIG", "SET", "min-replicas-to-write", "1"]).await;
    assert!(store.begin(&key, begin_on(Version::FIRST)).await.is_err());
    let refused = store.create(&SessionId::random().key(), new_session(false)).await;
    assert!(matches!(refused, Err(CreateError::Unavailable(_))), "{refused:?}");
    assert_eq!(store.load(&key).await.unwrap().unwrap().standing, Standing::Live);
    server.cli(&["CONFIG", "SET", "min-replicas-to-write", "0"]).await;
    refresh(&store, &key).await;
}

#[tokio::test]
async fn a_server_that_is_loading_its_data_is_waited_for() {
    let slowly = RedisServer::options().setting("key-load-delay", "3000");
    let mut server = slowly.setting("loading-process-events-interval-bytes", "1024").start().await;
    let store = store(&server.url()).await;
    let key = open(&store).await;
    for _ in 0..200 {
        open(&store).await;
    }
    server.cli(&["SAVE"]).await;
    let watching = async {
        let told = async || match store.ready().await {
            Err(error) if *error.problem() == ConnectProblem::Loading => Some(()),
            _ => None,
        };
        ask_until("the server to say that it is loading", told).await;
        assert!(store.load(&key).await.is_err());
    };
    tokio::join!(server.restart(), watching);
    found_again(&store, &key).await;
    refresh(&store, &key).await;
}
