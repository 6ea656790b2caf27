//! What the protocol cannot promise, each shown by a counterexample: if one is found no more, the promise has grown.

use crate::{
    properties::{NEVER_SERVED_AFTER_LOGOUT, NOTHING_IS_LOST, ONE_PRESENTATION},
    service::{Contract, Successors},
    state::{Pauses, Protocol},
};

/// A node that is stopped between its last look at the clock and `write(2)`, for longer than its lease and the grace,
/// presents a token that another has rotated in the meantime. Nothing on this side of the socket can prevent it. Under
/// a strict contract nobody else presents a token in doubt, so there even this is harmless: see `explore.rs`.
#[test]
fn a_grace_is_no_help_against_a_node_that_stands_still_for_longer() {
    let protocol = Protocol { pauses: Pauses::Anywhere, ..Protocol::new(Contract::Grace, 0) };
    assert!(protocol.unfolded().counterexample(ONE_PRESENTATION).is_some());
}

/// A node keeps serving the set that the store did not take, because that is what it is kept for. If the session is
/// logged out elsewhere, the node learns of it with its next word from the store: it asks for every caller, so at once
/// when the store answers, and never as long as it does not.
#[test]
fn a_node_that_is_cut_off_with_an_unsaved_set_cannot_know_of_a_logout_elsewhere() {
    let trace = Protocol::new(Contract::Strict, 1).unfolded().counterexample(NEVER_SERVED_AFTER_LOGOUT);
    assert!(trace.is_some());
}

/// A grace that lets only the newest of a token's successors live does not fit two nodes: the store may have taken
/// the older one. The contract's "accepted again" must mean that the first successor stays good.
#[test]
fn a_grace_that_replaces_the_first_successor_loses_sessions() {
    let protocol = Protocol { successors: Successors::Newest, ..Protocol::new(Contract::Grace, 1) };
    assert!(protocol.unfolded().counterexample(NOTHING_IS_LOST).is_some());
}

/// A grace that ends early, with the first use of the successor, is none for a request that the network still holds,
/// or for a node that was allowed to present just before: if the next rotation follows within the grace, the service
/// sees reuse. The contract's "accepted again" must mean the whole grace, whatever became of the successor.
#[test]
fn a_grace_that_ends_with_the_successors_use_does_not_bear_two_rotations_at_once() {
    let protocol = Protocol { successors: Successors::SameUntilUsed, ..Protocol::new(Contract::Grace, 1) };
    assert!(protocol.unfolded().counterexample(ONE_PRESENTATION).is_some());
}
