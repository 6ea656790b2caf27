//! Explores every interleaving of every mishap within the bounds, one run a rotation contract.

use stateright::{Checker, Expectation, HasDiscoveries, Model, Property};

use crate::{
    action::Action,
    properties,
    rules::Rule,
    service::{Contract, Successors},
    state::{Budget, Pauses, Protocol, State},
};

/// Every broken rule shows within so many steps.
const MAX_TRACE: usize = 20;

impl Model for Protocol {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![self.opened()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        self.possible(state, actions);
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = state.clone();
        self.apply(&mut next, action);
        Some(next)
    }

    fn properties(&self) -> Vec<Property<Self>> {
        let mut all = properties::always();
        all.extend(properties::sometimes(self.contract));
        all.push(properties::beyond_reach());
        all
    }
}

impl Protocol {
    /// The protocol as it is meant to be, with one grace period that may end and one logout.
    pub(crate) fn new(contract: Contract, mishaps: u8) -> Self {
        // Only a grace can be outlasted by a node that stands still; see `limits.rs`.
        let pauses = if contract == Contract::Grace { Pauses::Never } else { Pauses::Anywhere };
        let graces = u8::from(contract == Contract::Grace);
        let budget = Budget { mishaps, graces, logouts: 1 };
        Self { contract, successors: Successors::All, rotations: 2, budget, pauses, broken: None, folded: true }
    }

    /// The same with one rule broken, and names that stay, so that a trace can be read.
    pub(crate) fn breaking(self, rule: Rule) -> Self {
        Self { broken: Some(rule), ..self.unfolded() }
    }

    pub(crate) fn unfolded(self) -> Self {
        Self { folded: false, ..self }
    }

    /// A short way to break `property`.
    pub(crate) fn counterexample(self, property: &'static str) -> Option<Vec<Action>> {
        println!("{property}; {:?}, broken: {:?}", self.contract, self.broken);
        (1..=MAX_TRACE).find_map(|steps| {
            let finish = HasDiscoveries::AnyOf([property].into());
            let checker = self.clone().checker().target_max_depth(steps).finish_when(finish).spawn_bfs().join();
            let trace = checker.discovery(property)?.into_actions();
            for action in &trace {
                println!("    {action:?}");
            }
            Some(trace)
        })
    }

    /// Explores everything: all that must hold holds everywhere, and all that must be reachable is.
    fn keeps_its_promises(self) {
        let checker = self.checker().threads(2).spawn_bfs().join();
        let (states, steps) = (checker.unique_state_count(), checker.state_count());
        let Protocol { contract, successors, budget, .. } = checker.model();
        println!(
            "{contract:?} ({successors:?}), {budget:?}: {states} states, {steps} steps, at most {} deep",
            checker.max_depth()
        );
        assert!(checker.is_done(), "the exploration was cut short");
        for property in checker.model().properties() {
            let found = checker.discovery(property.name).map(stateright::Path::into_actions);
            match property.expectation {
                _ if property.name == properties::NEVER_SERVED_AFTER_LOGOUT => {} // beyond reach, see `limits.rs`
                Expectation::Always => assert!(found.is_none(), "{contract:?}: {}: {found:#?}", property.name),
                _ => assert!(found.is_some(), "{contract:?}: not reachable: {}", property.name),
            }
        }
    }
}

#[test]
fn a_strict_contract_keeps_every_promise_wherever_nodes_stand_still() {
    Protocol::new(Contract::Strict, 4).keeps_its_promises();
}

#[test]
fn a_grace_keeps_every_promise() {
    Protocol::new(Contract::Grace, 2).keeps_its_promises();
}

/// What the embedded service does.
#[test]
fn a_grace_that_repeats_the_successor_keeps_every_promise() {
    Protocol { successors: Successors::Same, ..Protocol::new(Contract::Grace, 2) }.keeps_its_promises();
}

#[test]
fn reusable_tokens_keep_every_promise_wherever_nodes_stand_still() {
    Protocol::new(Contract::Reusable, 2).keeps_its_promises();
}

#[test]
fn an_idempotency_key_keeps_every_promise_wherever_nodes_stand_still() {
    Protocol::new(Contract::Idempotent, 2).keeps_its_promises();
}

#[test]
#[ignore = "half a minute with --release, several without"]
fn one_more_mishap_breaks_no_promise() {
    Protocol::new(Contract::Strict, 5).keeps_its_promises();
    for contract in [Contract::Reusable, Contract::Idempotent, Contract::Grace] {
        Protocol::new(contract, 3).keeps_its_promises();
    }
}
