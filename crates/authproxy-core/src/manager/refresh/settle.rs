//! What a flight writes down in the end: the new token set, or what is known about the old one.

use std::time::Duration;

use super::{Flight, Granted, declined, failed};
use crate::{
    backend::Reply,
    error::{StoreError, Unavailability},
    manager::{
        admission::Declined,
        policy,
        slots::{Outcome, Unsaved},
    },
    session::{DeathReason, Session, Zones},
    store::{Abort, Aborted, AttemptId, Commit, Committed, Lease},
    token::{RefreshToken, TokenSet},
};

impl Flight {
    /// Stores the new token set; only then is it published.
    pub(super) async fn commit(&self, granted: Granted, tokens: TokenSet) -> Outcome {
        let now = self.manager.clock.now();
        let zones = policy::zones(&self.manager.config, &self.key, &tokens, now);
        let ends_at = policy::ends_at(&self.manager.config, &tokens, self.seen.opened_at, Some(self.seen.ends_at), now);
        let session = self.seen.succeeded_by(&tokens.access_token, zones, now, ends_at);
        let refresh_token = tokens.refresh_token.unwrap_or(granted.refresh_token);
        self.commit_session(&granted.lease, session, refresh_token).await
    }

    /// An answer without a usable access token still held the next refresh token: store that, and fly again.
    pub(super) async fn salvage(&self, lease: &Lease, rotated: RefreshToken) -> Outcome {
        let seen = &self.seen;
        let now = self.manager.clock.now();
        let due = Zones { refresh_at: now.min(seen.zones.wait_at), ..seen.zones };
        let session = seen.succeeded_by(&seen.access_token(), due, seen.issued_at, seen.ends_at);
        match self.commit_session(lease, session, rotated).await {
            Outcome::Ready(session) if !self.salvaged => {
                let manager = self.manager.clone();
                let attempt = AttemptId::random();
                let next =
                    Self { manager, key: self.key, seen: session, urgency: self.urgency, attempt, salvaged: true };
                Box::pin(next.fly()).await
            }
            outcome => outcome,
        }
    }

    async fn commit_session(&self, lease: &Lease, session: Session, refresh_token: RefreshToken) -> Outcome {
        let _debt = self.manager.left_over.unsaved();
        let commit = Commit { session: session.clone(), refresh_token: refresh_token.clone() };
        match self.manager.with_store(|| self.manager.store.commit(lease, commit.clone())).await {
            Ok(Committed::Stored) => Outcome::Ready(session),
            Ok(Committed::Superseded(newer)) => Outcome::Ready(newer),
            Ok(Committed::Gone) => {
                self.manager.revoke_later(session.access_token(), Some(refresh_token));
                Outcome::Missing
            }
            Err(_) => {
                let unsaved = Unsaved { session: session.clone(), refresh_token: refresh_token.clone() };
                if self.manager.save_later(*lease, unsaved) {
                    return Outcome::Ready(session);
                }
                self.manager.revoke_later(session.access_token(), Some(refresh_token));
                Outcome::Missing
            }
        }
    }

    /// The token is untouched: give the lease back, so that anyone may try again.
    pub(super) async fn give_back(&self, lease: &Lease, declined: Declined) -> Outcome {
        match self.abort(lease, Abort::Untouched).await {
            Ok(Aborted::Newer(newer)) => Outcome::Ready(newer),
            Ok(Aborted::Done | Aborted::Fenced) => Outcome::Failed(declined),
            Err(_) => {
                self.manager.give_back_later(*lease);
                Outcome::Failed(declined)
            }
        }
    }

    /// A definite verdict ends the session, unless the store has moved on meanwhile.
    pub(super) async fn bury(&self, lease: &Lease, reply: Reply) -> Outcome {
        match self.manager.with_store(|| self.manager.store.load(&self.key)).await {
            Ok(Some(current)) if current.version > lease.base => return Outcome::Ready(current),
            Ok(None) => return Outcome::Missing,
            Ok(Some(_)) | Err(_) => {}
        }
        match self.abort(lease, Abort::Dead(DeathReason::Rejected)).await {
            Ok(Aborted::Done) => Outcome::Dead(DeathReason::Rejected, Some(reply)),
            Ok(Aborted::Newer(newer)) => Outcome::Ready(newer),
            // The lease was over before the verdict came; another may be presenting with better luck.
            Ok(Aborted::Fenced) => failed(Unavailability::Backend),
            Err(_) => failed(Unavailability::Store),
        }
    }

    /// The outcome is unknown: say so in the store. What follows is the contract's and the policy's question.
    pub(super) async fn doubt(&self, granted: &Granted, asked: Option<Duration>, reason: Unavailability) -> Outcome {
        if reason == Unavailability::ShuttingDown {
            self.manager.cut_off_in_doubt();
        }
        // A store that does not hear it lets the lease run out, which says the same.
        if let Ok(Aborted::Newer(newer)) = self.abort(&granted.lease, Abort::InDoubt).await {
            return Outcome::Ready(newer);
        }
        if self.may_present_again(granted.first_intent) {
            Outcome::Failed(declined(reason, asked))
        } else {
            Outcome::InDoubt
        }
    }

    pub(super) async fn abort(&self, lease: &Lease, abort: Abort) -> Result<Aborted, StoreError> {
        self.manager.with_store(|| self.manager.store.abort(lease, abort)).await
    }
}
