//! The store's record of one session, and what each verb does to it: the half of the protocol that is atomic.
//!
//! `conformance.rs` holds these functions against the real `MemoryStore`, answer by answer.

use crate::rules::Rule;

/// A moment on the store's clock. The model counts grace periods, the comparison with the real store seconds.
pub(crate) type Moment = u16;
/// A verb on its way to the store.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Verb {
    Begin(Begin),
    Commit(Lease, Commit),
    Abort(Lease, Abort),
}

/// Names an attempt. Equal means the same, nothing else.
pub(crate) type AttemptId = u8;
/// How many rotations, plus one.
pub(crate) type Version = u8;
/// Numbers a token set in the order in which the service issued it. Its access and refresh token share the number.
pub(crate) type Issue = u8;

/// One session in the store.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Record {
    pub(crate) version: Version,
    pub(crate) access: Issue,
    pub(crate) refresh: Option<Issue>,
    pub(crate) attempt: Option<Attempt>,
    /// The first intent to present the refresh token, once an attempt to do so has an unknown outcome.
    pub(crate) doubt_since: Option<Moment>,
    pub(crate) dead: bool,
    pub(crate) removed: bool,
    /// Whose commits were stored last, the newer first.
    pub(crate) committed: [Option<AttemptId>; 2],
}

/// The intent to present: stored before the token is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Attempt {
    pub(crate) id: AttemptId,
    /// Whether the lease still lasts.
    pub(crate) live: bool,
    pub(crate) first_intent: Moment,
}

/// The permission to present, as its holder has it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Lease {
    pub(crate) attempt: AttemptId,
    pub(crate) base: Version,
}

/// What is known of a record's refresh token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Standing {
    Live,
    InDoubt { since: Moment },
    Dead,
}

/// What `begin` asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Begin {
    pub(crate) seen: Version,
    pub(crate) attempt: AttemptId,
    /// Grant also a token that was possibly presented, because the contract allows that.
    pub(crate) grant_in_doubt: bool,
}

/// What `begin` answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Begun {
    Granted { lease: Lease, refresh: Issue, first_intent: Moment },
    Newer(Version),
    Busy,
    InDoubt { since: Moment },
    Dead,
    Missing,
}

/// The next version.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Commit {
    pub(crate) version: Version,
    pub(crate) access: Issue,
    /// `None` keeps the present refresh token.
    pub(crate) refresh: Option<Issue>,
}

/// What `commit` answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Committed {
    Stored,
    Superseded(Version),
    Gone,
}

/// How an attempt ended that brought no token set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Abort {
    Untouched,
    InDoubt,
    Dead,
}

/// What `abort` answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Aborted {
    Done,
    Newer(Version),
    Fenced,
}

impl Verb {
    /// The attempt that this verb may have granted.
    pub(crate) fn asks(self) -> Option<AttemptId> {
        match self {
            Self::Begin(begin) => Some(begin.attempt),
            Self::Commit(..) | Self::Abort(..) => None,
        }
    }
}

impl Record {
    /// What a login stores.
    pub(crate) fn opened() -> Self {
        Self {
            version: 1,
            access: 1,
            refresh: Some(1),
            attempt: None,
            doubt_since: None,
            dead: false,
            removed: false,
            committed: [None; 2],
        }
    }

    /// What `load` shows.
    pub(crate) fn standing(&self) -> Standing {
        match self.doubt_since {
            _ if self.dead => Standing::Dead,
            Some(since) => Standing::InDoubt { since },
            None => Standing::Live,
        }
    }

    /// Asks for the permission to present. The same attempt is granted again; nobody else is while its lease lasts;
    /// and a lease that ran out leaves doubt behind, never a free token.
    pub(crate) fn begin(&mut self, begin: Begin, now: Moment, broken: Option<Rule>) -> Begun {
        if self.removed {
            return Begun::Missing;
        }
        if self.dead {
            return Begun::Dead;
        }
        if self.version > begin.seen {
            return Begun::Newer(self.version);
        }
        let Some(refresh) = self.refresh else { return Begun::Missing };
        let in_doubt = match self.attempt.take() {
            Some(held) if held.id == begin.attempt => {
                return self.grant(begin.attempt, refresh, held.first_intent);
            }
            Some(held) if held.live => {
                self.attempt = Some(held);
                return Begun::Busy;
            }
            Some(_) if broken == Some(Rule::AnEndedLeaseIsDoubt) => None,
            Some(abandoned) => Some(abandoned.first_intent),
            None => self.doubt_since,
        };
        self.doubt_since = in_doubt;
        match in_doubt {
            Some(since) if !begin.grant_in_doubt => Begun::InDoubt { since },
            _ => self.grant(begin.attempt, refresh, in_doubt.unwrap_or(now)),
        }
    }

    fn grant(&mut self, id: AttemptId, refresh: Issue, first_intent: Moment) -> Begun {
        self.attempt = Some(Attempt { id, live: true, first_intent });
        Begun::Granted { lease: Lease { attempt: id, base: self.version }, refresh, first_intent }
    }

    /// Stores a new token set on the version that its lease was granted on, even late; never on another, and never
    /// where the session was removed. The same attempt's repeat gets the same answer. A new set proves a verdict wrong.
    pub(crate) fn commit(&mut self, lease: Lease, commit: Commit, broken: Option<Rule>) -> Committed {
        if self.removed && broken != Some(Rule::RemovedStaysRemoved) {
            return Committed::Gone;
        }
        if self.committed.contains(&Some(lease.attempt)) {
            return Committed::Stored;
        }
        if self.version != lease.base && broken != Some(Rule::ACommitNeedsItsBase) {
            return Committed::Superseded(self.version);
        }
        *self = Self {
            version: commit.version,
            access: commit.access,
            refresh: commit.refresh.or(self.refresh),
            committed: [Some(lease.attempt), self.committed[0]],
            ..Self::opened()
        };
        Committed::Stored
    }

    /// Gives a lease back. Fenced: whoever does not hold it changes nothing.
    pub(crate) fn abort(&mut self, lease: Lease, abort: Abort, broken: Option<Rule>) -> Aborted {
        if self.removed {
            return Aborted::Fenced;
        }
        if self.version > lease.base {
            return Aborted::Newer(self.version);
        }
        let fenced = broken != Some(Rule::AnAbortIsFenced);
        let Some(held) = self.attempt.take_if(|held| held.id == lease.attempt || !fenced) else {
            return Aborted::Fenced;
        };
        match abort {
            Abort::Untouched => {}
            Abort::InDoubt => self.doubt_since = Some(held.first_intent),
            Abort::Dead => self.dead = true,
        }
        Aborted::Done
    }

    /// Removes the session for good. Returns whether there was one.
    pub(crate) fn remove(&mut self) -> bool {
        !std::mem::replace(&mut self.removed, true)
    }

    /// Applies a verb whose answer nobody hears.
    pub(crate) fn apply_late(&mut self, verb: Verb, now: Moment, broken: Option<Rule>) {
        match verb {
            Verb::Begin(begin) => _ = self.begin(begin, now, broken),
            Verb::Commit(lease, commit) => _ = self.commit(lease, commit, broken),
            Verb::Abort(lease, abort) => _ = self.abort(lease, abort, broken),
        }
    }

    /// The lease's time is over; what that means is decided when somebody asks.
    pub(crate) fn lease_runs_out(&mut self) {
        if let Some(attempt) = &mut self.attempt {
            attempt.live = false;
        }
    }
}
