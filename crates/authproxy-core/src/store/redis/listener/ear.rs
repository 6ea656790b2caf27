//! [`Ear`]: listens to one server.

use std::{
    collections::BTreeSet,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use redis::{Cmd, Pipeline, PushInfo, PushKind, Value};
use tokio::{
    sync::{Notify, watch},
    time::{MissedTickBehavior, interval, sleep},
};

use super::Told;
use crate::{
    session::Version,
    store::redis::{
        dial::{Connection, Heard},
        failure::{Failure, Refusal},
        link::jittered,
        names,
        node::Node,
    },
};

/// How often the server is asked whether it is still there, and still a primary. At once when commands meet trouble.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// The pause before listening anew, at first, and at most: a server that forbids to listen is asked seldom.
const PAUSE: (Duration, Duration) = (Duration::from_millis(50), Duration::from_secs(5));

/// What one listens to.
pub(super) enum Topics {
    /// The one channel of servers that are no Cluster.
    All,
    /// The channels of these partitions, which change while a Cluster is rearranged.
    Partitions(watch::Receiver<BTreeSet<u16>>),
}

/// One that listens to one server.
pub(super) struct Ear {
    pub(super) node: Arc<Node>,
    pub(super) told: Told,
    /// How many partitions' changes are heard of, in all.
    pub(super) heard: watch::Sender<usize>,
    /// Called when the server does not have what it was believed to have.
    pub(super) on_doubt: Box<dyn Fn() + Send + Sync>,
}

/// The partitions that a connection listens to.
struct Subscribed {
    partitions: Mutex<BTreeSet<u16>>,
    fewer: Notify,
    heard: watch::Sender<usize>,
    told: Told,
}

impl Ear {
    /// Listens for as long as it is polled.
    pub(super) async fn listen(self, mut topics: Topics) {
        let mut pause = PAUSE.0;
        let mut known_trouble = false;
        loop {
            // Only the link tries to connect while the server is away.
            self.node.link().up().await;
            let subscribed = Arc::new(Subscribed {
                partitions: Mutex::default(),
                fewer: Notify::new(),
                heard: self.heard.clone(),
                told: self.told.clone(),
            });
            let deaf = match self.node.link().listen(hearing(subscribed.clone())).await {
                Ok(connection) => self.until_deaf(&connection, &subscribed, &mut topics).await,
                Err(error) => Err(Failure::Unconnected(error)),
            };
            match deaf {
                Ok(()) => (pause, known_trouble) = (PAUSE.0, false),
                Err(trouble) if known_trouble => drop(trouble),
                Err(trouble) => {
                    tracing::warn!(%trouble, "changes by other nodes are not heard of; near_ttl bounds what is served");
                    known_trouble = true;
                }
            }
            subscribed.clear();
            (self.on_doubt)();
            sleep(jittered(pause)).await;
            pause = (pause * 2).min(PAUSE.1);
        }
    }

    /// Listens on a connection to its end; fails when the server forbids it.
    async fn until_deaf(
        &self,
        connection: &Connection,
        subscribed: &Arc<Subscribed>,
        topics: &mut Topics,
    ) -> Result<(), Failure> {
        let mut heartbeat = interval(HEARTBEAT);
        heartbeat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        heartbeat.reset();
        if matches!(topics, Topics::All) {
            connection.ask(Cmd::new().arg("SUBSCRIBE").arg(names::CHANNEL)).await?;
            subscribed.add(0..names::PARTITIONS);
        }
        loop {
            if let Topics::Partitions(wanted) = topics {
                let wanted = wanted.borrow_and_update().clone();
                if !subscribe(connection, subscribed, &wanted).await? {
                    (self.on_doubt)();
                }
            }
            tokio::select! {
                () = connection.ended() => return Ok(()),
                () = subscribed.fewer.notified() => (self.on_doubt)(),
                () = other_topics(topics) => {}
                () = self.node.link().trouble() => {
                    if is_deaf(connection).await {
                        return Ok(());
                    }
                    tokio::select! {
                        () = connection.ended() => return Ok(()),
                        () = self.node.link().up() => {}
                    }
                }
                _ = heartbeat.tick() => {
                    if is_deaf(connection).await {
                        return Ok(());
                    }
                }
            }
        }
    }
}

/// Whether nothing is to be heard on a connection any more, as far as can be seen.
async fn is_deaf(connection: &Connection) -> bool {
    let Err(problem) = connection.is_primarys().await else { return false };
    tracing::debug!(%problem, "no longer listening to Redis");
    true
}

/// Completes when one is to listen to something else.
async fn other_topics(topics: &mut Topics) {
    if let Topics::Partitions(wanted) = topics
        && wanted.changed().await.is_ok()
    {
        return;
    }
    std::future::pending::<()>().await;
}

/// Listens to what is wanted and was not yet; false when the server does not have all of it (any more).
async fn subscribe(connection: &Connection, subscribed: &Subscribed, wanted: &BTreeSet<u16>) -> Result<bool, Failure> {
    subscribed.keep(wanted);
    let missing: Vec<u16> = wanted.difference(&*subscribed.lock()).copied().collect();
    if missing.is_empty() {
        return Ok(true);
    }
    let mut pipeline = Pipeline::new();
    for partition in &missing {
        pipeline.cmd("SSUBSCRIBE").arg(names::partition_channel(*partition));
    }
    let answers = connection.send(&pipeline).await?;
    let refused = answers.iter().find_map(|answer| answer.as_ref().err().cloned());
    let granted: Vec<u16> =
        missing.iter().zip(&answers).filter(|(_, answer)| answer.is_ok()).map(|(partition, _)| *partition).collect();
    let none = granted.is_empty();
    subscribed.add(granted);
    match refused {
        Some(refusal @ Refusal::NoPermission(_)) if none => Err(Failure::Refused(refusal)),
        refused => Ok(refused.is_none()),
    }
}

/// Has the near-cache learn what the server says.
fn hearing(subscribed: Arc<Subscribed>) -> Heard {
    Box::new(move |PushInfo { kind, data }| {
        let mut data = data.into_iter();
        match (kind, data.next(), data.next()) {
            (PushKind::Message | PushKind::SMessage, _, Some(Value::BulkString(message))) => {
                // Anything else is not from a node of ours.
                if let Some((name, below)) = message.split_first_chunk::<16>()
                    && let Ok(below) = below.try_into()
                {
                    subscribed.told.changed(*name, Version(u64::from_be_bytes(below)));
                }
            }
            // We never ask for it: the slot has left the server.
            (PushKind::SUnsubscribe, Some(Value::BulkString(channel)), _) => {
                if let Some(partition) = names::partition_named(&channel) {
                    subscribed.remove(partition);
                }
            }
            _ => {}
        }
        Ok(())
    })
}

impl Subscribed {
    /// These are heard from now on. What was changed before may have gone unheard.
    fn add(&self, partitions: impl IntoIterator<Item = u16>) {
        let mut subscribed = self.lock();
        for partition in partitions {
            self.told.lost(partition);
            if subscribed.insert(partition) {
                self.heard.send_modify(|heard| *heard += 1);
            }
        }
    }

    fn remove(&self, partition: u16) {
        if self.lock().remove(&partition) {
            self.told.lost(partition);
            self.heard.send_modify(|heard| *heard -= 1);
            self.fewer.notify_one();
        }
    }

    /// Others than these are heard elsewhere.
    fn keep(&self, wanted: &BTreeSet<u16>) {
        let mut subscribed = self.lock();
        let before = subscribed.len();
        subscribed.retain(|partition| wanted.contains(partition));
        self.heard.send_modify(|heard| *heard -= before - subscribed.len());
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, BTreeSet<u16>> {
        // No change leaves the set half changed.
        self.partitions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Subscribed {
    /// Nothing is heard any more.
    fn clear(&self) {
        let partitions = std::mem::take(&mut *self.lock());
        for partition in &partitions {
            self.told.lost(*partition);
        }
        self.heard.send_modify(|heard| *heard -= partitions.len());
    }
}

impl Drop for Subscribed {
    fn drop(&mut self) {
        self.clear();
    }
}
