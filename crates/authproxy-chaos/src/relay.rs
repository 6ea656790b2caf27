//! TCP between each node and Redis, in the harness' hands: it can be cut, slowed, blackened, and held at a command.
//!
//! The relay also reads along: from the commands and answers that pass it knows at any moment which sessions a node is
//! refreshing. Nobody has to tell it.

mod resp;
mod traffic;
mod watch;

use std::{
    collections::{HashMap, HashSet},
    io,
    net::{Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    net::{TcpListener, TcpSocket, TcpStream},
    sync::watch as state,
    task::JoinSet,
    time::{Instant, sleep},
};

pub(crate) use self::{
    traffic::Traffic,
    watch::{Held, Name, Side, Verb, name_of},
};
use self::{
    traffic::carry,
    watch::{Scripts, Watch},
};

/// How long a relay that refuses goes without looking whether it shall listen again.
const ROUND: Duration = Duration::from_millis(5);

/// One relay for each node.
pub(crate) struct Relays {
    addresses: Vec<SocketAddr>,
    traffic: Vec<state::Sender<Traffic>>,
    watches: Vec<Arc<Mutex<Watch>>>,
    _carrying: JoinSet<()>,
}

impl Relays {
    /// Starts so many relays to one Redis.
    pub(crate) async fn start(nodes: usize, redis: SocketAddr) -> io::Result<Self> {
        let (mut addresses, mut senders, mut watches) = (Vec::new(), Vec::new(), Vec::new());
        let mut carrying = JoinSet::new();
        let scripts = Scripts::default();
        for _ in 0..nodes {
            let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
            addresses.push(listener.local_addr()?);
            let (traffic, changes) = state::channel(Traffic::Flows);
            let watch = Arc::new(Mutex::new(Watch::new(scripts.clone())));
            carrying.spawn(listen(listener, redis, changes, watch.clone()));
            senders.push(traffic);
            watches.push(watch);
        }
        Ok(Self { addresses, traffic: senders, watches, _carrying: carrying })
    }

    /// Where a node finds its Redis.
    pub(crate) fn address(&self, node: usize) -> SocketAddr {
        self.addresses[node]
    }

    /// Changes what happens to every node's traffic.
    pub(crate) fn set(&self, traffic: Traffic) {
        for sender in &self.traffic {
            sender.send_replace(traffic);
        }
    }

    /// The sessions that a node is refreshing now.
    pub(crate) fn in_flight(&self, node: usize) -> HashSet<Name> {
        lock(&self.watches[node]).in_flight()
    }

    /// When new versions of each session were stored.
    pub(crate) fn commits(&self) -> HashMap<Name, Vec<Instant>> {
        let mut all = HashMap::<_, Vec<_>>::new();
        for watch in &self.watches {
            for (name, times) in lock(watch).commits() {
                all.entry(name.clone()).or_default().extend(times);
            }
        }
        all
    }

    /// The node is gone, and what it was doing with it.
    pub(crate) fn forget(&self, node: usize) {
        lock(&self.watches[node]).forget();
    }

    /// Holds the next command of a kind, or the answer to it, up on its way from or to a node.
    pub(crate) fn hold(&self, node: usize, verb: Verb, side: Side) -> Held {
        lock(&self.watches[node]).hold(verb, side)
    }
}

async fn listen(
    listener: TcpListener,
    redis: SocketAddr,
    mut traffic: state::Receiver<Traffic>,
    watch: Arc<Mutex<Watch>>,
) {
    let address = listener.local_addr();
    let mut listener = Some(listener);
    let mut connections = JoinSet::new();
    loop {
        if *traffic.borrow_and_update() == Traffic::Refused {
            listener = None;
            connections.shutdown().await;
            sleep(ROUND).await;
            continue;
        }
        if listener.is_none() {
            listener = address.as_ref().ok().and_then(|address| bind_again(*address).ok());
        }
        let Some(listener) = &listener else {
            sleep(ROUND).await;
            continue;
        };
        tokio::select! {
            accepted = listener.accept() => if let Ok((node, _)) = accepted {
                let (traffic, watch) = (traffic.clone(), watch.clone());
                connections.spawn(async move {
                    match TcpStream::connect(redis).await {
                        Ok(redis) => carry(node, redis, traffic, watch).await,
                        Err(_) => drop(node.set_zero_linger()),
                    }
                });
            },
            Some(_) = connections.join_next() => {}
            _ = traffic.changed() => {}
        }
    }
}

fn bind_again(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(1024)
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // What these locks hold is changed in single steps; a panic elsewhere spoils nothing.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;
