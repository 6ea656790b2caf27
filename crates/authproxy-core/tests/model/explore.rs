//! stateright's view of the protocol, and the runs.

use stateright::{Checker, Model, Property};

use crate::{
    action::Action,
    properties,
    rules::Rule,
    service::{Contract, Successors},
    state::{Budget, Protocol, State},
};

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
        all
    }
}

fn run(contract: Contract, budget: Budget, rotations: u8) {
    let protocol = Protocol { contract, successors: Successors::All, rotations, budget, broken: None };
    let t = std::time::Instant::now();
    let checker = protocol.checker().threads(2).spawn_bfs().join();
    eprintln!("{contract:?} {} unique, {} generated, depth {} {:?}", checker.unique_state_count(), checker.state_count(), checker.max_depth(), t.elapsed());
    for p in checker.model().properties() {
        let d = checker.discovery(p.name);
        eprintln!("  {} {:?}", p.name, d.map(|d| d.into_actions()));
    }
}
#[test]
fn sizes() {
    for contract in [Contract::Strict, Contract::Grace, Contract::Reusable, Contract::Idempotent] {
        let mut b = Budget { crashes: 1, lost_replies: 1, outages: 1, lost_answers: 1, pauses: None, graces: 0, logouts: 1, verdicts: 1 };
        if contract == Contract::Grace { b.pauses = Some(0); b.graces = 1; }
        run(contract, b, 3);
    }
    let _ = Rule::AUsableTokenIsServed;
}
