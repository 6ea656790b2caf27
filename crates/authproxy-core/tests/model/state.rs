//! The whole world as one value, and the bounds within which it is explored.

use crate::{
    node::Node,
    record::{AttemptId, Lease, Moment, Record, Verb, Version},
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
#[allow(clippy::struct_excessive_bools)] // a list of independent marks
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
                || self.record.committed.contains(&Some(*id))
                || self.is_remembered(*id)
        };
        (1..=AttemptId::MAX).find(|id| !taken(id)).expect("a handful of attempts at once")
    }

    fn is_remembered(&self, id: AttemptId) -> bool {
        self.nodes.iter().any(|node| node.attempts().any(|attempt| attempt == id))
            || self.late.iter().any(|verb| verb.attempt() == id)
    }

    /// Forgets verbs that will change nothing whenever they arrive: versions only grow, a name is granted to its own
    /// `begin` only, and nothing changes a removed session.
    fn forget_spent_verbs(&mut self) {
        if self.record.removed {
            self.record = Record { removed: true, ..Record::opened() };
            self.late.clear();
            self.nodes.iter_mut().for_each(|node| node.giving_back.clear());
        }
        let record = &self.record;
        let held = record.attempt.map(|attempt| attempt.id);
        self.late.retain(|verb| match verb {
            Verb::Begin(begin) => record.version <= begin.seen,
            Verb::Commit(lease, _) => record.version == lease.base && !record.committed.contains(&Some(lease.attempt)),
            Verb::Abort(lease, _) => record.version <= lease.base,
        });
        let asked: Vec<_> =
            self.nodes.iter().filter_map(Node::asking).chain(self.late.iter().filter_map(|verb| verb.asks())).collect();
        let may_free = |lease: &Lease| {
            record.version <= lease.base && (held == Some(lease.attempt) || asked.contains(&lease.attempt))
        };
        self.nodes.iter_mut().for_each(|node| node.giving_back.retain(may_free));
        self.late.retain(|verb| !matches!(verb, Verb::Abort(lease, _) if !may_free(lease)));
    }

    /// Forgets what can make no difference any more, so that equal situations are equal values.
    pub(crate) fn settle(&mut self, protocol: &Protocol) {
        if protocol.broken.is_none() {
            self.forget_spent_verbs();
        }
        self.record.committed = self.record.committed.map(|last| last.filter(|last| self.is_remembered(*last)));
        if protocol.contract != Contract::Strict && protocol.broken.is_none() {
            // Here the service tells what is outside its contract; the count only serves the record's own token.
            let current = self.record.refresh.unwrap_or_default();
            self.ledger.presented[..usize::from(current)].fill(0);
        }
        let service = &self.service;
        self.strays.retain(|request| {
            let mut after = service.clone();
            let _nobody_hears = after.process(*request, protocol.contract, protocol.successors);
            // Where a successor is repeated until it is spent, a request that is harmless now may not stay so.
            after != *service || protocol.successors == Successors::SameUntilUsed
        });
        self.strays.sort_unstable();
        self.late.sort_unstable();
        for node in &mut self.nodes {
            node.saving.sort_unstable();
            node.giving_back.sort_unstable();
        }
        if protocol.folded {
            self.fold();
        }
    }
}
