//! `Durability::Replica`: what it waits for and what it refuses. What either setting can lose is shown, too.

use std::{sync::Arc, time::Duration};

use authproxy_core::{
    Credentials, SessionKey, SessionStore, TokenError, TokenManager,
    clock::{Clock, ManualClock, SystemClock},
    error::Unavailability,
    session::{Standing, Version},
    store::{Abort, Aborted, Begun, Committed, Durability, Lease, RedisStore},
};
use authproxy_testing::{
    FakeBackend,
    redis::{RedisCluster, RedisSentinel, RedisServer, ask_until},
};

use super::{begin_on, envelope, found_again, granted, open, refresh, store, successor};

async fn replicated(url: &str) -> Arc<RedisStore> {
    let store = RedisStore::builder(url, envelope()).unwrap().durability(Durability::Replica).build().unwrap();
    store.ready().await.unwrap();
    Arc::new(store)
}

#[tokio::test]
async fn with_a_replica_intents_and_commits_are_confirmed() {
    let watched = RedisSentinel::start().await;
    let store = replicated(&watched.url()).await;
    let key = open(&store).await;
    for _ in 0..20 {
        refresh_confirmed(&store, &key).await;
    }
    let cluster = RedisCluster::start(3, 1).await;
    let store = replicated(&cluster.url()).await;
    for _ in 0..10 {
        refresh_confirmed(&store, &open(&store).await).await;
    }
}

/// One refresh.
async fn refresh_confirmed(store: &RedisStore, key: &SessionKey) {
    let current = store.load(key).await.unwrap().unwrap();
    let lease = granted_and_confirmed(store, key, current.version).await;
    assert!(matches!(store.commit(&lease, successor(&current)).await.unwrap(), Committed::Stored));
}

/// On a busy machine a replica confirms too late now and then; that costs a try, under the same name.
async fn granted_and_confirmed(store: &RedisStore, key: &SessionKey, seen: Version) -> Lease {
    let begin = begin_on(seen);
    match ask_until("a replica to confirm the intent", async || store.begin(key, begin).await.ok()).await {
        Begun::Granted { lease, .. } => lease,
        other => panic!("granted, but: {other:?}"),
    }
}

/// Nothing is presented, nothing is left in doubt, and everything else goes on.
#[tokio::test]
async fn without_a_replica_no_refresh_begins_and_the_session_stays_as_it_is() {
    let server = RedisServer::start().await;
    let store = replicated(&server.url()).await;
    let key = open(&store).await;
    let begin = begin_on(Version::FIRST);
    assert!(store.begin(&key, begin).await.is_err());
    // It is for the one who asks to ask again or to give back. A store that gave it back by itself might be late, and
    // free what was granted to the same name meanwhile.
    let careless = super::store(&server.url()).await;
    assert!(matches!(careless.begin(&key, begin_on(Version::FIRST)).await.unwrap(), Begun::Busy { .. }));
    let Begun::Granted { lease, .. } = careless.begin(&key, begin).await.unwrap() else { panic!("granted again") };
    assert!(matches!(store.abort(&lease, Abort::Untouched).await.unwrap(), Aborted::Done));
    let session = store.load(&key).await.unwrap().unwrap();
    assert_eq!((session.version, session.standing), (Version::FIRST, Standing::Live));
    granted(&careless, &key, Version::FIRST).await;
    assert!(store.remove(&key).await.unwrap().is_some());
}

/// As long as no replica is there nobody presents anything; when one is, the next caller has a token.
#[tokio::test]
async fn a_replica_that_is_missing_for_a_moment_costs_a_moment() {
    let (server, replica) = (RedisServer::start().await, RedisServer::start().await);
    let manual = ManualClock::new(SystemClock::new().now());
    let clock: Arc<dyn Clock> = Arc::new(manual.clone());
    let backend = FakeBackend::new(clock.clone());
    let store = RedisStore::builder(&server.url(), envelope()).unwrap().durability(Durability::Replica);
    let store = Arc::new(store.clock(clock.clone()).build().unwrap());
    let manager = TokenManager::builder(Arc::new(backend.clone()), store).clock(clock).build();
    let key = manager.open(Credentials::password("user@example.com", "password123")).await.unwrap().id.key();
    manual.advance(Duration::from_secs(121));
    server.reset_calls().await;
    let asked = manager.access_token(&key).await;
    let told = matches!(asked, Err(TokenError::Unavailable { reason: Unavailability::Store, .. }));
    assert!(told, "by the store's own tries, not by the lease's end: {asked:?}");
    let scripts =
        server.calls().await.iter().filter(|(name, _)| name.starts_with("evalsha")).map(|(_, n)| n).sum::<u64>();
    assert!(scripts < 10, "a few tries and one to give it back: {scripts}");
    replica.cli(&["REPLICAOF", "127.0.0.1", &server.port().to_string()]).await;
    ask_until("a token", async || {
        manual.advance(Duration::from_secs(5)); // whatever pause there is after a failure
        manager.access_token(&key).await.ok()
    })
    .await;
    assert_eq!(backend.presentations(), 1);
}

/// A write that holds up its connection holds up nobody else's.
#[tokio::test]
async fn waiting_for_a_replica_holds_up_no_other_command() {
    let server = RedisServer::start().await;
    let store = replicated(&server.url()).await;
    let (held, other) = (open(&store).await, open(&store).await);
    let start = tokio::time::Instant::now();
    let loading = async {
        for _ in 0..10 {
            store.load(&other).await.unwrap().unwrap();
        }
        start.elapsed()
    };
    let (begun, loaded_after) = tokio::join!(store.begin(&held, begin_on(Version::FIRST)), loading);
    assert!(begun.is_err());
    assert!(loaded_after < std::time::Duration::from_millis(150), "{loaded_after:?}");
}

/// A failover that loses what is written meanwhile, although Redis has confirmed it.
async fn losing_what_is_written(watched: &mut RedisSentinel, write: impl AsyncFnOnce()) {
    let primary = watched.primary().await;
    let replicas: Vec<_> = (0..watched.nodes.len()).filter(|place| *place != primary).collect();
    for replica in &replicas {
        let offset = async |node: &RedisServer| node.info("replication", "master_repl_offset").await;
        ask_until("the replica to have everything so far", async || {
            (offset(&watched.nodes[*replica]).await == offset(&watched.nodes[primary]).await).then_some(())
        })
        .await;
        watched.nodes[*replica].pause();
    }
    watched.nodes[primary].cli(&["CLIENT", "KILL", "TYPE", "replica"]).await;
    write().await;
    watched.nodes[primary].kill();
    for replica in &replicas {
        watched.nodes[*replica].resume();
    }
    watched.primary_other_than(primary).await;
}

/// A login, a token set, a logout: whoever wrote them writes them again to the next primary.
#[tokio::test]
async fn what_a_failover_has_lost_is_written_again_by_the_node_that_wrote_it() {
    let mut watched = RedisSentinel::start().await;
    let (store, witness) = (store(&watched.url()).await, super::unconnected(&watched.url()));
    let (rotated, closed) = (open(&store).await, open(&store).await);
    let (mut opened, mut second) = (None, None);
    losing_what_is_written(&mut watched, async || {
        second = Some(refresh(&store, &rotated).await);
        assert!(store.remove(&closed).await.unwrap().is_some());
        opened = Some(open(&store).await);
    })
    .await;
    let (opened, second) = (opened.unwrap(), second.unwrap());
    ask_until("everything to be written again", async || {
        let versions = [witness.load(&rotated).await, witness.load(&opened).await, witness.load(&closed).await]
            .map(|loaded| loaded.ok().map(|session| session.map(|session| session.version)));
        (versions == [Some(Some(second.version)), Some(Some(Version::FIRST)), Some(None)]).then_some(())
    })
    .await;
    let current = witness.load(&rotated).await.unwrap().unwrap();
    assert_eq!(current.expose_secret(), second.expose_secret());
    refresh(&witness, &rotated).await;
    refresh(&witness, &opened).await;
}

/// What `Async` can lose: the replicas are cut off, the primary dies, and with it an intent that nobody else has.
#[tokio::test]
async fn without_waiting_a_failover_can_lose_an_intent() {
    let mut watched = RedisSentinel::start().await;
    let store = store(&watched.url()).await;
    let key = open(&store).await;
    losing_what_is_written(&mut watched, async || {
        granted(&store, &key, Version::FIRST).await;
    })
    .await;
    found_again(&store, &key).await;
    let begun = ask_until("the new primary", async || store.begin(&key, begin_on(Version::FIRST)).await.ok()).await;
    assert!(matches!(begun, Begun::Granted { .. }), "a second attempt is granted: {begun:?}");
}

/// The same with `Replica`: the intent that cannot be confirmed is not granted, so that nothing is lost with it.
#[tokio::test]
async fn with_waiting_the_same_failover_loses_no_granted_intent() {
    let mut watched = RedisSentinel::start().await;
    let store = replicated(&watched.url()).await;
    let key = open(&store).await;
    let held = granted_and_confirmed(&store, &key, Version::FIRST).await;
    let primary = watched.primary().await;
    watched.nodes[primary].kill();
    watched.primary_other_than(primary).await;
    let session = found_again(&store, &key).await;
    assert_eq!(session.version, held.base);
    let begun = ask_until("the new primary", async || store.begin(&key, begin_on(Version::FIRST)).await.ok()).await;
    assert!(matches!(begun, Begun::Busy { .. }), "{begun:?}");
}
