//! What the contract says about one session, small enough to be read at once.

use std::time::Duration;

use authproxy_core::{
    clock::Timestamp,
    session::{DeathReason, Version},
    store::{Abort, AttemptId, Begin, IfInDoubt, Lease},
};

/// A session as the contract has it.
pub(super) struct Model {
    pub(super) version: Version,
    pub(super) dead: Option<DeathReason>,
    /// The first intent to present the refresh token, once an attempt's outcome is unknown.
    doubt: Option<Timestamp>,
    held: Option<Held>,
    /// Whose commits were stored, the newest last.
    committed: Vec<AttemptId>,
}

struct Held {
    attempt: AttemptId,
    first_intent: Timestamp,
    until: Timestamp,
}

/// What `begin` must answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Begins {
    /// A grant; with `Some` its first intent must be this.
    Granted(Option<Timestamp>),
    Newer(Version),
    Busy,
    InDoubt(Timestamp),
    Dead(DeathReason),
}

/// What `commit` must answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Commits {
    Stored,
    Superseded(Version),
}

/// What `abort` must answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Aborts {
    Done,
    /// Not the holder: fenced, or told of the newer version.
    Unheard,
}

impl Model {
    pub(super) fn opened() -> Self {
        Self { version: Version::FIRST, dead: None, doubt: None, held: None, committed: Vec::new() }
    }

    pub(super) fn begin(&mut self, begin: &Begin, now: Timestamp) -> Begins {
        if let Some(reason) = self.dead {
            return Begins::Dead(reason);
        }
        if self.version > begin.seen {
            return Begins::Newer(self.version);
        }
        match &self.held {
            Some(held) if held.until > now && held.attempt == begin.attempt => {
                return Begins::Granted(Some(held.first_intent));
            }
            Some(held) if held.until > now => return Begins::Busy,
            Some(held) => self.doubt = Some(held.first_intent),
            None => {}
        }
        match (self.doubt, begin.doubt) {
            (Some(since), IfInDoubt::Report) => Begins::InDoubt(since),
            (since, _) => Begins::Granted(since),
        }
    }

    /// The store has granted as it should.
    pub(super) fn granted(&mut self, begin: &Begin, first_intent: Timestamp, now: Timestamp) {
        let until = now.plus(begin.lease);
        self.held = Some(Held { attempt: begin.attempt, first_intent, until });
    }

    /// `None` where the suite leaves it open: a repeat of a commit that two newer ones have followed.
    pub(super) fn commit(&mut self, lease: &Lease) -> Option<Commits> {
        match self.committed.iter().rev().position(|attempt| *attempt == lease.attempt) {
            Some(0 | 1) => return Some(Commits::Stored),
            Some(_) => return None,
            None => {}
        }
        if self.version != lease.base {
            return Some(Commits::Superseded(self.version));
        }
        self.version = self.version.next();
        (self.dead, self.doubt, self.held) = (None, None, None);
        self.committed.push(lease.attempt);
        Some(Commits::Stored)
    }

    /// `None` where the contract leaves it open: the holder's lease ran out, and nobody has the next.
    pub(super) fn abort(&mut self, lease: &Lease, abort: Abort, now: Timestamp) -> Option<Aborts> {
        if self.version != lease.base {
            return Some(Aborts::Unheard);
        }
        let Some(held) = self.held.take_if(|held| held.attempt == lease.attempt) else { return Some(Aborts::Unheard) };
        if held.until <= now {
            self.held = Some(held);
            return None;
        }
        match abort {
            Abort::Untouched => {}
            Abort::InDoubt => self.doubt = Some(held.first_intent),
            Abort::Dead(reason) => self.dead = Some(reason),
        }
        Some(Aborts::Done)
    }

    /// The live lease's attempt.
    pub(super) fn holder(&self, now: Timestamp) -> Option<AttemptId> {
        self.held.as_ref().filter(|held| held.until > now).map(|held| held.attempt)
    }

    /// Whether nothing at all is doubtful, so that the session must be published as live.
    pub(super) fn is_plainly_live(&self, now: Timestamp) -> bool {
        let overdue = self.held.as_ref().is_some_and(|held| held.until <= now);
        self.dead.is_none() && self.doubt.is_none() && !overdue
    }
}

/// A small generator (`SplitMix64`): the same seed, the same steps, on every machine.
pub(super) struct Random(pub(super) u64);

impl Random {
    pub(super) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, bound: usize) -> usize {
        let bound = u64::try_from(bound.max(1)).expect("a usize fits");
        usize::try_from(self.next() % bound).expect("below a usize")
    }

    pub(super) fn pick<'a, T>(&mut self, from: &'a [T]) -> Option<&'a T> {
        from.get(self.below(from.len()))
    }

    pub(super) fn attempt(&mut self) -> AttemptId {
        AttemptId(u128::from(self.next()) << 64 | u128::from(self.next()))
    }

    pub(super) fn up_to(&mut self, longest: Duration) -> Duration {
        // Odd milliseconds never fall on a lease's end, where the contract is silent.
        let longest = usize::try_from(longest.as_millis()).unwrap_or(usize::MAX);
        Duration::from_millis(u64::try_from(self.below(longest / 2) * 2 + 1).expect("a usize fits"))
    }
}
