//! [`Cluster`]: many primaries, each with its slots, found by asking whoever answers.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use futures_util::{FutureExt, future::select_ok};
use redis::{Cmd, Value};
use tokio::{
    sync::{Notify, watch},
    time::{sleep, timeout},
};

use super::{
    connect_error::{ConnectError, ConnectProblem},
    dial::{CONNECT_TIMEOUT, Dialer, Owned, Purpose},
    endpoint::Endpoint,
    failure::{Failure, Refusal},
    link::jittered,
    node::Node,
    slots::SlotMap,
    url::Address,
};
use crate::clock::{Clock, Timestamp};

/// The least time between two questions for the map.
const PAUSE: Duration = Duration::from_millis(200);
/// Servers that are asked for the map at once.
const ASKED: usize = 6;

/// A Cluster.
pub(super) struct Cluster {
    inner: Arc<Inner>,
    keeper: OnceLock<Owned>,
}

struct Inner {
    seeds: Vec<Address>,
    dialer: Arc<Dialer>,
    clock: Arc<dyn Clock>,
    map: watch::Sender<State>,
    outdated: Notify,
    nodes: Mutex<HashMap<Address, Arc<Node>>>,
}

#[derive(Clone)]
enum State {
    /// Nobody was asked yet.
    Unknown,
    Known(Arc<SlotMap>),
    /// Nobody has answered yet, or not usefully.
    Failed(ConnectError),
}

impl Cluster {
    /// A Cluster that is asked for its map when it is first used.
    pub(super) fn new(seeds: Vec<Address>, dialer: Arc<Dialer>, clock: Arc<dyn Clock>) -> Self {
        let inner = Inner {
            seeds,
            dialer,
            clock,
            map: watch::Sender::new(State::Unknown),
            outdated: Notify::new(),
            nodes: Mutex::default(),
        };
        Self { inner: Arc::new(inner), keeper: OnceLock::new() }
    }

    /// Who serves a slot, as far as is known.
    pub(super) async fn owner(&self, slot: u16) -> Result<Arc<Node>, Failure> {
        let map = self.map().await.map_err(Failure::Unconnected)?;
        let Some(owner) = map.owner(slot) else {
            self.inner.outdated.notify_one();
            return Err(Failure::Refused(Refusal::ClusterDown));
        };
        Ok(self.inner.node(owner))
    }

    /// A server that a redirection names.
    pub(super) fn node(&self, address: &Address) -> Arc<Node> {
        self.inner.node(address)
    }

    /// An address to name when none was reached.
    pub(super) fn seed(&self) -> &Address {
        &self.inner.seeds[0]
    }

    /// Everyone who serves a slot now.
    pub(super) async fn primaries(&self) -> Result<Vec<Arc<Node>>, ConnectError> {
        let map = self.map().await?;
        Ok(map.primaries().into_iter().map(|address| self.inner.node(address)).collect())
    }

    /// A slot has moved: uses its new server from now on, and asks for the whole map.
    pub(super) fn moved(&self, slot: u16, to: &Address) {
        self.inner.map.send_if_modified(|state| {
            let State::Known(map) = state else { return false };
            if map.owner(slot) == Some(to) {
                return false;
            }
            let Some(moved) = map.with_owner(slot, to.clone()) else { return false };
            *state = State::Known(Arc::new(moved));
            true
        });
        self.inner.outdated.notify_one();
    }

    /// Something does not go as the map says: asks for a new one, in the background.
    pub(super) fn doubt(&self) {
        self.inner.outdated.notify_one();
    }

    /// When another primary was met, from now on.
    pub(super) fn met(&self) -> watch::Receiver<Timestamp> {
        self.inner.dialer.primaries.subscribe()
    }

    /// Begins a task that belongs to the store.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> Owned {
        self.inner.dialer.spawn(task)
    }

    /// [`doubt`](Self::doubt), for one who outlives this.
    pub(super) fn doubter(&self) -> impl Fn() + Send + Sync + 'static {
        let inner = Arc::downgrade(&self.inner);
        move || inner.upgrade().into_iter().for_each(|inner| inner.outdated.notify_one())
    }

    /// The maps from now on.
    pub(super) fn maps(&self) -> Maps {
        self.keep();
        Maps(self.inner.map.subscribe())
    }

    fn keep(&self) {
        self.keeper.get_or_init(|| self.inner.dialer.spawn(keep(self.inner.clone())));
    }

    async fn map(&self) -> Result<Arc<SlotMap>, ConnectError> {
        self.keep();
        let mut state = self.inner.map.subscribe();
        let known = timeout(CONNECT_TIMEOUT, state.wait_for(|state| !matches!(state, State::Unknown))).await;
        match known.as_ref().map(|state| state.as_deref()) {
            Ok(Ok(State::Known(map))) => Ok(map.clone()),
            Ok(Ok(State::Failed(error))) => Err(error.clone()),
            Ok(Ok(State::Unknown) | Err(_)) | Err(_) => {
                Err(ConnectError::new(&self.inner.seeds[0], ConnectProblem::TimedOut))
            }
        }
    }
}

/// The map, and each one that follows it.
pub(super) struct Maps(watch::Receiver<State>);

impl Maps {
    /// The present map at first, then the next one that differs; `None` when the cluster is gone.
    pub(super) async fn next(&mut self) -> Option<Arc<SlotMap>> {
        loop {
            if let State::Known(map) = &*self.0.borrow_and_update() {
                return Some(map.clone());
            }
            self.0.changed().await.ok()?;
        }
    }

    /// Completes when the map is another.
    pub(super) async fn changed(&mut self) -> Option<()> {
        self.0.changed().await.ok()
    }
}

/// Asks for the map at first, whenever somebody finds it wrong, and until there is one; never in a hurry.
async fn keep(inner: Arc<Inner>) {
    loop {
        match inner.ask_somebody().await {
            Ok(map) => {
                inner.forget_all_but(&map);
                inner.map.send_replace(State::Known(Arc::new(map)));
                sleep(jittered(PAUSE)).await;
                inner.outdated.notified().await;
            }
            Err(error) => {
                inner.map.send_if_modified(|state| {
                    let unknown = !matches!(state, State::Known(_));
                    if unknown {
                        tracing::warn!(%error, "no map of the Redis Cluster; trying on");
                        *state = State::Failed(error);
                    }
                    unknown
                });
                sleep(jittered(PAUSE)).await;
            }
        }
    }
}

impl Inner {
    fn node(&self, address: &Address) -> Arc<Node> {
        let mut nodes = self.nodes.lock().unwrap_or_else(PoisonError::into_inner);
        let new = || Node::new(|| Endpoint::Fixed(address.clone()), &self.dialer, &self.clock);
        nodes.entry(address.clone()).or_insert_with(new).clone()
    }

    /// Closes the connections to those who serve nothing any more, once nobody uses them.
    fn forget_all_but(&self, map: &SlotMap) {
        let serving = map.primaries();
        self.nodes.lock().unwrap_or_else(PoisonError::into_inner).retain(|address, _| serving.contains(address));
    }

    /// The first map that anyone has.
    async fn ask_somebody(&self) -> Result<SlotMap, ConnectError> {
        let mut known: Vec<Address> = match &*self.map.borrow() {
            State::Known(map) => map.primaries().into_iter().cloned().collect(),
            State::Unknown | State::Failed(_) => Vec::new(),
        };
        known.extend(self.seeds.iter().cloned());
        known.sort();
        known.dedup();
        // Others each time: one that is cut off from the rest may answer with what was.
        let first = usize::try_from(getrandom::u32().unwrap_or(0)).unwrap_or(0) % known.len();
        known.rotate_left(first);
        let asking = known.iter().take(ASKED).map(|address| self.ask(address).boxed());
        select_ok(asking).await.map(|(map, _)| map)
    }

    async fn ask(&self, address: &Address) -> Result<SlotMap, ConnectError> {
        let failed = |problem| ConnectError::new(address, problem);
        let question = Cmd::new().arg("CLUSTER").arg("SLOTS").to_owned();
        let known = self.nodes.lock().unwrap_or_else(PoisonError::into_inner).get(address).cloned();
        let answer = match known {
            Some(node) => node.link().ask(&question).await,
            None => self.dialer.dial(address, Purpose::Directory).await?.ask(&question).await,
        };
        match answer {
            Err(Failure::Unconnected(error)) => Err(error),
            Ok(Value::Array(ranges)) if ranges.is_empty() => Err(failed(ConnectProblem::ClusterDown)),
            Ok(answer) => SlotMap::parse(answer, address).ok_or_else(|| failed(ConnectProblem::NotRedis)),
            Err(Failure::Refused(Refusal::Other(_))) => Err(failed(ConnectProblem::NotACluster)),
            Err(Failure::Refused(refusal)) => Err(failed(ConnectProblem::of_refusal(&refusal))),
            Err(_) => Err(failed(ConnectProblem::TimedOut)),
        }
    }
}
