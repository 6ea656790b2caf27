//! What a node writes again when Redis has lost it, and what it does not. A server that is restarted empty has lost all.

use std::{sync::Arc, time::Duration};

use authproxy_core::{
    SessionId, SessionKey, SessionStore,
    clock::{Clock, ManualClock, SystemClock},
    session::Version,
    store::{Begun, Committed, Exchanged, HandedOut, RedisStore},
};
use authproxy_testing::redis::{RedisServer, ask_until};

use super::{
    USER, begin_on, envelope, found_again, granted, new_session, open, refresh, store, successor, unconnected,
};

/// A node that can log in on a server only once it is let in: it meets a restarted one later than the others.
async fn latecomer(server: &RedisServer) -> Arc<RedisStore> {
    let_in(server).await;
    store(&latecomers_url(server)).await
}

fn latecomers_url(server: &RedisServer) -> String {
    format!("redis://late:word@{}", server.address())
}

async fn let_in(server: &RedisServer) {
    server.cli(&["ACL", "SETUSER", "late", "on", ">word", "+@all", "~ap:*", "&ap:*"]).await;
}

/// A node on a clock that stands still until it is told to move.
async fn node_on_a_clock(url: &str) -> (RedisStore, ManualClock) {
    let clock = ManualClock::new(SystemClock::new().now());
    let builder = RedisStore::builder(url, envelope()).unwrap().near_ttl(Duration::ZERO);
    let node = builder.clock(Arc::new(clock.clone())).build().unwrap();
    node.ready().await.unwrap();
    (node, clock)
}

/// Waits until a node has written its marker again. What it asks itself then is answered behind all the rest.
async fn written_again(witness: &RedisStore, marker: &SessionKey) {
    found_again(witness, marker).await;
}

#[tokio::test]
async fn a_session_is_written_again_with_its_index_and_its_handed_out_token() {
    let mut server = RedisServer::start().await;
    let node = store(&server.url()).await;
    let (key, new) = (SessionId::random().key(), new_session(true));
    let handed_out = new.refresh_token.clone().unwrap();
    node.create(&key, new).await.unwrap();
    let second = refresh(&node, &key).await;
    server.restart().await;
    let witness = unconnected(&server.url());
    ask_until("everything to be written again", async || {
        let session = witness.load(&key).await.ok()??;
        let sessions = witness.sessions_of(USER).await.ok()?;
        let found = witness.find_handed_out(&handed_out).await.ok()??;
        let whole = session.version == second.version && sessions == [key.name()];
        let expected = HandedOut { key, version: Version::FIRST, exchanged: false };
        (whole && found == expected).then_some(())
    })
    .await;
    refresh(&witness, &key).await;
}

/// What was exchanged stays so, and what it was exchanged for is good.
#[tokio::test]
async fn a_session_is_written_again_with_what_was_exchanged() {
    let mut server = RedisServer::start().await;
    let node = store(&server.url()).await;
    let (key, new) = (SessionId::random().key(), new_session(true));
    let first = new.refresh_token.clone().unwrap();
    node.create(&key, new).await.unwrap();
    refresh(&node, &key).await;
    let exchanged = node.exchange(&first).await.unwrap();
    let Exchanged::Current { refresh_token: second, .. } = exchanged else { panic!("{exchanged:?}") };
    server.restart().await;
    let witness = unconnected(&server.url());
    found_again(&witness, &key).await;
    ask_until("the tokens to be found again", async || {
        let found = [witness.find_handed_out(&first).await, witness.find_handed_out(&second).await];
        found.iter().all(|found| matches!(found, Ok(Some(_)))).then_some(())
    })
    .await;
    let again = witness.exchange(&first).await.unwrap();
    assert!(matches!(again, Exchanged::Already), "{again:?}");
    refresh(&witness, &key).await;
    let next = witness.exchange(&second).await.unwrap();
    assert!(matches!(next, Exchanged::Current { .. }), "{next:?}");
}

/// A logout that comes between the loss and the writing: the session's own node comes too late to bring it back.
#[tokio::test]
async fn a_session_that_was_lost_and_logged_out_is_not_written_again() {
    let mut server = RedisServer::start().await;
    let (elsewhere, late) = (store(&server.url()).await, latecomer(&server).await);
    let (closed, marker) = (open(&late).await, open(&late).await);
    elsewhere.load(&closed).await.unwrap().unwrap();
    server.restart().await;
    ask_until("the logout to be taken", async || elsewhere.remove(&closed).await.ok()).await;
    assert!(elsewhere.load(&marker).await.unwrap().is_none(), "its node is not there yet");
    let_in(&server).await;
    written_again(&elsewhere, &marker).await;
    assert!(late.load(&closed).await.unwrap().is_none());
}

/// A logout whose answer was lost, and which the session's own node did not hear of: the node that was asked for it writes
/// the mark again, for it may have been done.
#[tokio::test]
async fn a_logout_that_was_not_answered_is_written_again() {
    let mut server = RedisServer::start().await;
    let (elsewhere, late) = (store(&server.url()).await, latecomer(&server).await);
    let (closed, markers) = (open(&late).await, [open(&elsewhere).await, open(&late).await]);
    elsewhere.remove(&open(&elsewhere).await).await.unwrap(); // the script is known from now on
    server.cli(&["ACL", "SETUSER", "late", "resetchannels"]).await;
    server.pause();
    assert!(elsewhere.remove(&closed).await.is_err());
    server.resume();
    ask_until("the logout to be done", async || {
        elsewhere.load(&closed).await.is_ok_and(|found| found.is_none()).then_some(())
    })
    .await;
    assert!(elsewhere.remove(&closed).await.unwrap().is_none(), "done by the first try");
    server.restart().await;
    written_again(&elsewhere, &markers[0]).await;
    let_in(&server).await;
    written_again(&elsewhere, &markers[1]).await;
    assert!(late.load(&closed).await.unwrap().is_none());
}

/// Nodes with a near-cache and without: both hear of what others do.
async fn hearing(server: &RedisServer, near: bool) -> Arc<RedisStore> {
    if near { super::near::store(&server.url()).await } else { store(&server.url()).await }
}

/// Waits until a node has heard of a change, or is about to before it hears of anything else: a server that is killed as
/// soon as it has answered may not have told its listeners yet.
async fn has_heard(server: &RedisServer, node: &RedisStore, key: &SessionKey) {
    super::near::until_unserved(node, key).await;
    server.cli(&["PING"]).await; // what the server had to tell its listeners has left it
}

/// The node that wrote a session has heard of its end: it is no longer to be written again, mark or not.
#[tokio::test]
async fn a_session_whose_end_was_heard_of_is_not_written_again() {
    for near in [true, false] {
        let mut server = RedisServer::start().await;
        let (node, elsewhere) = (hearing(&server, near).await, store(&server.url()).await);
        let (closed, marker) = (open(&node).await, open(&node).await);
        assert!(elsewhere.remove(&closed).await.unwrap().is_some());
        has_heard(&server, &node, &closed).await;
        drop(elsewhere); // it would write the mark again
        server.restart().await;
        let witness = unconnected(&server.url());
        written_again(&witness, &marker).await;
        assert!(node.load(&closed).await.unwrap().is_none(), "near-cache: {near}");
    }
}

/// Another node has gone on from it, and spent its refresh token: what is known here must not be presented.
#[tokio::test]
async fn a_session_that_another_node_has_refreshed_is_not_written_again() {
    for near in [true, false] {
        let mut server = RedisServer::start().await;
        let (node, elsewhere) = (hearing(&server, near).await, store(&server.url()).await);
        let (refreshed, marker) = (open(&node).await, open(&node).await);
        refresh(&elsewhere, &refreshed).await;
        has_heard(&server, &node, &refreshed).await;
        drop(elsewhere);
        server.restart().await;
        written_again(&unconnected(&server.url()), &marker).await;
        assert!(node.load(&refreshed).await.unwrap().is_none(), "near-cache: {near}");
    }
}

/// Whoever had the permission to present its token may have used it, and the permission is lost with the rest.
#[tokio::test]
async fn a_session_whose_token_was_due_is_written_again_in_doubt() {
    let mut server = RedisServer::start().await;
    let (node, clock) = node_on_a_clock(&server.url()).await;
    let (due, presented) = (open(&node).await, open(&node).await);
    let current = node.load(&presented).await.unwrap().unwrap();
    let lease = granted(&node, &presented, Version::FIRST).await;
    clock.advance(Duration::from_secs(110));
    server.restart().await;
    let witness = unconnected(&server.url());
    for key in [&due, &presented] {
        found_again(&witness, key).await;
        let begun = witness.begin(key, begin_on(Version::FIRST)).await.unwrap();
        assert!(matches!(begun, Begun::InDoubt { .. }), "{begun:?}");
    }
    // The tokens that its presentation has brought end the doubt.
    let commit = successor(&current);
    assert!(matches!(node.commit(&lease, commit).await.unwrap(), Committed::Stored));
    refresh(&witness, &presented).await;
}

/// The same where the session is there again, as it was before its last refresh.
#[tokio::test]
async fn a_refresh_that_was_lost_is_written_again_in_doubt_where_its_token_was_due() {
    for (passed, is_due) in [(Duration::ZERO, false), (Duration::from_secs(110), true)] {
        let mut server = RedisServer::start().await;
        let_in(&server).await;
        let (node, clock) = node_on_a_clock(&latecomers_url(&server)).await;
        server.cli(&["ACL", "SETUSER", "default", "resetchannels"]).await;
        let elsewhere = store(&server.url()).await; // it hears of nothing, and writes again what it has begun
        let key = open(&elsewhere).await;
        refresh(&node, &key).await;
        clock.advance(passed);
        server.restart().await;
        let witness = unconnected(&server.url());
        assert_eq!(found_again(&witness, &key).await.version, Version::FIRST);
        let_in(&server).await;
        let second = Version::FIRST.next();
        ask_until("the refresh to be written again", async || {
            witness.load(&key).await.ok()?.filter(|session| session.version == second)
        })
        .await;
        let begun = witness.begin(&key, begin_on(second)).await.unwrap();
        assert_eq!(matches!(begun, Begun::InDoubt { .. }), is_due, "{begun:?}");
    }
}

#[tokio::test]
async fn what_is_written_again_is_kept_no_longer_than_it_was_to_be_and_what_is_old_not_at_all() {
    const PASSED: Duration = Duration::from_secs(100);
    let mut server = RedisServer::start().await;
    let (node, clock) = node_on_a_clock(&server.url()).await;
    let (old, young) = (open(&node).await, SessionId::random().key());
    clock.advance(PASSED);
    node.create(&young, new_session(false)).await.unwrap();
    let before = life(&server, &young).await;
    clock.advance(PASSED);
    server.restart().await;
    written_again(&unconnected(&server.url()), &young).await;
    let again = life(&server, &young).await;
    assert!(again + PASSED.mul_f64(0.95) < before, "{again:?} after {before:?}");
    assert!(node.load(&old).await.unwrap().is_none(), "it was written too long ago");
}

/// How long Redis keeps a record from now on.
async fn life(server: &RedisServer, key: &SessionKey) -> Duration {
    let name = key.name().iter().fold(String::new(), |name, byte| name + &format!("{byte:02x}"));
    let record = server.cli(&["KEYS", &format!("ap:{{*{name}")]).await;
    Duration::from_millis(server.cli(&["PTTL", &record]).await.parse().unwrap())
}
