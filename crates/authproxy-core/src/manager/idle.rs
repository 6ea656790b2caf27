//! The idle timeout: whether a session was left for too long, and how the store gets to know of its uses.

use std::{sync::Arc, time::Duration};

use super::Inner;
use crate::{
    clock::Timestamp,
    error::{LogInReason, TokenError},
    session::{DeathReason, Session, SessionKey},
};

/// The store is told of a use when the last one that it knows of is older than this part of the idle timeout.
const NOTES_PER_IDLE_TIMEOUT: u32 = 10;

impl Inner {
    /// Whether the session is within its idle timeout; counts as a use.
    pub(super) fn in_use(self: &Arc<Self>, key: &SessionKey, session: &Session, now: Timestamp) -> bool {
        self.config.idle_timeout.is_none_or(|idle_timeout| self.use_within(idle_timeout, key, session, now))
    }

    /// Apart, for `peek` is 30 instructions shorter without it (`scripts/instructions`).
    #[inline(never)]
    fn use_within(
        self: &Arc<Self>,
        idle_timeout: Duration,
        key: &SessionKey,
        session: &Session,
        now: Timestamp,
    ) -> bool {
        let in_use = session.touch(now, idle_timeout);
        if in_use && session.take_unnoted(now, idle_timeout / NOTES_PER_IDLE_TIMEOUT) {
            self.note_use(*key, session.clone(), now);
        }
        in_use
    }

    /// Whether the session was left for too long, as far as this copy of it knows.
    pub(super) fn idled(&self, session: &Session, now: Timestamp) -> bool {
        self.config.idle_timeout.is_some_and(|idle_timeout| session.idle_for(now) >= idle_timeout)
    }

    pub(super) fn expired() -> TokenError {
        TokenError::LogInAgain(LogInReason::Ended(DeathReason::Expired))
    }

    /// Tells the store, in a task of its own. If it cannot be told now, the next use tries again.
    fn note_use(self: &Arc<Self>, key: SessionKey, session: Session, at: Timestamp) {
        let manager = self.clone();
        self.own(async move {
            if manager.with_store(|| manager.store.note_use(&key, at)).await.is_err() {
                session.forget_noted();
            }
        });
    }
}
