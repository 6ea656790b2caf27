//! The whole world as one value, and the bounds within which it is explored.

use crate::{
    node::Node,
    record::{AttemptId, Moment, Record, Verb, Version},
    rules::Rule,
    service::{Contract, MOST, Request, Service, Successors},
};

/// How many nodes share the store.
pub(crate) const NODES: usize = 2;

/// Two nodes, one store, one auth service, one session.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct State {
    pub(crate) record: Record,
    pub(crate) service: Service,
    pub(crate) nodes: [Node; NODES],
    /// Requests that outlived their sender or its patience: the service may still process them, or never.
    pub(crate) strays: Vec<Request>,
    /// Store verbs that their sender has given up on: the store may still apply them, or never.
    pub(crate) late: Vec<Verb>,
    /// How many grace periods have passed.
    pub(crate) now: Moment,
    pub(crate) left: Budget,
    pub(crate) ledger: Ledger,
}

/// How much may still happen. Everything that is not counted here may happen as often as it likes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Budget {
    /// Mishaps, of any kind and in any combination: a crash; a store verb that is applied and whose answer is lost; a
    /// node that gives up on the store; an answer of the service that is lost or late; a verdict of the service's own.
    pub(crate) mishaps: u8,
    /// Grace periods that pass.
    pub(crate) graces: u8,
    /// Logouts that are tried.
    pub(crate) logouts: u8,
}

/// What happened, for the properties only: no node and no store looks at it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Ledger {
    /// How often each refresh token was possibly presented; stops counting at 2.
    pub(crate) presented: [u8; MOST + 1],
    /// A logout reached the store.
    pub(crate) removed: bool,
    /// Which nodes have acknowledged a logout.
    pub(crate) acknowledged: [bool; NODES],
    /// A set found its session gone, and nobody had it revoked.
    pub(crate) orphaned: bool,
    /// A node threw a set away whose fate it did not know.
    pub(crate) forgotten: bool,
    /// A node had a token of this family revoked.
    pub(crate) revoked: bool,
}

/// Whether a node may be stopped (SIGSTOP) between a check and the step that it allows: between its look at the clock
/// and `write(2)`, for longer than the lease or the grace. The same for a network that holds a request that long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pauses {
    /// A lease outlasts a presentation, and the grace's margin outlasts the way to the service.
    Never,
    /// Any time may pass between any two steps.
    Anywhere,
}

/// The model: a contract, the bounds, and perhaps a broken rule.
#[derive(Clone, Debug)]
pub(crate) struct Protocol {
    pub(crate) contract: Contract,
    pub(crate) successors: Successors,
    /// No flight takes off on a later version than this.
    pub(crate) rotations: Version,
    pub(crate) budget: Budget,
    pub(crate) pauses: Pauses,
    pub(crate) broken: Option<Rule>,
    /// Explore one naming of nodes and attempts for all. Traces then change names on their way.
    pub(crate) folded: bool,
}

impl Protocol {
    pub(crate) fn opened(&self) -> State {
        State {
            record: Record::opened(),
            service: Service::logged_in(),
            nodes: Default::default(),
            strays: Vec::new(),
            late: Vec::new(),
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
                || self.is_remembered(*id)
        };
        (1..).find(|id| !taken(id)).expect("a handful of attempts at once")
    }

    fn is_remembered(&self, id: AttemptId) -> bool {
        self.nodes.iter().any(|node| node.attempts().any(|attempt| attempt == id))
            || self.late.iter().any(|verb| verb.attempt() == id)
    }

    /// Forgets what can make no difference any more, so that equal situations are equal values.
    pub(crate) fn settle(&mut self, protocol: &Protocol) {
        if self.record.removed && protocol.broken.is_none() {
            self.record = Record { removed: true, ..Record::opened() };
            self.late.clear();
        }
        if self.record.last_committed.is_some_and(|last| !self.is_remembered(last)) {
            self.record.last_committed = None;
        }
        if protocol.contract != Contract::Strict && protocol.broken.is_none() {
            // Here the service tells what is outside its contract; the count only serves the record's own token.
            let current = self.record.refresh.unwrap_or_default();
            self.ledger.presented[..usize::from(current)].fill(0);
        }
        let service = &self.service;
        self.strays.retain(|request| {
            let mut after = service.clone();
            let _nobody_hears = after.process(*request, protocol.contract, protocol.successors);
            after != *service
        });
        self.strays.sort_unstable();
        self.late.sort_unstable();
        for node in &mut self.nodes {
            node.saving.sort_unstable();
        }
        if protocol.folded {
            self.fold();
        }
    }
}
