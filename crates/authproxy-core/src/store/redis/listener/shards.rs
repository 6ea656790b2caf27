//! Listens to all primaries of a Cluster, each for its own partitions.

use std::collections::{BTreeSet, HashMap};

use tokio::sync::watch;

use super::{
    Told,
    ear::{Ear, Topics},
};
use crate::store::redis::{
    cluster::Cluster,
    dial::Owned,
    names,
    slots::{SlotMap, slot_of},
    url::Address,
};

/// One primary that is listened to.
struct Shard {
    partitions: watch::Sender<BTreeSet<u16>>,
    _ear: Owned,
}

/// Listens for as long as it is polled, to whoever serves the partitions.
pub(super) async fn listen(cluster: &Cluster, told: &Told, heard: &watch::Sender<usize>) {
    let mut maps = cluster.maps();
    let mut shards: HashMap<Address, Shard> = HashMap::new();
    while let Some(map) = maps.next().await {
        let mut wanted = partitions(&map);
        // A server that has nothing any more is left; the others learn what they have.
        shards.retain(|address, _| wanted.contains_key(address));
        for (address, shard) in &shards {
            let partitions = wanted.remove(address).unwrap_or_default();
            shard.partitions.send_if_modified(|known| {
                let differs = *known != partitions;
                *known = partitions;
                differs
            });
        }
        for (address, partitions) in wanted {
            let (partitions, topics) = watch::channel(partitions);
            let ear = Ear {
                node: cluster.node(&address),
                told: told.clone(),
                heard: heard.clone(),
                on_doubt: Box::new(cluster.doubter()),
            };
            let ear = cluster.spawn(ear.listen(Topics::Partitions(topics)));
            shards.insert(address, Shard { partitions, _ear: ear });
        }
        if maps.changed().await.is_none() {
            return;
        }
    }
}

/// Who serves which partitions.
fn partitions(map: &SlotMap) -> HashMap<Address, BTreeSet<u16>> {
    let mut partitions: HashMap<Address, BTreeSet<u16>> = HashMap::new();
    for partition in 0..names::PARTITIONS {
        if let Some(owner) = map.owner(slot_of(&names::partition_channel(partition))) {
            partitions.entry(owner.clone()).or_default().insert(partition);
        }
    }
    partitions
}
