//! One session's record and what each verb does to it and to the session as it is published: pure, under the record's
//! lock.

use std::{
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use crate::{
    clock::Timestamp,
    session::{DeathReason, Session, SessionKey, Standing},
    store::{
        Abort, Aborted, AttemptId, Begin, Begun, Commit, Committed, IfInDoubt, Lease,
        memory::{lineage::Fingerprint, packed::Packed},
    },
    token::RefreshToken,
};

/// A record under its lock.
pub(crate) struct SharedRecord(Mutex<Record>);

/// What is kept of a session beside what is published of it: only the holder of a lease may see it.
///
/// There is one for each session, so whatever few sessions need is boxed.
pub(super) struct Record {
    pub(super) refresh_token: Option<Packed>,
    /// Whose commits were stored last, the newer first: a repeat is answered as the first time, also after one more.
    committed: [Option<PlainId>; 2],
    /// What was handed out of this session, the newest last.
    pub(super) handed_out: Box<[Fingerprint]>,
    presenting: Option<Box<Presenting>>,
    pub(super) dead: Option<DeathReason>,
    /// It is published no more, and never will be again.
    pub(super) removed: bool,
}

/// An [`AttemptId`] without a number's alignment, which would cost every record padding.
type PlainId = [u8; 16];

/// What is under way with the refresh token, or ended without an answer.
#[derive(Default)]
struct Presenting {
    attempt: Option<Attempt>,
    /// The first intent to present the current refresh token, once an attempt to do so has an unknown outcome.
    doubt_since: Option<Timestamp>,
}

#[derive(Clone, Copy)]
struct Attempt {
    id: AttemptId,
    lease_ends_at: Timestamp,
    first_intent: Timestamp,
}

impl SharedRecord {
    pub(super) fn new(refresh_token: Option<&RefreshToken>) -> Self {
        Self(Mutex::new(Record {
            refresh_token: refresh_token.map(Packed::new),
            committed: [None; 2],
            handed_out: <_>::default(),
            presenting: None,
            dead: None,
            removed: false,
        }))
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Record> {
        // No verb leaves a record half changed, so a panic elsewhere under the lock spoils nothing.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for SharedRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SharedRecord").finish_non_exhaustive()
    }
}

impl Record {
    pub(super) fn refresh_token(&self) -> Option<RefreshToken> {
        self.refresh_token.as_ref().map(Packed::unpack)
    }

    pub(super) fn begin(&mut self, published: &mut Session, key: SessionKey, begin: Begin, now: Timestamp) -> Begun {
        if let Some(reason) = self.dead {
            return Begun::Dead(reason);
        }
        if published.version > begin.seen {
            return Begun::Newer(published.clone());
        }
        let Some(refresh_token) = self.refresh_token() else { return Begun::Missing };
        let presenting = self.presenting.get_or_insert_default();
        let first_intent = match (presenting.attempt, presenting.doubt_since) {
            (Some(held), _) if held.id == begin.attempt => held.first_intent,
            (Some(held), _) if now < held.lease_ends_at => {
                return Begun::Busy { lease_left: held.lease_ends_at.since(now) };
            }
            (None, None) => now,
            (Some(Attempt { first_intent: since, .. }), _) | (None, Some(since)) => {
                presenting.attempt = None;
                presenting.doubt_since = Some(since);
                stand(published, Standing::InDoubt { since });
                match begin.doubt {
                    IfInDoubt::Grant => since,
                    IfInDoubt::Report => return Begun::InDoubt { since },
                }
            }
        };
        let lease_ends_at = now.plus(begin.lease);
        presenting.attempt = Some(Attempt { id: begin.attempt, lease_ends_at, first_intent });
        let lease = Lease { key, attempt: begin.attempt, base: published.version };
        Begun::Granted { lease, refresh_token, first_intent }
    }

    pub(super) fn commit(&mut self, published: &mut Session, lease: &Lease, commit: Commit) -> Committed {
        let attempt = lease.attempt.0.to_le_bytes();
        if self.committed.contains(&Some(attempt)) {
            return Committed::Stored;
        }
        if published.version != lease.base {
            return Committed::Superseded(published.clone());
        }
        *published = kept_like(published, commit.session);
        self.refresh_token = Some(Packed::new(&commit.refresh_token));
        self.presenting = None;
        self.dead = None;
        self.committed = [Some(attempt), self.committed[0]];
        Committed::Stored
    }

    pub(super) fn abort(&mut self, published: &mut Session, lease: &Lease, abort: Abort) -> Aborted {
        if published.version > lease.base {
            return Aborted::Newer(published.clone());
        }
        let Some(presenting) = &mut self.presenting else { return Aborted::Fenced };
        let Some(held) = presenting.attempt.take_if(|held| held.id == lease.attempt) else { return Aborted::Fenced };
        match abort {
            Abort::Untouched => {}
            Abort::InDoubt => {
                let since = held.first_intent;
                presenting.doubt_since = Some(since);
                stand(published, Standing::InDoubt { since });
            }
            Abort::Dead(reason) => {
                // The refresh token stays: a late commit that keeps it may yet prove this verdict wrong.
                self.dead = Some(reason);
                stand(published, Standing::Dead(reason));
            }
        }
        self.presenting.take_if(|presenting| presenting.doubt_since.is_none());
        Aborted::Done
    }
}

/// The next version as it is kept where `published` is. One that a caller made of it is so already, one that a caller
/// made of nothing is not.
fn kept_like(published: &Session, next: Session) -> Session {
    let same_record = match (&published.record, &next.record) {
        (Some(kept), Some(stamped)) => Arc::ptr_eq(kept, stamped),
        _ => false,
    };
    match &published.record {
        Some(record) if !same_record => next.kept_with(published.key, record.clone()),
        _ => next,
    }
}

fn stand(published: &mut Session, standing: Standing) {
    if published.standing != standing {
        *published = published.with_standing(standing);
    }
}
