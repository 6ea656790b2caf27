//! The store in Redis, against real servers that each test starts for itself.

mod connecting;
mod contract;
mod costs;
mod durability;
mod failover;
mod foreign_records;
mod healing;
mod hot_path;
mod idle;
mod near;
mod near_cluster;
mod outages;
mod secrecy;
mod skew;
mod slow;
mod users;

use std::{sync::Arc, time::Duration};

use authproxy_core::{
    RefreshToken, SessionId, SessionKey, SessionStore,
    clock::{Clock, SystemClock},
    session::{Session, Version, Zones},
    store::{AttemptId, Begin, Begun, Commit, Committed, Envelope, IfInDoubt, Lease, NewSession, RedisStore},
    token::AccessToken,
};
use authproxy_testing::{CANARY, redis::ask_until};

const SECRET: &str = "a secret of the tests, longer than 32 characters";
const USER: &str = "someone@example.com";
const LEASE: Duration = Duration::from_secs(60);

fn envelope() -> Envelope {
    Envelope::new([SECRET]).unwrap()
}

/// A node's store, connected; without a near-cache: what it answers is Redis' answer.
async fn store(url: &str) -> Arc<RedisStore> {
    let store = unconnected(url);
    store.ready().await.unwrap();
    store
}

fn unconnected(url: &str) -> Arc<RedisStore> {
    Arc::new(RedisStore::builder(url, envelope()).unwrap().near_ttl(Duration::ZERO).build().unwrap())
}

fn refresh_token() -> RefreshToken {
    RefreshToken::new(&format!("{CANARY}-refresh-{:x}", AttemptId::random().0)).unwrap()
}

fn access_token() -> AccessToken {
    AccessToken::new(&format!("{CANARY}-access-{:x}", AttemptId::random().0)).unwrap()
}

fn zones() -> Zones {
    let after = |seconds| SystemClock::new().now().plus(Duration::from_secs(seconds));
    Zones { refresh_at: after(96), wait_at: after(108), expires_at: after(120) }
}

fn new_session(handed_out: bool) -> NewSession {
    let now = SystemClock::new().now();
    let session = Session::new(USER.into(), &access_token(), zones(), now, now.plus(Duration::from_secs(600)));
    NewSession { session, refresh_token: Some(refresh_token()), handed_out }
}

async fn open(store: &RedisStore) -> SessionKey {
    let key = SessionId::random().key();
    store.create(&key, new_session(false)).await.unwrap();
    key
}

fn begin_on(seen: Version) -> Begin {
    Begin { seen, attempt: AttemptId::random(), lease: LEASE, doubt: IfInDoubt::Report }
}

async fn granted(store: &RedisStore, key: &SessionKey, seen: Version) -> Lease {
    match store.begin(key, begin_on(seen)).await.unwrap() {
        Begun::Granted { lease, .. } => lease,
        other => panic!("granted, but: {other:?}"),
    }
}

fn successor(of: &Session) -> Commit {
    let now = SystemClock::new().now();
    let session = of.succeeded_by(&access_token(), zones(), now, now.plus(Duration::from_secs(600)));
    Commit { session, refresh_token: refresh_token() }
}

/// One refresh, from the permission to the new version.
async fn refresh(store: &RedisStore, key: &SessionKey) -> Session {
    let current = store.load(key).await.unwrap().unwrap();
    let lease = granted(store, key, current.version).await;
    let commit = successor(&current);
    assert!(matches!(store.commit(&lease, commit.clone()).await.unwrap(), Committed::Stored));
    commit.session
}

/// Waits until the store finds a session again, and returns it.
async fn found_again(store: &RedisStore, key: &SessionKey) -> Session {
    ask_until("the session to be found again", async || store.load(key).await.ok().flatten()).await
}
