//! [`TokenManager`]: opens sessions, hands out access tokens, refreshes them by the protocol, ends sessions.
//!
//! Reading order: [`TokenManager::access_token`] here, then `policy` (what to do), `lookup` (which session is at hand),
//! `slots` (one flight a session) and `refresh` (the flight). Everything that must not be cut short by a caller runs in a task that the manager owns.

mod admission;
mod breaker;
mod builder;
mod config;
mod exchange;
mod idle;
mod lookup;
mod open;
pub(crate) mod policy;
mod ready;
mod refresh;
mod saver;
mod shutdown;
mod slots;

use std::{sync::Arc, time::Duration};

use tokio::{
    runtime::Handle,
    sync::watch,
    time::{Instant, timeout_at},
};
use tokio_util::{sync::CancellationToken, task::TaskTracker};

use self::{
    admission::{Admission, Declined, Urgency},
    policy::{Decision, Situation, Zone},
    refresh::Flight,
    slots::{Joined, Outcome, Slots},
};
pub use self::{
    builder::TokenManagerBuilder,
    config::ManagerConfig,
    exchange::ExchangedTokens,
    open::OpenedSession,
    ready::{AccessOptions, ReadyToken},
    shutdown::ShutdownReport,
};
use crate::{
    backend::AuthBackend,
    clock::{Clock, Timestamp},
    error::{LogInReason, TokenError, Unavailability},
    session::{DeathReason, Session, SessionKey, Standing, Version},
    store::{AttemptId, Begin, Begun, IfInDoubt, SessionStore},
};

/// Keeps sessions: one refresh at a time for each, in tasks of its own, whoever asks and whoever hangs up.
///
/// Clones are cheap and share everything. Dropping the last clone does not stop what is under way; call
/// [`shutdown`](Self::shutdown) before the runtime ends.
///
/// ```
/// # async fn example(backend: std::sync::Arc<dyn authproxy_core::backend::AuthBackend>) -> Result<(), Box<dyn std::error::Error>> {
/// use std::sync::Arc;
/// use authproxy_core::{backend::Credentials, manager::TokenManager, store::MemoryStore};
///
/// let manager = TokenManager::builder(backend, Arc::new(MemoryStore::new(10_000))).build();
/// let opened = manager.open(Credentials::password("user@example.com", "password123")).await?;
///
/// let key = opened.id.key();
/// let token = manager.access_token(&key).await?; // fresh, however long ago the login was
/// # let _ = token; Ok(()) }
/// ```
#[derive(Clone)]
pub struct TokenManager {
    inner: Arc<Inner>,
}

/// What clones of the manager, flights and other owned tasks share.
pub(crate) struct Inner {
    pub(crate) backend: Arc<dyn AuthBackend>,
    pub(crate) store: Arc<dyn SessionStore>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) config: ManagerConfig,
    pub(crate) slots: Slots,
    pub(crate) admission: Admission,
    runtime: Handle,
    tasks: TaskTracker,
    /// No new work from here on.
    closing: CancellationToken,
    /// What still runs is to stop where it stands.
    cut_off: CancellationToken,
    left_over: shutdown::LeftOver,
}

impl TokenManager {
    /// Starts to make a manager of sessions that `backend` issues tokens for and `store` keeps.
    pub fn builder(backend: Arc<dyn AuthBackend>, store: Arc<dyn SessionStore>) -> TokenManagerBuilder {
        TokenManagerBuilder::new(backend, store)
    }

    /// The access token, if it is fresh and at hand in this process: the hot path. Never blocks or waits, and allocates
    /// nothing but, about ten times in an idle timeout, the task that tells the store of a use.
    ///
    /// `None` says nothing about the session; ask [`access_token`](Self::access_token).
    pub fn peek(&self, key: &SessionKey) -> Option<ReadyToken> {
        let session = self.inner.store.peek(key)?;
        if self.inner.slots.has_override(key) {
            return None;
        }
        let now = self.inner.clock.now();
        let fresh = policy::zone(&session.zones, now) == Zone::Fresh
            && now < session.ends_at
            && !matches!(session.standing, Standing::Dead(_));
        (fresh && self.inner.in_use(key, &session, now)).then(|| ReadyToken::new(session))
    }

    /// Whether there are so many sessions here that [`expect`](Self::expect) pays.
    pub fn is_crowded(&self) -> bool {
        self.inner.store.is_crowded()
    }

    /// Prepares the lookups of several requests that have arrived together, which changes nothing but their cost.
    ///
    /// Among a million sessions a lookup waits for memory. Several can wait at the same time, when they are announced
    /// together and then made one after the other.
    pub fn expect(&self, keys: &[SessionKey]) {
        self.inner.store.expect(keys);
    }

    /// The session's access token, refreshed when needed.
    ///
    /// Waits for a refresh only when the token at hand is really unusable, and at most [`ManagerConfig::wait`].
    ///
    /// # Errors
    ///
    /// [`TokenError::LogInAgain`] when the session is over or unknown; [`TokenError::Unavailable`] when it lives but
    /// no token can be had now.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing: a refresh that it waited for goes on and serves the next caller.
    pub async fn access_token(&self, key: &SessionKey) -> Result<ReadyToken, TokenError> {
        if let Some(ready) = self.peek(key) {
            return Ok(ready);
        }
        // Boxed: whoever finds the token ready must not carry the space that waiting needs.
        Box::pin(self.inner.access_token(key, AccessOptions::default())).await
    }

    /// The session's access token, by a caller's own demands.
    ///
    /// # Errors
    ///
    /// As [`access_token`](Self::access_token).
    ///
    /// # Cancel safety
    ///
    /// As [`access_token`](Self::access_token).
    pub async fn access_token_with(&self, key: &SessionKey, options: AccessOptions) -> Result<ReadyToken, TokenError> {
        self.inner.access_token(key, options).await
    }

    /// What is known of a session, for showing it: refreshes nothing, and does not count as use of the session.
    ///
    /// # Errors
    ///
    /// As [`access_token`](Self::access_token).
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub async fn session(&self, key: &SessionKey) -> Result<ReadyToken, TokenError> {
        // What is at hand is good enough to say that a session lives, not that it has ended.
        let at_hand = self.inner.at_hand(key).and_then(|session| self.inner.shown(session).ok());
        match at_hand {
            Some(ready) => Ok(ready),
            None => self.inner.shown(self.inner.current(key).await?),
        }
    }

    /// Reports that an upstream refused the access token of version `seen` (RFC 6750, section 3.1).
    ///
    /// The first report of a version starts a refresh, which the next [`access_token`](Self::access_token) waits for;
    /// all further ones, and reports of old versions, do nothing. A session is refreshed for this reason at most once
    /// in 10 seconds, so an upstream that refuses every token causes no storm.
    pub fn report_rejected(&self, key: &SessionKey, seen: Version) {
        let inner = &self.inner;
        let now = inner.clock.now();
        let Some(session) = inner.store.peek(key) else {
            // Whoever asks for a token next has the store asked too, and starts the refresh.
            inner.slots.refuse(key, seen, now);
            return;
        };
        if session.version != seen || !inner.slots.refuse(key, seen, now) {
            return;
        }
        if let Joined::Paused(_) = inner.refresh(key, &session, Urgency::Awaited) {
            inner.slots.forgive(key);
        }
    }

    /// The present instant on the manager's clock: what the instants in a [`ReadyToken`] are to be compared with.
    pub fn now(&self) -> Timestamp {
        self.inner.clock.now()
    }
}

impl std::fmt::Debug for TokenManager {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("TokenManager").field("config", &self.inner.config).finish_non_exhaustive()
    }
}

impl Inner {
    async fn access_token(
        self: &Arc<Self>,
        key: &SessionKey,
        options: AccessOptions,
    ) -> Result<ReadyToken, TokenError> {
        let deadline = Instant::now() + options.wait.unwrap_or(self.config.wait);
        // What is remembered here cannot say that the session was left: another node may know of a later use.
        let at_hand = self.at_hand(key).filter(|session| !self.idled(session, self.clock.now()));
        let (mut session, mut is_latest) = match at_hand {
            Some(session) => (session, false),
            None => (self.current_until(key, deadline).await?, true),
        };
        if !self.in_use(key, &session, self.clock.now()) {
            return Err(Self::expired());
        }
        let mut flights = 0;
        loop {
            let now = self.clock.now();
            let (_, refused) = self.slots.override_of(key);
            if refused.is_some_and(|refused| refused < session.version) {
                self.slots.forget_refused(key);
            }
            match policy::decide(&session, self.situation(now, options.min_validity, refused, &session)) {
                Decision::Serve => return Ok(ReadyToken::new(session)),
                Decision::ServeAndRefresh => {
                    self.refresh_behind(key, &session, now);
                    return Ok(ReadyToken::new(session));
                }
                // What this process remembers is good enough to serve, not to make anybody wait or log in again.
                Decision::LogInAgain(_) | Decision::Refresh if !is_latest => {
                    session = match self.current_until(key, deadline).await {
                        Ok(latest) => latest,
                        Err(TokenError::Unavailable { reason, retry_after }) => {
                            return self.fall_back(session, Declined { reason, retry_after });
                        }
                        Err(over) => return Err(over),
                    };
                    is_latest = true;
                    continue;
                }
                // Lost for all this process knows; whoever is presenting it again just now may know better.
                Decision::LogInAgain(DeathReason::OutcomeLost) if flights < 2 => {
                    flights += 1;
                    session = self.await_last_try(key, session, deadline).await?;
                    continue;
                }
                Decision::LogInAgain(reason) => return Err(TokenError::LogInAgain(LogInReason::Ended(reason))),
                // The newest token that could be had is handed out even if it falls short of what was asked for.
                Decision::Refresh if flights == 2 => return self.fall_back(session, backend_failing()),
                Decision::Refresh => {}
            }
            flights += 1;
            let outcome = match self.refresh(key, &session, Urgency::Awaited) {
                Joined::Paused(declined) => return self.fall_back(session, declined),
                Joined::Flight(landing) => match timeout_at(deadline, landed(landing)).await {
                    Ok(outcome) => outcome,
                    Err(_) => return self.fall_back(session, declined(Unavailability::Deadline)),
                },
            };
            session = match outcome {
                Outcome::Ready(newer) => newer,
                Outcome::Dead(reason, _) => return Err(TokenError::LogInAgain(LogInReason::Ended(reason))),
                // There was no room for one in the background; one that is waited for may wait for room.
                Outcome::Failed(Declined { reason: Unavailability::Overloaded, .. }) if flights < 2 => continue,
                Outcome::Failed(declined) => return self.fall_back(session, declined),
                Outcome::InDoubt => self.current_until(key, deadline).await?,
                Outcome::Missing => {
                    let session = self.current_until(key, deadline).await?;
                    return self.fall_back(session, backend_failing());
                }
            };
        }
    }

    /// The session after a last try to refresh it that is under way here or on another node, if there is one.
    async fn await_last_try(
        &self,
        key: &SessionKey,
        session: Session,
        deadline: Instant,
    ) -> Result<Session, TokenError> {
        if let Some(landing) = self.slots.flight_of(key) {
            let _ = timeout_at(deadline, landed(landing)).await;
            return self.current_until(key, deadline).await;
        }
        let begin = Begin {
            seen: session.version,
            attempt: AttemptId::random(),
            lease: Duration::ZERO,
            doubt: IfInDoubt::Report,
        };
        match self.store_call(self.store.begin(key, begin)).await {
            Ok(Begun::Newer(newer)) => Ok(newer),
            Ok(Begun::Busy { .. }) => Err(unavailable(Unavailability::Backend)),
            Ok(_) => Err(TokenError::LogInAgain(LogInReason::Ended(DeathReason::OutcomeLost))),
            Err(_) => Err(unavailable(Unavailability::Store)),
        }
    }

    /// Joins the session's flight or starts one.
    fn refresh(self: &Arc<Self>, key: &SessionKey, session: &Session, urgency: Urgency) -> Joined {
        if self.is_closing() {
            return Joined::Paused(declined(Unavailability::ShuttingDown));
        }
        self.slots.join(key, self.clock.now(), urgency, || {
            let (land, landing) = watch::channel(None);
            let flight = Flight::new(self.clone(), *key, session.clone(), urgency);
            self.own(async move { land.send_replace(Some(flight.run().await)) });
            landing
        })
    }

    /// Starts a refresh that nobody waits for, unless one is under way, pausing or out of place.
    fn refresh_behind(self: &Arc<Self>, key: &SessionKey, session: &Session, now: Timestamp) {
        if !self.slots.is_busy(key, now) && self.admission.look().is_ok() {
            let _ = self.refresh(key, session, Urgency::Background);
        }
    }

    /// The token at hand after a refresh that brought none: still good for a moment, or nothing.
    fn fall_back(&self, session: Session, declined: Declined) -> Result<ReadyToken, TokenError> {
        if policy::usable(&session, self.clock.now(), self.config.min_usable) {
            return Ok(ReadyToken::new(session));
        }
        let retry_after = declined.retry_after.max(Duration::from_secs(1));
        Err(TokenError::Unavailable { reason: declined.reason, retry_after })
    }

    /// A session for one who wants to see it, if it lives.
    fn shown(&self, session: Session) -> Result<ReadyToken, TokenError> {
        let now = self.clock.now();
        match policy::decide(&session, self.situation(now, Duration::ZERO, None, &session)) {
            Decision::LogInAgain(reason) => Err(TokenError::LogInAgain(LogInReason::Ended(reason))),
            _ if !self.idled(&session, now) => Ok(ReadyToken::new(session)),
            _ => Err(Self::expired()),
        }
    }

    fn situation(
        &self,
        now: Timestamp,
        min_validity: Duration,
        refused: Option<Version>,
        session: &Session,
    ) -> Situation {
        let refused = refused == Some(session.version);
        Situation { now, min_validity, refused, contract: self.backend.rotation() }
    }

    /// Runs `task` to its end whatever its caller does.
    pub(crate) fn own<T: Send + 'static>(&self, task: impl Future<Output = T> + Send + 'static) {
        self.tasks.spawn_on(task, &self.runtime);
    }

    pub(crate) fn is_closing(&self) -> bool {
        self.closing.is_cancelled()
    }

    fn is_cut_off(&self) -> bool {
        self.cut_off.is_cancelled()
    }
}

async fn landed(mut landing: slots::Landing) -> Outcome {
    match landing.wait_for(Option::is_some).await {
        Ok(outcome) => outcome.clone().expect("waited for it"),
        // The flight's task was dropped with its runtime.
        Err(_) => Outcome::Failed(declined(Unavailability::ShuttingDown)),
    }
}

fn declined(reason: Unavailability) -> Declined {
    Declined { reason, retry_after: Duration::from_secs(1) }
}

fn backend_failing() -> Declined {
    declined(Unavailability::Backend)
}

fn unavailable(reason: Unavailability) -> TokenError {
    TokenError::Unavailable { reason, retry_after: Duration::from_secs(1) }
}
