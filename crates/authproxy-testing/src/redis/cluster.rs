//! A Redis Cluster.

use std::{process::Stdio, time::Duration};

use futures_util::future::join_all;
use tokio::{
    process::Command,
    time::{Instant, timeout},
};

use super::{PATIENCE, RedisOptions, RedisServer, ask_until, process::missing};

/// Servers that form a Cluster, on 127.0.0.1. A primary that dies is replaced by its replica after about 2.5 seconds.
pub struct RedisCluster {
    /// The servers; which of them are primaries changes with every failover.
    pub nodes: Vec<RedisServer>,
}

impl RedisCluster {
    /// Starts so many primaries (at least three) with so many replicas each, and waits until all slots are served and
    /// all replicas are in step.
    ///
    /// # Panics
    ///
    /// When it does not come about.
    pub async fn start(primaries: usize, replicas: usize) -> Self {
        Self::start_with(RedisOptions::default(), primaries, replicas).await
    }

    /// The same, with options for every node. No users.
    ///
    /// # Panics
    ///
    /// When it does not come about.
    pub async fn start_with(options: RedisOptions, primaries: usize, replicas: usize) -> Self {
        let options = options
            .setting("cluster-enabled", "yes")
            .setting("cluster-node-timeout", "1000")
            .setting("cluster-replica-validity-factor", "0");
        let options = if options.tls { options.setting("tls-cluster", "yes") } else { options };
        let first = options.clone().start().await;
        let others = (1..primaries * (replicas + 1)).map(|_| options.clone().beside(&first).start());
        let others = join_all(others).await;
        let cluster = Self { nodes: [first].into_iter().chain(others).collect() };
        cluster.join(replicas).await;
        cluster.is_settled().await;
        cluster
    }

    /// Has the servers take nobody for dead who is slow, on a busy machine: a test that needs no failover wants none.
    ///
    /// # Panics
    ///
    /// When they refuse.
    pub async fn be_patient(&self) {
        for node in &self.nodes {
            assert_eq!(node.cli(&["CONFIG", "SET", "cluster-node-timeout", "60000"]).await, "OK");
        }
    }

    /// What a `RedisStore` is told: `redis-cluster://host:port,host:port`, or `rediss-cluster://` with TLS.
    pub fn url(&self) -> String {
        let first = self.nodes[0].url();
        let (scheme, rest) = first.split_once("://").expect("a URL");
        let others: Vec<_> = self.nodes[1..].iter().map(RedisServer::address).collect();
        format!("{scheme}-cluster://{rest},{}", others.join(","))
    }

    /// The place in [`nodes`](Self::nodes) of the primary that serves a key.
    ///
    /// # Panics
    ///
    /// When nobody serves it within half a minute.
    pub async fn owner_of(&self, key: &str) -> usize {
        ask_until("a primary that serves the key", async || {
            for (place, node) in self.nodes.iter().enumerate().filter(|(_, node)| node.is_running()) {
                // DUMP of a key that belongs elsewhere answers MOVED, on replicas too.
                let answer = node.try_cli(&["TTL", key]).await;
                if answer.is_some_and(|answer| answer.parse::<i64>().is_ok()) {
                    return Some(place);
                }
            }
            None
        })
        .await
    }

    /// The place of a running replica of a node, in step with it.
    ///
    /// # Panics
    ///
    /// When there is none within half a minute.
    pub async fn replica_of(&self, primary: usize) -> usize {
        let port = self.nodes[primary].port().to_string();
        ask_until("a replica of the node", async || {
            for (place, node) in self.nodes.iter().enumerate().filter(|(_, node)| node.is_running()) {
                let follows = node.info("replication", "master_port").await == Some(port.clone());
                if follows && node.info("replication", "master_link_status").await.as_deref() == Some("up") {
                    return Some(place);
                }
            }
            None
        })
        .await
    }

    /// Makes the replica of a primary take its place in an orderly way, and waits until it has; the new primary's place.
    ///
    /// # Panics
    ///
    /// When it does not come about.
    pub async fn fail_over(&self, primary: usize) -> usize {
        let replica = self.replica_of(primary).await;
        let mut asked_at = None::<Instant>;
        ask_until("the replica to be a primary", async || {
            // The servers give a failover up after five seconds, and say nothing.
            if asked_at.is_none_or(|asked_at| asked_at.elapsed() > Duration::from_secs(6)) {
                self.nodes[replica].cli(&["CLUSTER", "FAILOVER"]).await;
                asked_at = Some(Instant::now());
            }
            (self.nodes[replica].info("replication", "role").await.as_deref() == Some("master")).then_some(())
        })
        .await;
        replica
    }

    /// Moves one slot to another primary, keys and all, as an operator's tool does: `MIGRATING` and `IMPORTING` set for
    /// as long as `meanwhile` takes, then key by key. Use `CLUSTER KEYSLOT` for the slot of a key.
    ///
    /// # Panics
    ///
    /// When the Cluster refuses.
    pub async fn migrate(&self, slot: u16, from: usize, to: usize, meanwhile: impl Future<Output = ()>) {
        let slot = slot.to_string();
        let (source, target) = (&self.nodes[from], &self.nodes[to]);
        let (source_id, target_id) = (source.cli(&["CLUSTER", "MYID"]).await, target.cli(&["CLUSTER", "MYID"]).await);
        target.cli(&["CLUSTER", "SETSLOT", &slot, "IMPORTING", &source_id]).await;
        source.cli(&["CLUSTER", "SETSLOT", &slot, "MIGRATING", &target_id]).await;
        meanwhile.await;
        let port = target.port().to_string();
        loop {
            let keys = source.cli(&["CLUSTER", "GETKEYSINSLOT", &slot, "100"]).await;
            if keys.is_empty() {
                break;
            }
            for key in keys.lines() {
                source.cli(&["MIGRATE", "127.0.0.1", &port, key, "0", "5000"]).await;
            }
        }
        for node in [target, source] {
            node.cli(&["CLUSTER", "SETSLOT", &slot, "NODE", &target_id]).await;
        }
    }

    /// Waits until every running node says that all slots are served and every replica is in step.
    ///
    /// # Panics
    ///
    /// When that takes longer than half a minute.
    pub async fn is_settled(&self) {
        for node in self.nodes.iter().filter(|node| node.is_running()) {
            ask_until("the cluster to settle", async || {
                let state = node.try_cli(&["CLUSTER", "INFO"]).await?;
                let follows = node.info("replication", "master_link_status").await;
                let settled = state.contains("cluster_state:ok") && follows.is_none_or(|link| link == "up");
                settled.then_some(())
            })
            .await;
        }
    }

    async fn join(&self, replicas: usize) {
        let mut create = Command::new("redis-cli");
        self.nodes[0].authenticate(&mut create);
        create.args(["--cluster", "create"]).args(self.nodes.iter().map(RedisServer::address));
        create.args(["--cluster-replicas", &replicas.to_string(), "--cluster-yes"]);
        create.stdin(Stdio::null()).kill_on_drop(true);
        let created = timeout(PATIENCE + Duration::from_secs(30), create.output()).await.expect("the cluster forms");
        let created = created.unwrap_or_else(|error| panic!("redis-cli: {}", missing("redis-cli", &error)));
        assert!(created.status.success(), "no cluster: {}", String::from_utf8_lossy(&created.stdout));
    }
}
