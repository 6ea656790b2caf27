//! What one node has in its memory of the session. A crash (`kill -9`) leaves nothing of it.

use crate::{
    record::{Abort, AttemptId, Begin, Commit, Issue, Lease, Moment},
    service::Request,
};

/// One process. While it is down it does nothing, so a crash and the restart are one step to the fresh state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Node {
    pub(crate) flight: Flight,
    /// Leases that this node may hold and does not want, because a `begin` or a giving back was not answered: it tells
    /// the store until it has heard.
    pub(crate) giving_back: Vec<Lease>,
    /// A set that the store did not take; callers of this node get it.
    pub(crate) unsaved: Option<Commit>,
    /// What this node still writes to the store, each under its lease.
    pub(crate) saving: Vec<(Lease, Commit)>,
    pub(crate) logout: Logout,
    /// The session was closed here while a flight was in the air.
    pub(crate) closed: bool,
}

/// Where a refresh stands. At most one a node and session, by the slot.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Flight {
    /// No refresh.
    #[default]
    Idle,
    /// On the way to the store with `begin`; a lost reply leaves it here, to ask again under the same name.
    Asking(Begin),
    /// Has the permission, has looked at the clock, is about to write the request to the socket.
    Granted(Presentation),
    /// The request is on its way, or its answer is. What the service does and what the node hears of it is one step:
    /// a node that has heard may wait before its next one as long as an answer may travel.
    Sent(Presentation),
    /// On the way to the store with a new token set.
    Committing { lease: Lease, commit: Commit },
    /// On the way to the store without one.
    Aborting { lease: Lease, abort: Abort },
}

/// What a flight knows while it presents.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Presentation {
    pub(crate) lease: Lease,
    pub(crate) refresh: Issue,
    pub(crate) first_intent: Moment,
    /// The token was possibly presented before, and the contract allows to do it again.
    pub(crate) again: bool,
    /// This flight itself has presented it with an unknown outcome.
    pub(crate) repeated: bool,
}

/// A logout that this node carries out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Logout {
    #[default]
    None,
    /// `remove` was applied, and its answer is on its way and says whether there was a session.
    Removed(bool),
}

impl Presentation {
    pub(crate) fn request(self) -> Request {
        Request { refresh: self.refresh, key: self.lease.base }
    }
}

impl Node {
    /// The attempt that is being presented, if any: its lease is longer than that takes unless the node is stopped.
    pub(crate) fn presenting(&self) -> Option<Presentation> {
        match self.flight {
            Flight::Granted(presentation) | Flight::Sent(presentation) => Some(presentation),
            _ => None,
        }
    }

    /// The attempt that this node asks to be granted.
    pub(crate) fn asking(&self) -> Option<AttemptId> {
        match self.flight {
            Flight::Asking(begin) => Some(begin.attempt),
            _ => None,
        }
    }

    /// Whether something is still to be done here that callers do not see.
    pub(crate) fn is_busy(&self) -> bool {
        self.flight != Flight::Idle
            || !self.saving.is_empty()
            || !self.giving_back.is_empty()
            || self.logout != Logout::None
    }
}
