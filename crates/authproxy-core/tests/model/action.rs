//! What may happen next: every interleaving of these is explored.
//!
//! Callers are not among them. A caller reads a state (see `decision.rs`), perhaps makes a flight take off, and reads
//! a later state; one that hangs up just stops reading. So a dropped caller is no step at all, which is the third
//! promise by construction: the flight belongs to the node. That the code has it so is shown where tasks exist.

use crate::{
    node::{Flight, Logout, Node},
    record::Version,
    state::{NODES, Pauses, Protocol, State},
};

/// Which node.
pub(crate) type At = usize;

/// Whether the answer to a store verb arrives. The verb is applied either way.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Reply {
    Heard,
    Lost,
}

/// One atomic step of somebody.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Action {
    /// Somebody wants a refresh: a caller, a background task, a refresh by hand.
    TakeOff(At),
    Begin(At, Reply),
    Commit(At, Reply),
    Abort(At, Reply),
    /// The saver writes the n-th set that is not in the store yet.
    Save(At, usize, Reply),
    /// The node gives back the n-th lease that it may hold. Unheard it would do the same again, which is no new state.
    GiveBack(At, usize),
    /// The store does not answer, and the flight's tries are used up.
    GiveUpOnStore(At),
    /// The request is written to the socket.
    Send(At),
    /// The service acts on the request, and its answer arrives.
    Answer(At),
    /// The service refuses the request unprocessed, or it never left.
    Refuse(At),
    /// The service acts on the request, and its answer is lost on its way.
    LoseAnswer(At),
    /// No answer in time; the request may still be under way.
    TimeOut(At),
    StrayArrives(usize),
    StrayVanishes(usize),
    /// The store applies a verb that its sender has given up on.
    LateVerb(usize),
    /// `remove` is applied.
    LogOut(At),
    /// Its answer arrives, the node clears its slot and acknowledges.
    Acknowledge(At),
    /// Its answer is lost: the user is told that the logout failed.
    LoseLogout(At),
    /// `kill -9` and a restart.
    Crash(At),
    LeaseRunsOut,
    GraceEnds,
    /// The service ends the session of its own accord.
    ServiceRevokes,
}

impl Protocol {
    /// Everything that may happen now.
    pub(crate) fn possible(&self, state: &State, actions: &mut Vec<Action>) {
        for at in 0..NODES {
            self.flight(state, at, actions);
            Self::surroundings(state, at, actions);
        }
        for stray in 0..state.strays.len() {
            actions.push(Action::StrayArrives(stray));
            actions.push(Action::StrayVanishes(stray));
        }
        actions.extend((0..state.late.len()).map(Action::LateVerb));
        if let Some(held) = state.record.attempt.filter(|attempt| attempt.live) {
            let presenting = state.nodes.iter().filter_map(Node::presenting);
            let outlasted = presenting.map(|it| it.lease.attempt).all(|attempt| attempt != held.id);
            if outlasted || self.pauses == Pauses::Anywhere {
                actions.push(Action::LeaseRunsOut);
            }
        }
        if state.left.graces > 0 && (!state.is_presenting_again() || self.pauses == Pauses::Anywhere) {
            actions.push(Action::GraceEnds);
        }
        if state.left.mishaps > 0 && !state.service.revoked {
            actions.push(Action::ServiceRevokes);
        }
    }

    fn flight(&self, state: &State, at: At, actions: &mut Vec<Action>) {
        let left = &state.left;
        let store = |verb: fn(At, Reply) -> Action, actions: &mut Vec<Action>| {
            actions.push(verb(at, Reply::Heard));
            if left.mishaps > 0 {
                actions.push(verb(at, Reply::Lost));
                actions.push(Action::GiveUpOnStore(at));
            }
        };
        match state.nodes[at].flight {
            Flight::Idle => {
                let at_hand = state.at_hand(at).is_some_and(|version| version <= self.rotations);
                if at_hand {
                    actions.push(Action::TakeOff(at));
                }
            }
            Flight::Asking(_) => store(Action::Begin, actions),
            Flight::Granted(_) => actions.push(Action::Send(at)),
            Flight::Sent(_) => {
                actions.push(Action::Answer(at));
                actions.push(Action::Refuse(at));
                if left.mishaps > 0 {
                    actions.push(Action::LoseAnswer(at));
                    actions.push(Action::TimeOut(at));
                }
            }
            Flight::Committing { .. } => store(Action::Commit, actions),
            Flight::Aborting { .. } => store(Action::Abort, actions),
        }
    }

    fn surroundings(state: &State, at: At, actions: &mut Vec<Action>) {
        let node = &state.nodes[at];
        for nth in 0..node.saving.len() {
            actions.push(Action::Save(at, nth, Reply::Heard));
            if state.left.mishaps > 0 {
                actions.push(Action::Save(at, nth, Reply::Lost));
            }
        }
        for nth in 0..node.giving_back.len() {
            actions.push(Action::GiveBack(at, nth));
        }
        match node.logout {
            Logout::None if state.left.logouts > 0 => actions.push(Action::LogOut(at)),
            Logout::None => {}
            Logout::Removed(_) => {
                actions.push(Action::Acknowledge(at));
                if state.left.mishaps > 0 {
                    actions.push(Action::LoseLogout(at));
                }
            }
        }
        if state.left.mishaps > 0 && *node != Node::default() {
            actions.push(Action::Crash(at));
        }
    }
}

impl State {
    /// The version that a caller at this node finds: the unsaved one, or the store's.
    pub(crate) fn at_hand(&self, at: At) -> Option<Version> {
        let stored = (!self.record.removed).then_some(self.record.version);
        self.nodes[at].unsaved.map(|unsaved| unsaved.version).or(stored)
    }

    /// Whether a presentation is under way that only the grace allows, or one that a second one may have overtaken.
    /// The policy keeps a margin of the grace for these; only a stopped node or network exceeds it.
    pub(crate) fn is_presenting_again(&self) -> bool {
        let again = |node: &Node| match node.flight {
            Flight::Granted(presentation) | Flight::Sent(presentation) => presentation.again,
            _ => false,
        };
        !self.strays.is_empty() || self.nodes.iter().any(again)
    }
}
