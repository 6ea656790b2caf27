//! What can be done to a fleet. Every act leaves an [`Incident`] behind.

use std::{collections::HashSet, io, time::Duration};

use authproxy_testing::redis::RedisServer;
use tokio::{
    net::TcpStream,
    time::{Instant, sleep},
};

use super::World;
use crate::{
    auth::Mood,
    incident::{Incident, Kind},
    relay::{Name, Relays, Traffic},
};

/// How long commands that a dead node has sent may take to reach the relay.
const LAST_WORDS: Duration = Duration::from_millis(5);
/// Connections that the harness itself opens to leave none for the nodes.
const HOARD: u32 = 20;
/// How often a command is tried on a Redis that has no connection left, or is loading its data.
const TRIES: u32 = 1000;

impl World {
    /// kill -9 of a node under whatever load there is, and its start after a while.
    pub(crate) async fn kill(&mut self, node: usize, away: Duration) -> io::Result<()> {
        self.kill_for_good(node).await;
        sleep(away).await;
        self.nodes[node].start().await
    }

    /// kill -9 of a node.
    pub(crate) async fn kill_for_good(&mut self, node: usize) {
        let from = Instant::now();
        let mut in_flight = self.in_flight(node);
        self.nodes[node].kill().await;
        sleep(LAST_WORDS).await;
        in_flight.extend(self.in_flight(node));
        if let Some(relays) = &self.relays {
            relays.forget(node);
        }
        self.note(Kind::Killed(node), from, in_flight);
    }

    /// SIGSTOP of a node, and SIGCONT after a while.
    pub(crate) async fn stop(&mut self, node: usize, length: Duration) {
        let from = Instant::now();
        let mut in_flight = self.in_flight(node);
        self.nodes[node].stop();
        sleep(LAST_WORDS).await;
        in_flight.extend(self.in_flight(node));
        sleep(length).await;
        self.nodes[node].resume();
        self.note(Kind::Stopped(node), from, in_flight);
    }

    /// SIGTERM of every node in turn, each started again before the next one goes.
    pub(crate) async fn roll(&mut self) -> io::Result<()> {
        for node in 0..self.nodes.len() {
            let from = Instant::now();
            let in_time = self.nodes[node].terminate().await;
            self.nodes[node].start().await?;
            self.note(Kind::Terminated(node), from, HashSet::new());
            if !in_time {
                return Err(io::Error::other(format!("node {node} did not end after SIGTERM")));
            }
        }
        Ok(())
    }

    /// The auth service misbehaves for a while.
    pub(crate) async fn misbehave(&mut self, mood: Mood, what: &'static str, length: Duration) {
        let from = Instant::now();
        self.auth.set(mood);
        sleep(length).await;
        self.auth.set(Mood::Well);
        self.note(Kind::Auth(what), from, HashSet::new());
    }

    /// What the relays do with their traffic for a while.
    pub(crate) async fn disturb(&mut self, traffic: Traffic, what: &'static str, length: Duration) {
        let from = Instant::now();
        self.relays().set(traffic);
        sleep(length).await;
        self.relays().set(Traffic::Flows);
        self.note(Kind::Store(what), from, HashSet::new());
    }

    /// kill -9 of Redis, which keeps its data, and its start after a while.
    pub(crate) async fn restart_redis(&mut self, away: Duration) {
        let from = Instant::now();
        self.relays().set(Traffic::Refused);
        self.redis_mut().kill();
        sleep(away).await;
        self.redis_mut().restart().await;
        self.relays().set(Traffic::Flows);
        // Until then it answers that it is loading, and nobody can do anything about that.
        for _ in 0..TRIES {
            if self.redis().info("persistence", "loading").await.as_deref() == Some("0") {
                break;
            }
            sleep(Duration::from_millis(10)).await;
        }
        self.note(Kind::Store("restarted with its data"), from, HashSet::new());
    }

    /// kill -9 of Redis, and its start without data or scripts.
    pub(crate) async fn empty_redis(&mut self, away: Duration) {
        let from = Instant::now();
        self.relays().set(Traffic::Refused);
        self.redis().cli(&["FLUSHALL"]).await;
        self.redis_mut().kill();
        sleep(away).await;
        self.redis_mut().restart().await;
        self.relays().set(Traffic::Flows);
        self.note(Kind::Emptied, from, HashSet::new());
    }

    /// SIGSTOP of Redis: its sockets stay open, and nothing answers.
    pub(crate) async fn pause_redis(&mut self, length: Duration) {
        let from = Instant::now();
        self.redis().pause();
        sleep(length).await;
        self.redis().resume();
        self.note(Kind::Store("paused"), from, HashSet::new());
    }

    /// Redis has no memory left: it answers, and takes nothing new.
    pub(crate) async fn fill_redis(&mut self, length: Duration) {
        let from = Instant::now();
        self.redis().cli(&["CONFIG", "SET", "maxmemory", "1mb"]).await;
        sleep(length).await;
        self.redis().cli(&["CONFIG", "SET", "maxmemory", "0"]).await;
        self.note(Kind::Store("out of memory"), from, HashSet::new());
    }

    /// Redis takes no more connections, and all that the nodes had are reset.
    pub(crate) async fn crowd_redis(&mut self, length: Duration) {
        let from = Instant::now();
        let mut hoard = Vec::new();
        for _ in 0..HOARD {
            hoard.extend(TcpStream::connect(("127.0.0.1", self.redis().port())).await.ok());
        }
        self.redis().cli(&["CONFIG", "SET", "maxclients", &HOARD.to_string()]).await;
        self.relays().set(Traffic::Reset);
        sleep(Duration::from_millis(20)).await;
        self.relays().set(Traffic::Flows);
        sleep(length).await;
        drop(hoard);
        // There is room for a few now: for this one too.
        for _ in 0..TRIES {
            if self.redis().try_cli(&["CONFIG", "SET", "maxclients", "10000"]).await.as_deref() == Some("OK") {
                break;
            }
            sleep(Duration::from_millis(10)).await;
        }
        self.note(Kind::Store("had no connection left"), from, HashSet::new());
    }

    /// A node is killed while Redis is away: what it had not saved is gone.
    pub(crate) async fn kill_without_redis(&mut self, node: usize, length: Duration) -> io::Result<()> {
        let from = Instant::now();
        self.relays().set(Traffic::Refused);
        sleep(length / 2).await;
        self.kill_for_good(node).await;
        sleep(length / 2).await;
        self.relays().set(Traffic::Flows);
        self.note(Kind::Store("away while a node was killed"), from, HashSet::new());
        self.nodes[node].start().await
    }

    /// A node is killed while the auth service is slow, so that many refreshes are under way.
    pub(crate) async fn kill_while_slow(&mut self, node: usize, length: Duration) -> io::Result<()> {
        let from = Instant::now();
        self.auth.set(Mood::Slow(self.plan.backend_timeout / 2));
        sleep(length).await;
        self.kill_for_good(node).await;
        self.auth.set(Mood::Well);
        self.note(Kind::Auth("slow while a node was killed"), from, HashSet::new());
        self.nodes[node].start().await
    }

    fn note(&mut self, kind: Kind, from: Instant, in_flight: HashSet<Name>) {
        self.incidents.push(Incident { kind, from, until: Instant::now(), in_flight });
    }

    fn in_flight(&self, node: usize) -> HashSet<Name> {
        self.relays.as_ref().map(|relays| relays.in_flight(node)).unwrap_or_default()
    }

    fn relays(&self) -> &Relays {
        self.relays.as_ref().expect("acts on Redis are planned where there is one")
    }

    fn redis(&self) -> &RedisServer {
        self.redis.as_ref().expect("acts on Redis are planned where there is one")
    }

    fn redis_mut(&mut self) -> &mut RedisServer {
        self.redis.as_mut().expect("acts on Redis are planned where there is one")
    }
}
