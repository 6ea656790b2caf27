//! What a caller gets: the policy as a table, and the session that a node has at hand for it.
//!
//! `conformance.rs` holds the table against the real manager, row by row.

use crate::{
    record::{Issue, Moment, Standing},
    service::Contract,
    state::{Protocol, State},
};

/// Where an access token stands in its life. A property that holds in every zone holds however time moves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Zone {
    Fresh,
    Ahead,
    Late,
    Expired,
}

pub(crate) const ZONES: [Zone; 4] = [Zone::Fresh, Zone::Ahead, Zone::Late, Zone::Expired];

/// What to do for a caller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Decision {
    Serve,
    ServeAndRefresh,
    /// Wait for the flight; if it fails, the token at hand may still do.
    Refresh,
    LogInAgain(Reason),
}

/// Why a session is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Reason {
    Rejected,
    OutcomeLost,
}

/// What a caller at one node is told, before any flight.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Told {
    Decided(Decision, Issue),
    Unknown,
    /// 503: the store does not answer and this node has nothing of its own, or a last try is under way.
    Unavailable,
}

pub(crate) fn decide(standing: Standing, zone: Zone, contract: Contract, now: Moment) -> Decision {
    match standing {
        Standing::Dead => return Decision::LogInAgain(Reason::Rejected),
        Standing::InDoubt { since } if !contract.may_present_again(since, now) => {
            return if zone == Zone::Expired { Decision::LogInAgain(Reason::OutcomeLost) } else { Decision::Serve };
        }
        Standing::InDoubt { .. } | Standing::Live => {}
    }
    match zone {
        Zone::Fresh => Decision::Serve,
        Zone::Ahead => Decision::ServeAndRefresh,
        Zone::Late | Zone::Expired => Decision::Refresh,
    }
}

impl Protocol {
    /// What a caller at node `at` would be told in this state, if the access token at hand were in `zone`.
    ///
    /// A near cache is not modelled: a node asks the store, also when it has an unsaved set, which it falls back on.
    pub(crate) fn told(&self, state: &State, at: usize, zone: Zone, store_answers: bool) -> Told {
        let (standing, access) = match state.nodes[at].unsaved {
            Some(unsaved) if !store_answers => (Standing::Live, unsaved.access),
            Some(unsaved) if !state.record.removed && state.record.version < unsaved.version => {
                (Standing::Live, unsaved.access)
            }
            None if !store_answers => return Told::Unavailable,
            _ if state.record.removed => return Told::Unknown,
            _ => (state.record.standing(), state.record.access),
        };
        let mut decision = decide(standing, zone, self.contract, state.now);
        if self.broken == Some(crate::rules::Rule::AUsableTokenIsServed) && zone == Zone::Ahead {
            decision = Decision::Refresh;
        }
        if decision == Decision::LogInAgain(Reason::OutcomeLost) && state.record.attempt.is_some_and(|it| it.live) {
            return Told::Unavailable; // somebody is presenting it again just now, and may have better luck
        }
        Told::Decided(decision, access)
    }
}
