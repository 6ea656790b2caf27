//! Servers that take each other's place, and slots that move, while sessions are refreshed.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use authproxy_core::{
    SessionKey, SessionStore,
    error::StoreError,
    session::Session,
    store::{Begun, Committed, IfInDoubt, RedisStore},
};
use authproxy_testing::redis::{RedisCluster, RedisSentinel, RedisServer, ask_until};
use tokio::{
    task::JoinSet,
    time::{Instant, sleep},
};

use super::{begin_on, found_again, open, refresh, store, successor};

/// Sessions that are refreshed without a pause by a node, each by its own task.
struct Load {
    stop: Arc<AtomicBool>,
    refreshes: Arc<AtomicUsize>,
    tasks: JoinSet<(SessionKey, Session)>,
}

impl Load {
    async fn start(store: &Arc<RedisStore>, sessions: usize) -> Self {
        let (stop, refreshes) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicUsize::new(0)));
        let mut tasks = JoinSet::new();
        for _ in 0..sessions {
            let key = open(store).await;
            let session = store.load(&key).await.unwrap().unwrap();
            tasks.spawn(keep_refreshing(store.clone(), key, session, stop.clone(), refreshes.clone()));
        }
        Self { stop, refreshes, tasks }
    }

    /// Waits until so many more refreshes were done.
    async fn more(&self, refreshes: usize) {
        let goal = self.refreshes.load(Ordering::SeqCst) + refreshes;
        ask_until("refreshes", async || (self.refreshes.load(Ordering::SeqCst) >= goal).then_some(())).await;
    }

    /// Ends the load; every session as its task saw it last.
    async fn end(self) -> Vec<(SessionKey, Session)> {
        self.stop.store(true, Ordering::SeqCst);
        self.tasks.join_all().await
    }
}

/// As a node does it: every call is repeated under its name until it is answered, and a token set is never given up.
async fn keep_refreshing(
    store: Arc<RedisStore>,
    key: SessionKey,
    mut session: Session,
    stop: Arc<AtomicBool>,
    refreshes: Arc<AtomicUsize>,
) -> (SessionKey, Session) {
    while !stop.load(Ordering::SeqCst) {
        let mut begin = begin_on(session.version);
        begin.doubt = IfInDoubt::Grant;
        let lease = match until_answered(|| store.begin(&key, begin)).await {
            Begun::Granted { lease, .. } => lease,
            other => panic!("nobody else is there, but: {other:?}"),
        };
        let commit = successor(&session);
        match until_answered(|| store.commit(&lease, commit.clone())).await {
            Committed::Stored => session = commit.session,
            other => panic!("nobody else is there, but: {other:?}"),
        }
        refreshes.fetch_add(1, Ordering::SeqCst);
    }
    (key, session)
}

async fn until_answered<T, F: Future<Output = Result<T, StoreError>>>(ask: impl Fn() -> F) -> T {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        match ask().await {
            Ok(answer) => return answer,
            Err(error) => assert!(Instant::now() < deadline, "no answer: {error:?}"),
        }
        sleep(Duration::from_millis(20)).await;
    }
}

async fn nothing_is_lost(store: &RedisStore, load: Load) {
    for (key, last) in load.end().await {
        let stored = found_again(store, &key).await;
        assert_eq!(stored.version, last.version);
        assert_eq!(stored.expose_secret(), last.expose_secret());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn manual_failovers_of_a_cluster_during_commits_lose_nothing() {
    let cluster = RedisCluster::start(3, 1).await;
    let store = store(&cluster.url()).await;
    let load = Load::start(&store, 12).await;
    load.more(200).await;
    let mut primary = cluster.owner_of("k").await;
    for _ in 0..3 {
        primary = cluster.fail_over(primary).await;
        cluster.is_settled().await;
        load.more(200).await;
    }
    nothing_is_lost(&store, load).await;
}

/// How much a node has written, or read of its primary.
async fn offset(node: &RedisServer) -> u64 {
    node.info("replication", "master_repl_offset").await.and_then(|offset| offset.parse().ok()).unwrap_or_default()
}

/// Commits of the last moment may be lost; the node that has them goes on from them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_killed_primary_of_a_cluster_is_replaced_under_load() {
    let mut cluster = RedisCluster::start(3, 1).await;
    let store = store(&cluster.url()).await;
    let load = Load::start(&store, 12).await;
    load.more(200).await;
    let primary = cluster.owner_of("k").await;
    let replica = cluster.replica_of(primary).await;
    let written = offset(&cluster.nodes[primary]).await;
    ask_until("the replica to follow", async || (offset(&cluster.nodes[replica]).await >= written).then_some(())).await;
    cluster.nodes[primary].kill();
    // One that came back before that would be the primary again, with nothing.
    ask_until("the replica to take its place", async || {
        (cluster.nodes[replica].info("replication", "role").await.as_deref() == Some("master")).then_some(())
    })
    .await;
    load.more(1_000).await;
    cluster.nodes[primary].restart().await;
    cluster.is_settled().await;
    load.more(200).await;
    for (key, last) in load.end().await {
        assert_eq!(found_again(&store, &key).await.version, last.version);
        refresh(&store, &key).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slot_that_moves_takes_its_sessions_along() {
    let cluster = RedisCluster::start(3, 0).await;
    let store = store(&cluster.url()).await;
    let load = Load::start(&store, 6).await;
    load.more(100).await;
    let names = async |place: usize| cluster.nodes[place].cli(&["KEYS", "ap:{*"]).await;
    for from in 0..3 {
        let to = (from + 1) % 3;
        for name in names(from).await.lines() {
            let slot = cluster.nodes[from].cli(&["CLUSTER", "KEYSLOT", name]).await.parse().unwrap();
            cluster.migrate(slot, from, to, load.more(50)).await;
            load.more(50).await;
        }
    }
    nothing_is_lost(&store, load).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sentinels_failovers_are_followed_and_lose_no_session() {
    let mut watched = RedisSentinel::start().await;
    let store = store(&watched.url()).await;
    let load = Load::start(&store, 6).await;
    load.more(200).await;
    watched.fail_over().await;
    load.more(500).await;
    let primary = watched.primary().await;
    watched.nodes[primary].kill();
    load.more(500).await;
    for (key, last) in load.end().await {
        assert_eq!(found_again(&store, &key).await.version, last.version);
        refresh(&store, &key).await;
    }
}
