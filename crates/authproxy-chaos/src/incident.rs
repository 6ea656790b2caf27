//! What the harness did to the fleet, and when: the judge excuses only what an incident explains.

use std::{collections::HashSet, fmt, time::Duration};

use tokio::time::Instant;

use crate::relay::Name;

/// How soon after a fault of the store everything is to work again.
pub(crate) const RECOVERY: Duration = Duration::from_secs(2);

/// One thing that was done.
#[derive(Clone, Debug)]
pub(crate) struct Incident {
    pub(crate) kind: Kind,
    pub(crate) from: Instant,
    /// When it was undone; what was only an instant ends where it began.
    pub(crate) until: Instant,
    /// The sessions whose refresh was under way on the node at that moment: permission asked for, and not yet settled.
    pub(crate) in_flight: HashSet<Name>,
}

/// What was done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// kill -9 of a node.
    Killed(usize),
    /// SIGSTOP of a node, and SIGCONT at the end.
    Stopped(usize),
    /// SIGTERM of a node.
    Terminated(usize),
    /// The auth service misbehaved.
    Auth(&'static str),
    /// The store could not be reached or did not work, and kept its data.
    Store(&'static str),
    /// The store lost its data.
    Emptied,
}

impl Incident {
    /// Whether it touches this span of time, or the `after` that follows it.
    pub(crate) fn touches(&self, from: Instant, until: Instant, after: Duration) -> bool {
        self.from <= until && from <= self.until + after
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Killed(node) => write!(f, "kill -9 of node {node}"),
            Self::Stopped(node) => write!(f, "SIGSTOP of node {node}"),
            Self::Terminated(node) => write!(f, "SIGTERM of node {node}"),
            Self::Auth(what) => write!(f, "auth service {what}"),
            Self::Store(what) => write!(f, "Redis {what}"),
            Self::Emptied => f.write_str("Redis restarted empty"),
        }
    }
}
