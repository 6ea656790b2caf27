//! [`Servers`]: sends a command to whoever has its key, and follows where Redis says it is.

use std::{sync::Arc, time::Duration};

use redis::{Cmd, Value};
use tokio::{sync::watch, time::sleep};

use super::{
    cluster::Cluster,
    connect_error::ConnectError,
    dial::{Dialer, Owned},
    endpoint::{Endpoint, Sentinels},
    failure::{Failure, Refusal},
    names,
    node::{Answered, Manner, Node},
    slots::slot_of,
    url::{Address, Layout},
    vetting,
};
use crate::clock::{Clock, Timestamp};

/// Redirections that one command follows, and times that it asks again for a slot that is being moved.
const HOPS: usize = 6;
/// The pause before asking again for a slot that is being moved.
const WHILE_MOVING: Duration = Duration::from_millis(20);

/// All servers behind one URL.
pub(super) enum Servers {
    One(Arc<Node>),
    Many(Cluster),
}

/// Where a command goes next.
enum Next {
    Again,
    To(Arc<Node>),
    Asking(Arc<Node>),
}

impl Servers {
    pub(super) fn new(layout: Layout, dialer: Dialer, clock: Arc<dyn Clock>) -> Self {
        let dialer = Arc::new(dialer);
        let one = |endpoint: &dyn Fn() -> Endpoint| Self::One(Node::new(endpoint, &dialer, &clock));
        match layout {
            Layout::Single(address) => one(&|| Endpoint::Fixed(address.clone())),
            Layout::Sentinels { sentinels, master } => {
                one(&|| Endpoint::Watched { sentinels: Sentinels::new(sentinels.clone()), master: master.clone() })
            }
            Layout::Cluster(seeds) => Self::Many(Cluster::new(seeds, dialer, clock)),
        }
    }

    /// When another primary was met, from now on.
    pub(super) fn primaries(&self) -> watch::Receiver<Timestamp> {
        match self {
            Self::One(node) => node.link().primaries(),
            Self::Many(cluster) => cluster.met(),
        }
    }

    /// Whether another primary was met so short a time ago.
    pub(super) fn has_met_a_primary_within(&self, span: Duration, now: Timestamp) -> bool {
        now.since(*self.primaries().borrow()) < span
    }

    /// Begins a task that belongs to the store.
    pub(super) fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) -> Owned {
        match self {
            Self::One(node) => node.link().spawn(task),
            Self::Many(cluster) => cluster.spawn(task),
        }
    }

    /// Whether these are a Cluster.
    pub(super) fn are_a_cluster(&self) -> bool {
        matches!(self, Self::Many(_))
    }

    /// Sends a command to the server that has `key`. It is sent again only where it was certainly not processed, or
    /// where `manner` says that it may be repeated, and then once.
    pub(super) async fn ask(&self, key: &str, command: &Cmd, manner: Manner) -> Result<Answered, Failure> {
        let slot = slot_of(key);
        let mut node = self.owner(slot).await?;
        let mut asking = false;
        let mut tries_left = 1;
        for _ in 0..HOPS {
            let failure = match node.run(command, Manner { asking, ..manner }).await {
                Ok(answered) => return Ok(answered),
                Err(failure) => failure,
            };
            asking = false;
            match self.next(slot, &failure, manner, &node) {
                Some(Next::To(there)) => node = there,
                Some(Next::Asking(there)) => {
                    node = there;
                    asking = true;
                }
                Some(Next::Again) if matches!(failure, Failure::Refused(Refusal::TryAgain)) => {
                    sleep(WHILE_MOVING).await;
                }
                Some(Next::Again) if tries_left > 0 => {
                    tries_left -= 1;
                    node = self.owner(slot).await?;
                }
                Some(Next::Again) | None => return Err(failure),
            }
        }
        Err(Failure::Refused(Refusal::TryAgain))
    }

    /// Whether everyone who is needed can be reached and answers.
    pub(super) async fn ready(&self) -> Result<(), ConnectError> {
        let nodes = match self {
            Self::One(node) => vec![node.clone()],
            Self::Many(cluster) => cluster.primaries().await?,
        };
        for node in nodes {
            self.vet(&node).await?;
        }
        let probe = names::handed_out(b"ready");
        let question = Cmd::new().arg("EXISTS").arg(&probe).to_owned();
        let manner = Manner { repeatable: true, ..Manner::default() };
        let answered = self.ask(&probe, &question, manner).await;
        answered.map(drop).map_err(|failure| match self {
            Self::One(node) => ConnectError::of_failure(node.link().address(), &failure),
            Self::Many(cluster) => ConnectError::of_failure(cluster.seed(), &failure),
        })
    }

    /// Whether a server is one that a session store can use, as far as it tells.
    async fn vet(&self, node: &Node) -> Result<(), ConnectError> {
        let at = node.link().address();
        match node.link().ask(Cmd::new().arg("INFO")).await {
            Ok(Value::BulkString(info)) => {
                let info = String::from_utf8_lossy(&info);
                vetting::vet(&info, self.are_a_cluster()).map_err(|problem| ConnectError::new(at, problem))
            }
            // Not everybody may ask; then the first verbs tell.
            Ok(_) | Err(Failure::Refused(Refusal::NoPermission(_))) => Ok(()),
            Err(failure) => Err(ConnectError::of_failure(at, &failure)),
        }
    }

    fn next(&self, slot: u16, failure: &Failure, manner: Manner, asked: &Node) -> Option<Next> {
        match (self, failure) {
            (Self::Many(cluster), Failure::Refused(Refusal::Moved(address))) => {
                let address = meant(address, asked);
                cluster.moved(slot, &address);
                Some(Next::To(cluster.node(&address)))
            }
            (Self::Many(cluster), Failure::Refused(Refusal::Ask(address))) => {
                Some(Next::Asking(cluster.node(&meant(address, asked))))
            }
            (Self::Many(_), Failure::Refused(Refusal::TryAgain)) => Some(Next::Again),
            (Self::Many(cluster), Failure::Unconnected(_) | Failure::Refused(Refusal::ClusterDown)) => {
                cluster.doubt();
                None
            }
            // The link is already on its way to the new primary.
            (_, Failure::Refused(Refusal::ReadOnly)) => {
                self.doubt();
                Some(Next::Again)
            }
            (_, Failure::Lost) => {
                self.doubt();
                manner.repeatable.then_some(Next::Again)
            }
            (_, Failure::TimedOut) => {
                self.doubt();
                None
            }
            _ => None,
        }
    }

    fn doubt(&self) {
        if let Self::Many(cluster) = self {
            cluster.doubt();
        }
    }

    async fn owner(&self, slot: u16) -> Result<Arc<Node>, Failure> {
        match self {
            Self::One(node) => Ok(node.clone()),
            Self::Many(cluster) => cluster.owner(slot).await,
        }
    }
}

/// The address of a redirection. One without a host means the host that was asked.
fn meant(address: &Address, asked: &Node) -> Address {
    match (address, asked.link().address().host()) {
        (Address::Tcp { host, port }, Some(same)) if host.is_empty() => {
            Address::Tcp { host: same.to_owned(), port: *port }
        }
        _ => address.clone(),
    }
}
