//! [`Listener`]: hears on a connection of its own what other nodes change, and has the near-cache look again.
//!
//! Messages can be lost: while there is no connection, or while one is silently dead. So every time that it begins to
//! listen, and when it notices that it heard nothing for a while, all that the near-cache holds is to be confirmed.
//! `near_ttl` bounds what remains.

mod ear;
mod shards;

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use tokio::{sync::watch, time::timeout};

use self::ear::{Ear, Topics};
use super::{dial::Owned, journal::Journal, names, near::NearCache, servers::Servers};
use crate::session::Version;

/// How long one who wants to hear of everything from the start waits for the listener.
const PATIENCE: Duration = Duration::from_secs(1);

/// Who is told what was heard.
#[derive(Clone)]
struct Told {
    near: Arc<NearCache>,
    journal: Arc<Journal>,
}

impl Told {
    /// What is older than `below` is outdated.
    fn changed(&self, name: [u8; 16], below: Version) {
        self.near.changed(name, below);
        self.journal.heard(&name, below);
    }

    /// Changes in a partition may have gone unheard up to now.
    fn lost(&self, partition: u16) {
        self.near.lost(partition);
    }
}

/// Listens for as long as it is there.
pub(super) struct Listener {
    heard: watch::Sender<usize>,
    task: OnceLock<Owned>,
}

impl Listener {
    /// One that does not listen yet.
    pub(super) fn new() -> Self {
        Self { heard: watch::Sender::new(0), task: OnceLock::new() }
    }

    /// Listens from now on.
    pub(super) fn start(&self, servers: &Arc<Servers>, near: &Arc<NearCache>, journal: &Arc<Journal>) {
        self.task.get_or_init(|| {
            let (listening, heard) = (servers.clone(), self.heard.clone());
            let told = Told { near: near.clone(), journal: journal.clone() };
            servers.spawn(async move {
                match &*listening {
                    Servers::One(node) => {
                        Ear { node: node.clone(), told, heard, on_doubt: Box::new(|| {}) }.listen(Topics::All).await;
                    }
                    Servers::Many(cluster) => shards::listen(cluster, &told, &heard).await,
                }
            })
        });
    }

    /// Completes when every change is heard of, or when it takes too long.
    pub(super) async fn listens(&self) {
        let mut heard = self.heard.subscribe();
        let everything = heard.wait_for(|partitions| *partitions == usize::from(names::PARTITIONS));
        let _ = timeout(PATIENCE, everything).await;
    }
}
