//! [`Node`]: one server as commands are sent to it, with or without waiting for its replicas.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use redis::{Cmd, Pipeline, Value};
use tokio::sync::Semaphore;

use super::{dial::Dialer, endpoint::Endpoint, failure::Failure, link::Link, server_clock::ServerClock};
use crate::clock::Clock;

/// How long a replica may take to confirm a write.
const REPLICA_TIMEOUT: Duration = Duration::from_millis(200);
/// Writes that may wait for a replica at once. WAIT holds up its whole connection, so each has one to itself.
const WAITING: usize = 16;

/// One server.
pub(super) struct Node {
    link: Link,
    waiting: Waiting,
}

/// Links whose writes wait for a replica, each used by one write at a time.
struct Waiting {
    links: Vec<Link>,
    free: Mutex<Vec<usize>>,
    turns: Semaphore,
}

/// How a command is to be sent.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Manner {
    /// After ASKING: the key is on its way to this server.
    pub(super) asking: bool,
    /// Confirmed by a replica.
    pub(super) replicated: bool,
    /// Whether it may be sent again when its answer was lost.
    pub(super) repeatable: bool,
}

/// What a server answered.
#[derive(Debug)]
pub(super) struct Answered {
    pub(super) value: Value,
    /// False when a replica was to confirm and none did.
    pub(super) replicated: bool,
    pub(super) node: Arc<Node>,
}

impl Node {
    pub(super) fn new(endpoint: impl Fn() -> Endpoint, dialer: &Arc<Dialer>, clock: &Arc<dyn Clock>) -> Arc<Self> {
        let link = || Link::new(endpoint(), dialer.clone(), clock.clone());
        let waiting = Waiting {
            links: (0..WAITING).map(|_| link()).collect(),
            free: Mutex::new((0..WAITING).collect()),
            turns: Semaphore::new(WAITING),
        };
        Arc::new(Self { link: link(), waiting })
    }

    pub(super) fn link(&self) -> &Link {
        &self.link
    }

    pub(super) fn server_clock(&self) -> &ServerClock {
        self.link.server_clock()
    }

    /// Sends a command.
    pub(super) async fn run(self: &Arc<Self>, command: &Cmd, manner: Manner) -> Result<Answered, Failure> {
        if manner.replicated {
            return self.run_replicated(command, manner).await;
        }
        let value = if manner.asking {
            let mut pipeline = Pipeline::new();
            pipeline.cmd("ASKING").add_command(command.clone());
            last(self.link.send(&pipeline).await?)?
        } else {
            self.link.ask(command).await?
        };
        Ok(Answered { value, replicated: true, node: self.clone() })
    }

    async fn run_replicated(self: &Arc<Self>, command: &Cmd, manner: Manner) -> Result<Answered, Failure> {
        let _turn = self.waiting.turns.acquire().await.map_err(|_| Failure::Lost)?;
        let place = Place::take(&self.waiting);
        let mut pipeline = Pipeline::new();
        if manner.asking {
            pipeline.cmd("ASKING");
        }
        let timeout = u64::try_from(REPLICA_TIMEOUT.as_millis()).expect("a short time");
        pipeline.add_command(command.clone()).cmd("WAIT").arg(1).arg(timeout);
        let mut answers = place.link().send(&pipeline).await?;
        let confirmed = answers.pop();
        let value = last(answers)?;
        let replicated = matches!(confirmed, Some(Ok(Value::Int(replicas))) if replicas > 0);
        Ok(Answered { value, replicated, node: self.clone() })
    }
}

/// A link taken for one write.
struct Place<'a> {
    waiting: &'a Waiting,
    place: usize,
}

impl<'a> Place<'a> {
    /// The link that was used last: few are ever connected while little is written.
    fn take(waiting: &'a Waiting) -> Self {
        let place = waiting.free.lock().unwrap_or_else(PoisonError::into_inner).pop();
        Self { waiting, place: place.expect("as many links as turns") }
    }

    fn link(&self) -> &Link {
        &self.waiting.links[self.place]
    }
}

impl Drop for Place<'_> {
    fn drop(&mut self) {
        self.waiting.free.lock().unwrap_or_else(PoisonError::into_inner).push(self.place);
    }
}

fn last(answers: Vec<Result<Value, super::failure::Refusal>>) -> Result<Value, Failure> {
    answers.into_iter().next_back().ok_or(Failure::Nonsense)?.map_err(Failure::Refused)
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node").finish_non_exhaustive()
    }
}
