//! Loads that are under way: callers that want the same session at once share one question.
//!
//! A question is asked by a task of the cache's own, so a caller that hangs up, or is never polled again, holds up nobody.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use tokio::{sync::watch, time::timeout};

use super::{Name, NearCache, Ticket};
use crate::{
    error::StoreError,
    session::{Session, SessionKey},
};

/// How long one who has a valid token waits for a Redis whose last answer was a failure.
const WAIT_WHILE_FAILING: Duration = Duration::from_millis(50);

/// What Redis says of a session.
pub(in super::super) type Answer = Result<Option<Session>, StoreError>;

/// A load that others may join.
pub(super) struct UnderWay {
    ticket: Ticket,
    answer: watch::Receiver<Option<Answer>>,
}

impl NearCache {
    /// The session as Redis has it, by `read`, and remembers it.
    ///
    /// With a `near_ttl` of zero every caller asks for itself: an answer that was asked for before the caller came could
    /// be older than a logout that was acknowledged since.
    ///
    /// # Errors
    ///
    /// That of `read`. One for whom [`last_known`](Self::last_known) has a session does not wait for long while Redis is
    /// failing.
    ///
    /// # Cancel safety
    ///
    /// The question is asked to its end for all others.
    pub(in super::super) async fn load<F>(self: &Arc<Self>, key: &SessionKey, read: impl Fn() -> F) -> Answer
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        if !self.serves() {
            let ticket = self.ticket(key);
            let answer = read().await;
            return self.learn(&ticket, answer);
        }
        let answered = self.ask_with_others(key, read);
        if self.failing.load(Ordering::Relaxed) && self.last_known(key).is_some() {
            return timeout(WAIT_WHILE_FAILING, answered)
                .await
                .unwrap_or_else(|_| Err(StoreError::new("still failing")));
        }
        answered.await
    }

    async fn ask_with_others<F>(self: &Arc<Self>, key: &SessionKey, read: impl Fn() -> F) -> Answer
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        for _ in 0..2 {
            let mut answer = self.join(key, &read);
            if let Ok(answer) = answer.wait_for(Option::is_some).await {
                return answer.clone().expect("waited for it");
            }
            // The task ended with the runtime of the one who had begun to ask.
        }
        Err(StoreError::new("the runtime is ending"))
    }

    /// The load that is under way, or a new one.
    fn join<F>(self: &Arc<Self>, key: &SessionKey, read: impl Fn() -> F) -> watch::Receiver<Option<Answer>>
    where
        F: Future<Output = Answer> + Send + 'static,
    {
        let ticket = self.ticket(key);
        let name = Name(key.name());
        let mut state = self.partition(&name.0).lock();
        if let Some(under_way) = state.loads.get(&name)
            && under_way.ticket.key == *key
            && ticket.sent_at.since(under_way.ticket.sent_at) < self.limits.near_ttl
            && under_way.answer.has_changed().is_ok()
        {
            return under_way.answer.clone();
        }
        let (done, answer) = watch::channel(None);
        let (near, closed, reading) = (Arc::downgrade(self), self.closed.token().clone(), read());
        tokio::spawn(async move {
            let answer = tokio::select! {
                () = closed.cancelled() => return,
                answer = reading => answer,
            };
            let Some(near) = near.upgrade() else { return };
            let answer = near.learn(&ticket, answer);
            near.leave(&ticket);
            done.send_replace(Some(answer));
        });
        state.loads.insert(name, UnderWay { ticket, answer: answer.clone() });
        answer
    }

    /// Nobody joins a load any more that has its answer.
    fn leave(&self, ticket: &Ticket) {
        let name = Name(ticket.key.name());
        let mut state = self.partition(&name.0).lock();
        if state.loads.get(&name).is_some_and(|under_way| under_way.ticket.tick == ticket.tick) {
            state.loads.remove(&name);
        }
    }

    /// Remembers an answer; the newest that is known.
    fn learn(&self, ticket: &Ticket, answer: Answer) -> Answer {
        self.failing.store(answer.is_err(), Ordering::Relaxed);
        let Some(session) = answer? else {
            self.gone(&ticket.key);
            return Ok(None);
        };
        Ok(Some(self.fill(ticket, session)))
    }
}
