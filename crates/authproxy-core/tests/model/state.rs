//! The whole world as one value, and the bounds within which it is explored.

use crate::{
    node::Node,
    record::{AttemptId, Issue, Moment, Record},
    rules::Rule,
    service::{Contract, MOST, Request, Service, Successors},
};

/// How many nodes share the store.
pub(crate) const NODES: usize = 2;

/// Two nodes, one store, one auth service, one session.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct State {
    pub(crate) record: Record,
    pub(crate) service: Service,
    pub(crate) nodes: [Node; NODES],
    /// Requests that outlived their sender or its patience: the service may still process them, or never.
    pub(crate) strays: Vec<Request>,
    /// How many grace periods have passed.
    pub(crate) now: Moment,
    pub(crate) left: Budget,
    pub(crate) ledger: Ledger,
}

/// How much may still go wrong. Everything else may happen as often as it likes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Budget {
    /// A node is killed and started again.
    pub(crate) crashes: u8,
    /// A store verb is applied and its answer lost.
    pub(crate) lost_replies: u8,
    /// A node gives up on the store after all its tries.
    pub(crate) outages: u8,
    /// The service's answer to a presentation is lost, or comes too late.
    pub(crate) lost_answers: u8,
    /// A node is stopped (SIGSTOP) past its lease or past the grace between a check and the step that it allows, or
    /// the network holds a request that long. `None`: as often as it likes.
    pub(crate) pauses: Option<u8>,
    /// A grace period passes.
    pub(crate) graces: u8,
    /// Somebody logs out.
    pub(crate) logouts: u8,
    /// The service ends the session of its own accord.
    pub(crate) verdicts: u8,
}

/// What happened, for the properties only: no node and no store looks at it. Sets of token set numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub(crate) struct Ledger {
    /// How often each refresh token was possibly presented; stops counting at 2.
    pub(crate) presented: [u8; MOST + 1],
    /// A logout reached the store.
    pub(crate) removed: bool,
    /// Which nodes have acknowledged a logout.
    pub(crate) acknowledged: [bool; NODES],
    pub(crate) superseded: u8,
    /// Found their session gone.
    pub(crate) gone: u8,
    pub(crate) revoked: u8,
    /// A node threw a set away whose fate it did not know.
    pub(crate) forgotten: u8,
}

/// The model: a contract, the bounds, and perhaps a broken rule.
#[derive(Clone, Debug)]
pub(crate) struct Protocol {
    pub(crate) contract: Contract,
    pub(crate) successors: Successors,
    /// No flight takes off once the service has issued this many sets.
    pub(crate) rotations: Issue,
    pub(crate) budget: Budget,
    pub(crate) broken: Option<Rule>,
}

impl Protocol {
    pub(crate) fn opened(&self) -> State {
        State {
            record: Record::opened(),
            service: Service::logged_in(),
            nodes: Default::default(),
            strays: Vec::new(),
            now: 0,
            left: self.budget,
            ledger: Ledger::default(),
        }
    }
}

impl State {
    /// A name for an attempt that nobody remembers: as good as 128 random bits.
    pub(crate) fn fresh_attempt(&self) -> AttemptId {
        let taken = |id: &AttemptId| {
            self.record.attempt.is_some_and(|attempt| attempt.id == *id)
                || self.record.last_committed == Some(*id)
                || self.nodes.iter().any(|node| node.attempts().any(|attempt| attempt == *id))
        };
        (1..).find(|id| !taken(id)).expect("a handful of attempts at once")
    }

    /// Forgets what can make no difference any more, so that equal situations are equal values.
    pub(crate) fn settle(&mut self) {
        if let Some(last) = self.record.last_committed {
            if !self.nodes.iter().any(|node| node.attempts().any(|attempt| attempt == last)) {
                self.record.last_committed = None;
            }
        }
        self.strays.sort_unstable();
        for node in &mut self.nodes {
            node.saving.sort_unstable();
        }
    }
}

/// The one-element set of a token set's number.
pub(crate) fn bit(issue: Issue) -> u8 {
    1 << issue
}
