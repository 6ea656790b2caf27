//! Refreshing by hand: a handed-out refresh token and its session are one lineage.

use std::sync::Arc;

use tokio::{
    sync::oneshot,
    time::{Instant, timeout_at},
};

use super::{
    Inner, TokenManager,
    admission::{Declined, Urgency},
    declined, landed,
    slots::{Joined, Outcome},
};
use crate::{
    backend::{BackendError, RefreshError, RefreshRequest},
    error::{ExchangeError, LogInReason, TokenError, Unavailability},
    session::{Session, SessionKey},
    store::{Exchanged, HandedOut},
    token::{RefreshToken, TokenSet},
};

/// What a refresh by hand brought.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct ExchangedTokens {
    /// The tokens. `refresh_token` is `None` where a stranger's token was passed on and the service kept it.
    pub tokens: TokenSet,
}

impl TokenManager {
    /// Refreshes by hand, with a refresh token that a login (or an earlier exchange) handed out.
    ///
    /// A token that belongs to a session is good for one exchange: for what the session's own flight brings, or, when
    /// the manager has spent the token already, for the session's current tokens. After that it is spent, and never
    /// reaches the auth service. An exchange is a use of the session, and a session that was left for too long has none.
    /// A token of no session is passed on to the service as it is.
    ///
    /// # Errors
    ///
    /// An [`ExchangeError`]. After [`ExchangeError::Unavailable`] the same token may be presented again; it is spent only
    /// where the store took the exchange and its answer was lost.
    ///
    /// # Cancel safety
    ///
    /// What was begun goes on in tasks of the manager's. Tokens whose receiver is gone are lost to it, not to the session.
    pub async fn exchange(&self, refresh_token: RefreshToken) -> Result<ExchangedTokens, ExchangeError> {
        let found = self.inner.store_call(self.inner.store.find_handed_out(&refresh_token)).await;
        match found.map_err(|_| unavailable(declined(Unavailability::Store)))? {
            None => self.pass_on(refresh_token).await,
            Some(HandedOut { exchanged: true, .. }) => Err(ExchangeError::Spent),
            Some(handed_out) => self.inner.exchange(&refresh_token, handed_out).await,
        }
    }

    async fn pass_on(&self, refresh_token: RefreshToken) -> Result<ExchangedTokens, ExchangeError> {
        if self.inner.is_closing() {
            return Err(unavailable(declined(Unavailability::ShuttingDown)));
        }
        let (send, passed_on) = oneshot::channel();
        let inner = self.inner.clone();
        self.inner.own(async move {
            let _ = send.send(inner.pass_on(&refresh_token).await);
        });
        passed_on.await.unwrap_or(Err(unavailable(declined(Unavailability::Internal))))
    }
}

impl Inner {
    async fn exchange(
        self: &Arc<Self>,
        presented: &RefreshToken,
        handed_out: HandedOut,
    ) -> Result<ExchangedTokens, ExchangeError> {
        let session = self.current(&handed_out.key).await.map_err(|error| from_token_error(&error))?;
        let now = self.clock.now();
        if now >= session.ends_at || !self.in_use(&handed_out.key, &session, now) {
            return Err(ExchangeError::Spent);
        }
        if session.version == handed_out.version {
            self.rotate(&handed_out.key, &session).await?;
        }
        let exchanged = self.store_call(self.store.exchange(presented)).await;
        match exchanged.map_err(|_| unavailable(declined(Unavailability::Store)))? {
            Exchanged::Already | Exchanged::Missing => Err(ExchangeError::Spent),
            Exchanged::Current { session, refresh_token } => {
                Ok(ExchangedTokens { tokens: current_tokens(&session, refresh_token) })
            }
        }
    }

    /// Has the session refreshed by its flight, whatever its zone.
    async fn rotate(self: &Arc<Self>, key: &SessionKey, session: &Session) -> Result<(), ExchangeError> {
        let deadline = Instant::now() + self.config.wait;
        let outcome = match self.refresh(key, session, Urgency::Awaited) {
            Joined::Paused(declined) => Outcome::Failed(declined),
            Joined::Flight(landing) => match timeout_at(deadline, landed(landing)).await {
                Ok(outcome) => outcome,
                Err(_) => Outcome::Failed(declined(Unavailability::Deadline)),
            },
        };
        match outcome {
            Outcome::Ready(_) => Ok(()),
            Outcome::Dead(_, Some(reply)) => Err(ExchangeError::Refused(reply)),
            Outcome::Dead(_, None) | Outcome::Missing | Outcome::InDoubt => Err(ExchangeError::Spent),
            Outcome::Failed(declined) => Err(unavailable(declined)),
        }
    }

    async fn pass_on(&self, refresh_token: &RefreshToken) -> Result<ExchangedTokens, ExchangeError> {
        let request = RefreshRequest {
            refresh_token,
            idempotency_key: &format!("{:032x}", crate::store::AttemptId::random().0),
            timeout: self.config.backend_timeout,
        };
        let permit = self.admission.enter(Urgency::Awaited).await.map_err(unavailable)?;
        let answer = super::refresh::call_backend(self, request).await;
        match &answer {
            Ok(_) | Err(RefreshError::Rejected(_)) => permit.succeeded(),
            Err(RefreshError::NotProcessed { retry_after, .. }) => permit.failed(*retry_after),
            Err(RefreshError::Ambiguous { retry_after: Some(asked), .. }) => permit.failed(Some(*asked)),
            // Anybody may send a text that the service stumbles over: that must not shut it off for sessions.
            Err(RefreshError::Ambiguous { .. } | RefreshError::ClientRejected(_)) => permit.told_nothing(),
        }
        match answer {
            Ok(tokens) => Ok(ExchangedTokens { tokens }),
            Err(RefreshError::Rejected(reply) | RefreshError::ClientRejected(reply)) => {
                Err(ExchangeError::Refused(reply))
            }
            Err(RefreshError::NotProcessed { retry_after: Some(retry_after), .. }) => {
                Err(BackendError::Overloaded { retry_after: Some(retry_after) }.into())
            }
            Err(RefreshError::NotProcessed { cause, .. }) => Err(BackendError::Unreachable(cause).into()),
            Err(RefreshError::Ambiguous { cause, .. }) => Err(BackendError::Malformed(cause).into()),
        }
    }
}

fn current_tokens(session: &Session, refresh_token: RefreshToken) -> TokenSet {
    TokenSet {
        access_token: session.access_token(),
        access_expires_at: Some(session.zones.expires_at),
        refresh_token: Some(refresh_token),
        refresh_expires_at: Some(session.ends_at),
        refresh_in: None,
    }
}

fn from_token_error(error: &TokenError) -> ExchangeError {
    match *error {
        TokenError::LogInAgain(LogInReason::Unknown | LogInReason::Ended(_)) => ExchangeError::Spent,
        TokenError::Unavailable { reason, retry_after } => ExchangeError::Unavailable { reason, retry_after },
    }
}

fn unavailable(declined: Declined) -> ExchangeError {
    ExchangeError::Unavailable { reason: declined.reason, retry_after: declined.retry_after }
}
