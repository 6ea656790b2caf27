//! The session as this node knows it best, and how the store is asked.

use std::{panic::AssertUnwindSafe, time::Duration};

use futures_util::FutureExt;
use tokio::time::{Instant, sleep, timeout, timeout_at};

use super::{Inner, unavailable};
use crate::{
    error::{LogInReason, StoreError, TokenError, Unavailability},
    session::{Session, SessionKey},
};

/// How often a store call is tried before the store counts as down.
const STORE_TRIES: u32 = 3;
/// How long the store is given to say that it knows better than an unsaved token set. One that hangs must not hold up
/// callers for whom a good token is at hand.
const ASK_AT_MOST: Duration = Duration::from_millis(250);

impl Inner {
    /// [`current`](Self::current), by a deadline.
    pub(super) async fn current_until(&self, key: &SessionKey, deadline: Instant) -> Result<Session, TokenError> {
        if let Ok(session) = timeout_at(deadline, self.current(key)).await {
            return session;
        }
        let known = self.unsaved(key).or_else(|| self.last_known(key));
        known.ok_or_else(|| unavailable(Unavailability::Store))
    }

    /// The session as this process has it, without asking anyone. `None` where the store must be asked.
    pub(super) fn at_hand(&self, key: &SessionKey) -> Option<Session> {
        if self.unsaved(key).is_some() { None } else { self.store.peek(key) }
    }

    /// The session as this node knows it best: what the store has, or what it does not have yet, or what it last said.
    pub(super) async fn current(&self, key: &SessionKey) -> Result<Session, TokenError> {
        if let Some(unsaved) = self.unsaved(key) {
            return self.unless_store_knows_better(key, unsaved).await;
        }
        match self.store_call(self.store.load(key)).await {
            Ok(Some(session)) => Ok(session),
            Ok(None) => Err(TokenError::LogInAgain(LogInReason::Unknown)),
            Err(_) => self.last_known(key).ok_or_else(|| unavailable(Unavailability::Store)),
        }
    }

    /// A session that the store does not have yet, unless the store says that another node has closed or overtaken it.
    async fn unless_store_knows_better(&self, key: &SessionKey, unsaved: Session) -> Result<Session, TokenError> {
        match timeout(ASK_AT_MOST, self.store_call(self.store.load(key))).await {
            // The saver hears the same from its next commit, and has the tokens revoked.
            Ok(Ok(None)) => Err(TokenError::LogInAgain(LogInReason::Unknown)),
            Ok(Ok(Some(stored))) if stored.version >= unsaved.version => Ok(stored),
            Ok(Ok(Some(_)) | Err(_)) | Err(_) => Ok(unsaved),
        }
    }

    /// What the store last said, while it cannot be asked. That a session was left is not for this to say: it may have
    /// been used on another node since.
    fn last_known(&self, key: &SessionKey) -> Option<Session> {
        self.store.last_known(key).filter(|session| !self.idled(session, self.clock.now()))
    }

    fn unsaved(&self, key: &SessionKey) -> Option<Session> {
        self.slots.override_of(key).0
    }

    /// One store call within the store's timeout. A store that panics counts as one that is down.
    pub(crate) async fn store_call<T>(
        &self,
        call: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        match timeout(self.config.store_timeout, AssertUnwindSafe(call).catch_unwind()).await {
            Ok(Ok(answer)) => answer,
            Ok(Err(_panic)) => Err(StoreError::new("the store panicked")),
            Err(_elapsed) => Err(StoreError::new("no answer within the store timeout")),
        }
    }

    /// Calls the store, again after a short pause when it fails: every verb is idempotent under the attempt's name.
    pub(super) async fn with_store<T, F>(&self, call: impl Fn() -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, StoreError>>,
    {
        let mut pause = Duration::from_millis(20);
        for _ in 1..STORE_TRIES {
            if let Ok(answer) = self.store_call(call()).await {
                return Ok(answer);
            }
            sleep(pause).await;
            pause *= 4;
        }
        self.store_call(call()).await
    }
}
