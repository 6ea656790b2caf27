//! One session's record and what each verb does to it: pure, under the record's lock.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::AtomicU64},
    time::Duration,
};

use crate::{
    clock::Timestamp,
    session::{DeathReason, Session, SessionKey, Standing},
    store::{
        Abort, Aborted, AttemptId, Begin, Begun, Commit, Committed, IfInDoubt, Lease, memory::lineage::Fingerprint,
    },
    token::RefreshToken,
};

/// A record with its lock and the instant at which it is forgotten.
pub(super) struct Entry {
    record: Mutex<Record>,
    pub(super) forget_at: AtomicU64,
}

/// One session: what is published, and what only the holder of a lease may see.
pub(super) struct Record {
    pub(super) session: Arc<Session>,
    pub(super) refresh_token: Option<RefreshToken>,
    pub(super) dead: Option<DeathReason>,
    pub(super) removed: bool,
    /// What was handed out of this session, the newest last.
    pub(super) handed_out: Vec<Fingerprint>,
    /// Boxed: few sessions are being refreshed at any moment.
    attempt: Option<Box<Attempt>>,
    /// The first intent to present the current refresh token, once an attempt to do so has an unknown outcome.
    doubt_since: Option<Timestamp>,
    /// Whose commits were stored last, the newer first: a repeat is answered as the first time, also after one more.
    committed: [Option<PlainId>; 2],
}

/// An [`AttemptId`] without a number's alignment, which would cost every record 60 bytes.
type PlainId = [u8; 16];

struct Attempt {
    id: AttemptId,
    lease_ends_at: Timestamp,
    first_intent: Timestamp,
}

impl Entry {
    pub(super) fn new(session: Arc<Session>, refresh_token: Option<RefreshToken>, linger: Duration) -> Self {
        let forget_at = AtomicU64::new(session.ends_at.plus(linger).as_millis());
        let record = Record {
            session,
            refresh_token,
            dead: None,
            removed: false,
            handed_out: Vec::new(),
            attempt: None,
            doubt_since: None,
            committed: [None; 2],
        };
        Self { record: Mutex::new(record), forget_at }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Record> {
        // No verb leaves a record half changed, so a panic elsewhere under the lock spoils nothing.
        self.record.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Record {
    pub(super) fn begin(&mut self, key: SessionKey, begin: Begin, now: Timestamp) -> Begun {
        if let Some(reason) = self.dead {
            return Begun::Dead(reason);
        }
        if self.session.version > begin.seen {
            return Begun::Newer(self.session.clone());
        }
        let Some(refresh_token) = self.refresh_token.clone() else { return Begun::Missing };
        let first_intent = match self.attempt.take() {
            Some(held) if held.id == begin.attempt => held.first_intent,
            Some(held) if now < held.lease_ends_at => {
                let lease_left = held.lease_ends_at.since(now);
                self.attempt = Some(held);
                return Begun::Busy { lease_left };
            }
            Some(abandoned) => match self.doubt(abandoned.first_intent, begin.doubt) {
                Ok(since) => since,
                Err(in_doubt) => return in_doubt,
            },
            None => match self.doubt_since.map(|since| self.doubt(since, begin.doubt)) {
                Some(Ok(since)) => since,
                Some(Err(in_doubt)) => return in_doubt,
                None => now,
            },
        };
        let lease_ends_at = now.plus(begin.lease);
        self.attempt = Some(Box::new(Attempt { id: begin.attempt, lease_ends_at, first_intent }));
        let lease = Lease { key, attempt: begin.attempt, base: self.session.version };
        Begun::Granted { lease, refresh_token, first_intent }
    }

    pub(super) fn commit(&mut self, lease: &Lease, commit: Commit) -> Committed {
        let attempt = lease.attempt.0.to_le_bytes();
        if self.committed.contains(&Some(attempt)) {
            return Committed::Stored;
        }
        if self.session.version != lease.base {
            return Committed::Superseded(self.session.clone());
        }
        // A successor of what is stored carries the key already; one that a caller made from nothing does not.
        let stamped = commit.session.key == lease.key;
        self.session = if stamped { commit.session } else { Arc::new(commit.session.kept_under(lease.key)) };
        if let Some(rotated) = commit.refresh_token {
            self.refresh_token = Some(rotated);
        }
        self.attempt = None;
        self.doubt_since = None;
        self.dead = None;
        self.committed = [Some(attempt), self.committed[0]];
        Committed::Stored
    }

    pub(super) fn abort(&mut self, lease: &Lease, abort: Abort) -> Aborted {
        if self.session.version > lease.base {
            return Aborted::Newer(self.session.clone());
        }
        let Some(held) = self.attempt.take_if(|held| held.id == lease.attempt) else { return Aborted::Fenced };
        match abort {
            Abort::Untouched => {}
            Abort::InDoubt => {
                let _ = self.doubt(held.first_intent, IfInDoubt::Report);
            }
            Abort::Dead(reason) => {
                // The refresh token stays: a late commit that keeps it may yet prove this verdict wrong.
                self.dead = Some(reason);
                self.stand(Standing::Dead(reason));
            }
        }
        Aborted::Done
    }

    /// Marks the session as in doubt; `Ok` with the first intent when that is no obstacle.
    fn doubt(&mut self, since: Timestamp, doubt: IfInDoubt) -> Result<Timestamp, Begun> {
        self.doubt_since = Some(since);
        if self.session.standing != (Standing::InDoubt { since }) {
            self.stand(Standing::InDoubt { since });
        }
        match doubt {
            IfInDoubt::Grant => Ok(since),
            IfInDoubt::Report => Err(Begun::InDoubt { since }),
        }
    }

    fn stand(&mut self, standing: Standing) {
        self.session = Arc::new(self.session.with_standing(standing));
    }
}
