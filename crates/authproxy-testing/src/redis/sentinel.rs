//! A primary and its replicas under Sentinels.

use std::fmt::Write;

use futures_util::future::join_all;

use super::{RedisOptions, RedisServer, ask_until};

const MASTER: &str = "main";
const SENTINELS: usize = 3;

/// A primary, two replicas and three Sentinels that watch them as `main`, on 127.0.0.1. A primary that dies is replaced
/// after about two seconds.
pub struct RedisSentinel {
    /// The servers; which of them is the primary changes with every failover.
    pub nodes: Vec<RedisServer>,
    /// The Sentinels.
    pub sentinels: Vec<RedisServer>,
}

impl RedisSentinel {
    /// Starts everything and waits until the Sentinels know each other and the replicas.
    ///
    /// # Panics
    ///
    /// When it does not come about.
    pub async fn start() -> Self {
        Self::start_with(RedisOptions::default()).await
    }

    /// The same, with options for every server. Of these the Sentinels have password and TLS too. No users.
    ///
    /// # Panics
    ///
    /// When it does not come about.
    pub async fn start_with(options: RedisOptions) -> Self {
        let primary = options.clone().start().await;
        let port = primary.port().to_string();
        let options = options.beside(&primary);
        let replica = || options.clone().setting("replicaof", &format!("127.0.0.1 {port}")).start();
        let mut nodes = vec![primary];
        nodes.extend(join_all([replica(), replica()]).await);
        for node in &nodes[1..] {
            ask_until("a replica in step", async || {
                (node.info("replication", "master_link_status").await.as_deref() == Some("up")).then_some(())
            })
            .await;
        }
        let configuration = configuration(&port, options.password.as_deref());
        let starting = (0..SENTINELS).map(|_| RedisServer::start_sentinel(options.clone(), &configuration));
        let sentinels = join_all(starting).await;
        let watched = Self { nodes, sentinels };
        watched.is_settled().await;
        watched
    }

    /// Has the Sentinels take nobody for dead who is slow, on a busy machine: a test that needs no failover wants none.
    ///
    /// # Panics
    ///
    /// When they refuse.
    pub async fn be_patient(&self) {
        for sentinel in &self.sentinels {
            let answer = sentinel.cli(&["SENTINEL", "SET", MASTER, "down-after-milliseconds", "60000"]).await;
            assert_eq!(answer, "OK");
        }
    }

    /// What a `RedisStore` is told: `redis-sentinel://host:port,host:port,host:port/main`, or `rediss-sentinel://` with TLS.
    pub fn url(&self) -> String {
        let first = self.sentinels[0].url();
        let (scheme, rest) = first.split_once("://").expect("a URL");
        let others: Vec<_> = self.sentinels[1..].iter().map(RedisServer::address).collect();
        format!("{scheme}-sentinel://{rest},{}/{MASTER}", others.join(","))
    }

    /// The place in [`nodes`](Self::nodes) of the primary, as the first Sentinel that runs has it.
    ///
    /// # Panics
    ///
    /// When no Sentinel names one of ours that runs as a primary within half a minute.
    pub async fn primary(&self) -> usize {
        ask_until("a primary", async || {
            let sentinel = self.sentinels.iter().find(|sentinel| sentinel.is_running())?;
            let named = sentinel.try_cli(&["SENTINEL", "get-master-addr-by-name", MASTER]).await?;
            let port = named.lines().nth(1)?.parse::<u16>().ok()?;
            let place = self.nodes.iter().position(|node| node.port() == port && node.is_running())?;
            let role = self.nodes[place].info("replication", "role").await;
            (role.as_deref() == Some("master")).then_some(place)
        })
        .await
    }

    /// Makes the Sentinels put another in the primary's place, and waits until they have; the new primary's place.
    ///
    /// # Panics
    ///
    /// When it does not come about.
    pub async fn fail_over(&self) -> usize {
        let before = self.primary().await;
        ask_until("a failover to begin", async || {
            let answer = self.sentinels[0].try_cli(&["SENTINEL", "FAILOVER", MASTER]).await;
            (answer.as_deref() == Some("OK")).then_some(())
        })
        .await;
        self.primary_other_than(before).await
    }

    /// Waits until another than this one is the primary; its place.
    ///
    /// # Panics
    ///
    /// When there is none within half a minute.
    pub async fn primary_other_than(&self, before: usize) -> usize {
        ask_until("another primary", async || {
            let now = self.primary().await;
            (now != before).then_some(now)
        })
        .await
    }

    async fn is_settled(&self) {
        let replicas = self.nodes.len() - 1;
        let known = format!("slaves={replicas},sentinels={SENTINELS}");
        for sentinel in &self.sentinels {
            ask_until("the Sentinels to know each other", async || {
                let info = sentinel.try_cli(&["INFO", "sentinel"]).await?;
                (info.contains(&known) && info.contains("status=ok")).then_some(())
            })
            .await;
        }
    }
}

fn configuration(port: &str, password: Option<&str>) -> String {
    let mut text = String::new();
    let quorum = SENTINELS / 2 + 1;
    let _ = writeln!(text, "sentinel monitor {MASTER} 127.0.0.1 {port} {quorum}");
    if let Some(password) = password {
        let _ = writeln!(text, "sentinel auth-pass {MASTER} {password}");
    }
    let _ = writeln!(text, "sentinel down-after-milliseconds {MASTER} 500");
    let _ = writeln!(text, "sentinel failover-timeout {MASTER} 5000");
    let _ = writeln!(text, "sentinel parallel-syncs {MASTER} 2");
    text
}
