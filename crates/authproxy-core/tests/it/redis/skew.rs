//! Nodes whose clocks differ: leases and intents are on the server's, and each node is told of them on its own.

use std::{sync::Arc, time::Duration};

use authproxy_core::{
    SessionStore,
    clock::{Clock, ManualClock, SystemClock},
    session::{Standing, Version},
    store::{Begin, Begun, RedisStore},
};
use authproxy_testing::redis::{RedisServer, ask_until};

use super::{begin_on, envelope, open};

#[tokio::test]
async fn an_intent_is_as_old_on_every_node_whatever_its_clock_says() {
    let server = RedisServer::start().await;
    let clocks: [Arc<dyn Clock>; 2] = [Arc::new(SystemClock::new()), Arc::new(ManualClock::default())];
    let nodes = clocks
        .clone()
        .map(|clock| RedisStore::builder(&server.url(), envelope()).unwrap().clock(clock).build().unwrap());
    let key = open(&nodes[0]).await;
    let short = Begin { lease: Duration::from_millis(50), ..begin_on(Version::FIRST) };
    assert!(matches!(nodes[0].begin(&key, short).await.unwrap(), Begun::Granted { .. }));
    for (node, clock) in nodes.iter().zip(&clocks) {
        let since =
            ask_until("the lease to run out", async || match node.begin(&key, begin_on(Version::FIRST)).await {
                Ok(Begun::InDoubt { since }) => Some(since),
                _ => None,
            })
            .await;
        let (age, ahead) = (clock.now().since(since), since.since(clock.now()));
        assert!(age < Duration::from_secs(5) && ahead.is_zero(), "{age:?}, {ahead:?}");
        let standing = node.load(&key).await.unwrap().unwrap().standing;
        assert_eq!(standing, Standing::InDoubt { since });
    }
}

/// How long a record is kept is a span of time, not an instant of the node's clock.
#[tokio::test]
async fn a_node_whose_clock_is_behind_keeps_its_sessions_as_long() {
    let server = RedisServer::start().await;
    let clock = ManualClock::default();
    let node = RedisStore::builder(&server.url(), envelope()).unwrap().clock(Arc::new(clock.clone())).build().unwrap();
    let now = clock.now();
    let mut new = super::new_session(false);
    new.session =
        new.session.succeeded_by(&super::access_token(), super::zones(), now, now.plus(Duration::from_secs(60)));
    node.create(&authproxy_core::SessionId::random().key(), new).await.unwrap();
    let left: i64 = server.cli(&["PTTL", &server.cli(&["KEYS", "ap:{*"]).await]).await.parse().unwrap();
    assert!((300_000..=360_000).contains(&left), "{left} ms");
}
