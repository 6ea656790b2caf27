//! The promises as properties: what holds in every reachable state, and what must be reachable at all.
//!
//! Promise 3 (a caller cannot break a refresh) needs no property: callers are no part of the state, see `action.rs`.
//! Promise 6 (one user's token never reaches another) is a question of keys, not of interleavings: every verb and
//! every slot belongs to one session, so the states of two sessions are pairs of the states explored here, and no
//! action moves anything from one to the other. `conformance.rs` drives two sessions through the real store and would
//! see a token that strays.

use stateright::Property;

use crate::{
    decision::{Decision, Reason, Told, ZONES, Zone},
    node::{Flight, Node},
    record::{Commit, Committed, Lease, Standing},
    service::{Contract, Request},
    state::{NODES, Protocol, State},
};

pub(crate) const ONE_PRESENTATION: &str = "1: no presentation outside the contract";
pub(crate) const UNTOUCHED_IS_UNTOUCHED: &str = "1: what the store calls untouched was not presented";
pub(crate) const NO_NEEDLESS_WAIT: &str = "2: a usable token is served at once";
pub(crate) const NO_NEEDLESS_LOGIN: &str = "4: only a verdict, a logout or a lost outcome asks for a login";
pub(crate) const NOTHING_IS_LOST: &str = "4: what the contract can save is saved";
pub(crate) const NEVER_REVIVED: &str = "5: a removed session stays removed";
pub(crate) const NOT_SERVED_AFTER_LOGOUT: &str =
    "5: after logout only a node that is cut off with an unsaved set still serves";
pub(crate) const GONE_IS_REVOKED: &str = "5: a set whose session is gone is revoked";
pub(crate) const LIVING_IS_NOT_REVOKED: &str = "5: no lineage is revoked that was not logged out";

/// What holds in every state.
pub(crate) fn always() -> Vec<Property<Protocol>> {
    vec![
        Property::always(ONE_PRESENTATION, one_presentation),
        Property::always(UNTOUCHED_IS_UNTOUCHED, untouched_is_untouched),
        Property::always(NO_NEEDLESS_WAIT, no_needless_wait),
        Property::always(NO_NEEDLESS_LOGIN, no_needless_login),
        Property::always(NOTHING_IS_LOST, nothing_is_lost),
        Property::always(NEVER_REVIVED, |_, state: &State| !state.ledger.removed || state.record.removed),
        Property::always(NOT_SERVED_AFTER_LOGOUT, not_served_after_logout),
        Property::always(GONE_IS_REVOKED, |_, state: &State| !state.ledger.orphaned),
        Property::always(LIVING_IS_NOT_REVOKED, |_, state: &State| state.ledger.removed || !state.ledger.revoked),
    ]
}

/// Under a strict contract a token is possibly presented once, whatever happens. Under the others the service never
/// sees one that its contract does not allow.
fn one_presentation(protocol: &Protocol, state: &State) -> bool {
    let once = state.ledger.presented.iter().all(|presented| *presented <= 1);
    !state.service.saw_reuse && (once || protocol.contract != Contract::Strict)
}

/// A record without attempt and without doubt holds a token that nobody has presented since it was stored.
fn untouched_is_untouched(protocol: &Protocol, state: &State) -> bool {
    let record = &state.record;
    let untouched = !record.removed && record.attempt.is_none() && record.standing() == Standing::Live;
    let presented = record.refresh.is_some_and(|refresh| state.ledger.presented[usize::from(refresh)] > 0);
    !untouched || !presented || protocol.contract == Contract::Reusable
}

/// The table says so, and nothing that a node or the store can be in makes it say otherwise.
fn no_needless_wait(protocol: &Protocol, state: &State) -> bool {
    (0..NODES).all(|at| {
        [Zone::Fresh, Zone::Ahead].into_iter().all(|zone| {
            let told = protocol.told(state, at, zone, true);
            !matches!(told, Told::Decided(Decision::Refresh, _))
        })
    })
}

fn no_needless_login(protocol: &Protocol, state: &State) -> bool {
    let asked = |told: Told, zone| match told {
        Told::Unknown => state.ledger.removed,
        Told::Decided(Decision::LogInAgain(Reason::Rejected), _) => state.service.own_verdict,
        Told::Decided(Decision::LogInAgain(Reason::OutcomeLost), _) => {
            zone == Zone::Expired && (protocol.contract == Contract::Strict || grace_is_over(protocol, state))
        }
        Told::Decided(Decision::Serve | Decision::ServeAndRefresh | Decision::Refresh, _) | Told::Unavailable => true,
    };
    (0..NODES).all(|at| {
        ZONES.into_iter().all(|zone| {
            asked(protocol.told(state, at, zone, true), zone) && asked(protocol.told(state, at, zone, false), zone)
        })
    })
}

fn grace_is_over(protocol: &Protocol, state: &State) -> bool {
    let attempted = state.record.attempt.map(|attempt| attempt.first_intent);
    let first_intent = attempted.or(state.record.doubt_since);
    protocol.contract == Contract::Grace && first_intent.is_some_and(|first_intent| first_intent != state.now)
}

/// Unless the session was ended by somebody who may: either the store's refresh token is one that the service would
/// accept, or an outcome is unknown that no rule of the contract can clear up. No set is thrown away on the way.
fn nothing_is_lost(protocol: &Protocol, state: &State) -> bool {
    if state.ledger.removed || state.service.own_verdict {
        return true;
    }
    let record = &state.record;
    let in_doubt = record.attempt.is_some() || record.doubt_since.is_some();
    let beyond_saving = in_doubt && (protocol.contract == Contract::Strict || grace_is_over(protocol, state));
    let accepted =
        record.refresh.is_some_and(|refresh| state.service.accepts(Request { refresh, key: record.version }));
    !state.ledger.forgotten && (accepted || beyond_saving)
}

/// A node with an unsaved set may be cut off from the store and cannot know better; see `limits.rs`. While the store
/// answers, no node serves anything any more; while it does not, neither do the node that acknowledged and every node
/// without such a set.
fn not_served_after_logout(protocol: &Protocol, state: &State) -> bool {
    let acknowledged = state.ledger.acknowledged;
    !acknowledged.contains(&true)
        || (0..NODES).all(|at| {
            let excused = state.nodes[at].unsaved.is_some() && !acknowledged[at];
            !serves_while(protocol, state, at, true) && (excused || !serves_while(protocol, state, at, false))
        })
}

/// The same without the excuse: what the protocol cannot promise.
pub(crate) const NEVER_SERVED_AFTER_LOGOUT: &str = "after logout no node at all serves";

pub(crate) fn beyond_reach() -> Property<Protocol> {
    Property::always(NEVER_SERVED_AFTER_LOGOUT, |protocol: &Protocol, state: &State| {
        !state.ledger.acknowledged.contains(&true) || (0..NODES).all(|at| !serves(protocol, state, at))
    })
}

fn serves(protocol: &Protocol, state: &State, at: usize) -> bool {
    serves_while(protocol, state, at, true) || serves_while(protocol, state, at, false)
}

fn serves_while(protocol: &Protocol, state: &State, at: usize, store_answers: bool) -> bool {
    matches!(protocol.told(state, at, Zone::Fresh, store_answers), Told::Decided(Decision::Serve, _))
}

/// What must be reachable, or the properties above say nothing.
pub(crate) fn sometimes(contract: Contract) -> Vec<Property<Protocol>> {
    let mut properties = vec![
        Property::sometimes("a refresh succeeds", |_, state: &State| state.record.version == 2),
        Property::sometimes("a second refresh succeeds", |_, state: &State| state.record.version == 3),
        Property::sometimes("the store says in doubt", |_, state: &State| {
            matches!(state.record.standing(), Standing::InDoubt { .. })
        }),
        Property::sometimes("a verdict ends the session", |_, state: &State| state.record.dead),
        Property::sometimes("an abort is fenced", |_, state: &State| {
            state.nodes.iter().any(|node| match node.flight {
                Flight::Aborting { lease, .. } => {
                    let holder = state.record.attempt.map(|attempt| attempt.id);
                    !state.record.removed && state.record.version == lease.base && holder != Some(lease.attempt)
                }
                _ => false,
            })
        }),
        Property::sometimes("a commit after the lease's end is accepted", |_, state: &State| {
            commits(state).any(|(lease, commit)| {
                let held = state.record.attempt.is_some_and(|held| held.live && held.id == lease.attempt);
                !held && stores_anew(state, lease, commit)
            })
        }),
        Property::sometimes("an unsaved set is written later", |_, state: &State| {
            let waiting = state.nodes.iter().flat_map(|node| &node.saving);
            waiting.into_iter().any(|(lease, commit)| stores_anew(state, *lease, *commit))
        }),
        Property::sometimes("logout beats a flight, whose set is revoked", |_, state: &State| {
            state.record.removed && commits(state).next().is_some()
        }),
        Property::sometimes("a node serves an unsaved set", |protocol: &Protocol, state: &State| {
            (0..NODES).any(|at| state.nodes[at].unsaved.is_some() && serves(protocol, state, at))
        }),
        Property::sometimes("a lease is given back later", |_, state: &State| {
            let holder = state.record.attempt.map(|attempt| attempt.id);
            let owed = |node: &Node| node.giving_back.iter().any(|lease| Some(lease.attempt) == holder);
            state.nodes.iter().any(owed)
        }),
        Property::sometimes("everything is over and at rest", |_, state: &State| {
            state.record.removed && !state.nodes.iter().any(Node::is_busy)
        }),
    ];
    if contract == Contract::Strict {
        properties.push(Property::sometimes(
            "a lost outcome asks for a login",
            |protocol: &Protocol, state: &State| {
                protocol.told(state, 0, Zone::Expired, true)
                    == Told::Decided(Decision::LogInAgain(Reason::OutcomeLost), state.record.access)
            },
        ));
    } else {
        properties.push(Property::sometimes("a token is presented again", |_, state: &State| {
            state.ledger.presented.contains(&2)
        }));
        properties.push(Property::sometimes("a set is superseded", |_, state: &State| {
            commits(state).any(|(lease, commit)| {
                matches!(state.record.clone().commit(lease, commit, None), Committed::Superseded(_))
            })
        }));
    }
    properties
}

/// What is on its way into the store.
fn commits(state: &State) -> impl Iterator<Item = (Lease, Commit)> {
    let flying = state.nodes.iter().filter_map(|node| match node.flight {
        Flight::Committing { lease, commit } => Some((lease, commit)),
        _ => None,
    });
    flying.chain(state.nodes.iter().flat_map(|node| node.saving.iter().copied()))
}

fn stores_anew(state: &State, lease: Lease, commit: Commit) -> bool {
    !state.record.committed.contains(&Some(lease.attempt))
        && state.record.clone().commit(lease, commit, None) == Committed::Stored
}
