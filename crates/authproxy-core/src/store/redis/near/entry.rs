//! [`Entry`]: one remembered version of a session, and how far it may be believed.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use super::{Name, Ticket};
use crate::{clock::Timestamp, session::Session};

/// No partition is ever in this epoch.
const NEVER: u64 = 0;

/// A session as Redis had it. Changed under its partition's lock only; read without it.
pub(super) struct Entry {
    pub(super) name: Name,
    pub(super) session: Session,
    /// When the command was sent that this is the latest answer to, in milliseconds.
    confirmed_at: AtomicU64,
    /// The partition's epoch at that moment, or [`NEVER`] once Redis has told of a change.
    epoch: AtomicU64,
    /// When it was asked for, and when it was answered, in ticks.
    asked: AtomicU64,
    filled: AtomicU64,
}

impl Entry {
    pub(super) fn new(session: Session, ticket: &Ticket, now: u64) -> Self {
        Self {
            name: Name(ticket.key.name()),
            session,
            confirmed_at: AtomicU64::new(ticket.sent_at.as_millis()),
            epoch: AtomicU64::new(ticket.epoch),
            asked: AtomicU64::new(ticket.tick),
            filled: AtomicU64::new(now),
        }
    }

    /// Whether Redis has said this within `ttl`, and nothing speaks against it since.
    pub(super) fn is_confirmed(&self, now: Timestamp, ttl: Duration, epoch: u64) -> bool {
        self.epoch.load(Ordering::Acquire) == epoch && now.since(self.confirmed_at()) < ttl
    }

    pub(super) fn confirmed_at(&self) -> Timestamp {
        Timestamp::from_millis(self.confirmed_at.load(Ordering::Acquire))
    }

    /// Redis has said it again.
    pub(super) fn confirm(&self, ticket: &Ticket, now: u64) {
        if ticket.tick < self.asked.load(Ordering::Relaxed) {
            return;
        }
        self.asked.store(ticket.tick, Ordering::Relaxed);
        self.filled.store(now, Ordering::Relaxed);
        // The time first: one who reads the new epoch beside the old time finds the entry too old, not too good.
        self.confirmed_at.store(ticket.sent_at.as_millis(), Ordering::Release);
        self.epoch.store(ticket.epoch, Ordering::Release);
    }

    /// Redis has something newer.
    pub(super) fn doubt(&self) {
        self.epoch.store(NEVER, Ordering::Release);
    }

    /// Whether this was known before the moment `tick`. An older version that was asked for after that is no late
    /// answer: Redis has lost commits.
    pub(super) fn was_filled_before(&self, tick: u64) -> bool {
        self.filled.load(Ordering::Relaxed) < tick
    }

    /// What to remember instead, now that `read` was asked for at `tick`: this very session where nothing is new, with
    /// what its browser was told and how it was used here.
    pub(super) fn succeeded_by(&self, read: Session, tick: u64) -> Session {
        self.session.used_as(&read);
        if read.version != self.session.version {
            read.used_as(&self.session);
            return read;
        }
        if read.standing == self.session.standing || tick < self.asked.load(Ordering::Relaxed) {
            return self.session.clone();
        }
        self.session.with_standing(read.standing)
    }
}
