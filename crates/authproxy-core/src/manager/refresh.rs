//! The flight: one refresh of one session, from the permission to the new version in the store.
//!
//! A flight runs in a task that the manager owns and is the only code that calls [`AuthBackend::refresh`].
//! [`Flight::fly`] is the protocol in one column: admitted, intent stored, presented, committed, published. How each
//! outcome is written down is in `settle`.
//!
//! [`AuthBackend::refresh`]: crate::backend::AuthBackend::refresh

mod settle;

use std::{panic::AssertUnwindSafe, sync::Arc, time::Duration};

use futures_util::FutureExt;
use tokio::time::{Instant, sleep, timeout};

use crate::{
    backend::{Cause, RefreshError, RefreshRequest},
    clock::Timestamp,
    error::{StoreError, Unavailability},
    manager::{
        Inner,
        admission::{Declined, Permit, Urgency},
        policy,
        slots::{Aftermath, Outcome},
    },
    session::{Session, SessionKey},
    store::{Abort, AttemptId, Begin, Begun, IfInDoubt, Lease},
    token::{RefreshToken, TokenSet},
};

/// A second presentation, where the contract allows it, follows after this long.
const BEFORE_PRESENTING_AGAIN: Duration = Duration::from_millis(100);
/// No flight presents more often than this, whatever the contract allows: the pause after it is for everyone.
const PRESENTATIONS_PER_FLIGHT: u32 = 2;
/// How often to ask whether another holder's refresh is done, at first and at most.
const ASK_AGAIN: (Duration, Duration) = (Duration::from_millis(25), Duration::from_millis(250));

/// One refresh in progress.
pub(super) struct Flight {
    manager: Arc<Inner>,
    key: SessionKey,
    seen: Session,
    urgency: Urgency,
    attempt: AttemptId,
    /// Whether this flight goes on from a refresh token that an unusable answer still held.
    salvaged: bool,
}

/// A granted attempt.
struct Granted {
    lease: Lease,
    refresh_token: RefreshToken,
    first_intent: Timestamp,
    /// When the permission was asked for: its time counts from here.
    asked_at: Instant,
}

/// How a presentation that brought no token set ended.
enum Unrefreshed {
    /// Nothing is lost; try later.
    Untouched(Declined, Option<Duration>),
    /// The service has judged.
    Rejected(crate::backend::Reply),
    /// The outcome is unknown.
    Ambiguous { asked: Option<Duration>, salvaged: Option<RefreshToken>, reason: Unavailability },
}

impl Flight {
    pub(super) fn new(manager: Arc<Inner>, key: SessionKey, seen: Session, urgency: Urgency) -> Self {
        Self { manager, key, seen, urgency, attempt: AttemptId::random(), salvaged: false }
    }

    /// Flies and lands: whatever happens, the slot is free afterwards and there is an outcome.
    pub(super) async fn run(self) -> Outcome {
        let outcome = match AssertUnwindSafe(self.fly()).catch_unwind().await {
            Ok(outcome) => outcome,
            Err(_) => {
                Outcome::Failed(Declined { reason: Unavailability::Internal, retry_after: Duration::from_secs(1) })
            }
        };
        let now = self.manager.clock.now();
        let aftermath = match &outcome {
            Outcome::Ready(session) => Aftermath::Success { pause: policy::pause_after_success(session, now) },
            Outcome::Dead(..) | Outcome::Missing | Outcome::InDoubt => Aftermath::Success { pause: None },
            Outcome::Failed(Declined { reason: Unavailability::Overloaded, retry_after })
                if self.urgency == Urgency::Background =>
            {
                Aftermath::NoRoom { pause: *retry_after }
            }
            Outcome::Failed(declined) => {
                let failures = self.manager.slots.failures(&self.key) + 1;
                let left = self.seen.zones.expires_at.since(now);
                let (reason, asked) = (declined.reason, Some(declined.retry_after));
                let pause = policy::back_off(&self.key, reason, failures, left, asked);
                Aftermath::Failure { pause, reason }
            }
        };
        self.manager.slots.land(&self.key, now, aftermath);
        self.report(&outcome);
        outcome
    }

    async fn fly(&self) -> Outcome {
        let (granted, permit) = match self.ask_for_lease().await {
            Ok(granted) => granted,
            Err(outcome) => return outcome,
        };
        match self.present(&granted, permit).await {
            Ok(tokens) => self.commit(granted, tokens).await,
            Err(Unrefreshed::Untouched(declined, _)) => self.give_back(&granted.lease, declined).await,
            Err(Unrefreshed::Rejected(reply)) => self.bury(&granted.lease, reply).await,
            Err(Unrefreshed::Ambiguous { salvaged: Some(rotated), .. }) => self.salvage(&granted.lease, rotated).await,
            Err(Unrefreshed::Ambiguous { asked, reason, .. }) => self.doubt(&granted, asked, reason).await,
        }
    }

    /// Is admitted and stores the intent to present. While another holds the lease, others may use the place.
    async fn ask_for_lease(&self) -> Result<(Granted, Permit<'_>), Outcome> {
        let give_up_at = Instant::now() + self.manager.config.lease();
        let mut ask_again = ASK_AGAIN.0;
        let mut doubt = IfInDoubt::Report;
        loop {
            let permit = self.manager.admission.enter(self.urgency).await.map_err(Outcome::Failed)?;
            if self.manager.is_closing() {
                return Err(failed(Unavailability::ShuttingDown));
            }
            let asked_at = Instant::now();
            match self.begin(doubt).await {
                Err(_) => {
                    self.manager.give_back_later(self.lease());
                    return Err(failed(Unavailability::Store));
                }
                Ok(Begun::Granted { lease, refresh_token, first_intent }) => {
                    let granted = Granted { lease, refresh_token, first_intent, asked_at };
                    return self.check(granted, doubt).await.map(|granted| (granted, permit));
                }
                Ok(Begun::Busy { lease_left }) => {
                    drop(permit);
                    if Instant::now() >= give_up_at {
                        return Err(failed(Unavailability::Backend));
                    }
                    sleep(ask_again.min(lease_left.max(ASK_AGAIN.0))).await;
                    ask_again = (ask_again * 2).min(ASK_AGAIN.1);
                }
                Ok(Begun::InDoubt { since }) => {
                    if doubt == IfInDoubt::Grant || !self.may_present_again(since) {
                        return Err(Outcome::InDoubt);
                    }
                    doubt = IfInDoubt::Grant;
                }
                Ok(Begun::Newer(session)) => return Err(Outcome::Ready(session)),
                Ok(Begun::Dead(reason)) => return Err(Outcome::Dead(reason, None)),
                Ok(Begun::Missing) => return Err(Outcome::Missing),
            }
        }
    }

    /// Whether a permission, by the time that it arrived, is still one.
    async fn check(&self, granted: Granted, doubt: IfInDoubt) -> Result<Granted, Outcome> {
        if granted.lease.base != self.seen.version || !self.is_time_to_present(&granted) {
            // A store that fell behind what this process knows, or an answer so late that the lease is nearly over.
            return Err(self.give_back(&granted.lease, declined(Unavailability::Store, None)).await);
        }
        if doubt == IfInDoubt::Grant && !self.may_present_again(granted.first_intent) {
            self.abort(&granted.lease, Abort::Untouched).await.ok();
            return Err(Outcome::InDoubt);
        }
        Ok(granted)
    }

    /// Whether a presentation that begins now ends within the lease.
    fn is_time_to_present(&self, granted: &Granted) -> bool {
        let margin = self.manager.config.store_timeout;
        granted.asked_at.elapsed() + self.manager.config.backend_timeout + margin < self.manager.config.lease()
    }

    fn may_present_again(&self, first_intent: Timestamp) -> bool {
        policy::may_present_again(self.manager.backend.rotation(), first_intent, self.manager.clock.now())
    }

    /// The lease that this flight holds if it holds one.
    fn lease(&self) -> Lease {
        Lease { key: self.key, attempt: self.attempt, base: self.seen.version }
    }

    async fn begin(&self, doubt: IfInDoubt) -> Result<Begun, StoreError> {
        let config = &self.manager.config;
        let begin = Begin { seen: self.seen.version, attempt: self.attempt, lease: config.lease(), doubt };
        self.manager.with_store(|| self.manager.store.begin(&self.key, begin)).await
    }

    /// Sends the refresh token, and again only where the contract says that this is safe.
    async fn present(&self, granted: &Granted, permit: Permit<'_>) -> Result<TokenSet, Unrefreshed> {
        let key = self.idempotency_key(&granted.lease);
        let mut presentations = 0;
        let unrefreshed = loop {
            presentations += 1;
            let unrefreshed = match self.present_once(&granted.refresh_token, &key).await {
                Ok(tokens) => {
                    permit.succeeded();
                    return Ok(tokens);
                }
                // What became of an earlier presentation is no clearer because a later one never arrived.
                Err(Unrefreshed::Untouched(declined, asked)) if presentations > 1 => {
                    ambiguous(asked, None, declined.reason)
                }
                Err(unrefreshed) => unrefreshed,
            };
            let again = matches!(unrefreshed, Unrefreshed::Ambiguous { salvaged: None, .. })
                && presentations < PRESENTATIONS_PER_FLIGHT
                && self.may_present_again(granted.first_intent)
                && self.is_time_to_present(granted)
                && !self.manager.is_closing();
            if !again {
                break unrefreshed;
            }
            sleep(BEFORE_PRESENTING_AGAIN).await;
        };
        match &unrefreshed {
            Unrefreshed::Rejected(_) => permit.succeeded(), // it works, and it said no
            Unrefreshed::Untouched(_, asked) | Unrefreshed::Ambiguous { asked, .. } => permit.failed(*asked),
        }
        Err(unrefreshed)
    }

    async fn present_once(&self, refresh_token: &RefreshToken, key: &str) -> Result<TokenSet, Unrefreshed> {
        if self.manager.is_cut_off() {
            return Err(Unrefreshed::Untouched(declined(Unavailability::ShuttingDown, None), None));
        }
        let within = self.manager.config.backend_timeout;
        let request = RefreshRequest { refresh_token, idempotency_key: key, timeout: within };
        let Some(answer) = self.manager.unless_cut_off(call_backend(&self.manager, request)).await else {
            return Err(ambiguous(None, None, Unavailability::ShuttingDown));
        };
        answer.map_err(|error| {
            tracing::debug!(session = ?self.key, %error, cause = error_source(&error), "a refresh brought no tokens");
            match error {
                RefreshError::Rejected(reply) => Unrefreshed::Rejected(reply),
                RefreshError::ClientRejected(reply) => {
                    tracing::error!(status = %reply.status, "the auth service refuses this proxy: check its configuration");
                    Unrefreshed::Untouched(declined(Unavailability::Misconfigured, None), None)
                }
                RefreshError::NotProcessed { retry_after, .. } => {
                    Unrefreshed::Untouched(declined(Unavailability::Backend, retry_after), retry_after)
                }
                RefreshError::Ambiguous { retry_after, salvaged, .. } => {
                    ambiguous(retry_after, salvaged, Unavailability::Backend)
                }
            }
        })
    }

    /// The same for every presentation of one refresh token, on every node; says nothing about token or session.
    fn idempotency_key(&self, lease: &Lease) -> String {
        use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
        use sha2::{Digest, Sha256};
        let digest = Sha256::new()
            .chain_update(b"authproxy refresh attempt")
            .chain_update(self.key.expose_secret())
            .chain_update(lease.base.0.to_be_bytes())
            .finalize();
        URL_SAFE_NO_PAD.encode(&digest[..16])
    }

    fn report(&self, outcome: &Outcome) {
        let session = &self.key;
        match outcome {
            Outcome::Ready(now) => tracing::debug!(?session, version = now.version.0, "refreshed"),
            Outcome::Dead(reason, _) => tracing::info!(?session, ?reason, "the session is over"),
            Outcome::Missing => tracing::debug!(?session, "the session is gone"),
            Outcome::InDoubt => tracing::warn!(?session, "the outcome of a refresh is unknown"),
            Outcome::Failed(declined) => {
                tracing::warn!(?session, reason = %declined.reason, "no refresh for now");
            }
        }
    }
}

/// Presents a refresh token: the one place that does. A panic or a missing answer leaves the outcome unknown.
pub(super) async fn call_backend(manager: &Inner, request: RefreshRequest<'_>) -> Result<TokenSet, RefreshError> {
    let call = AssertUnwindSafe(manager.backend.refresh(request)).catch_unwind();
    let unknown =
        |cause: &'static str| RefreshError::Ambiguous { retry_after: None, salvaged: None, cause: Cause::new(cause) };
    match timeout(request.timeout, call).await {
        Ok(Ok(answer)) => answer,
        Ok(Err(_panic)) => {
            tracing::error!("the backend panicked in a refresh; its outcome counts as unknown");
            Err(unknown("the backend panicked"))
        }
        Err(_elapsed) => Err(unknown("no answer within the backend timeout")),
    }
}

fn failed(reason: Unavailability) -> Outcome {
    Outcome::Failed(declined(reason, None))
}

fn declined(reason: Unavailability, asked: Option<Duration>) -> Declined {
    Declined { reason, retry_after: asked.unwrap_or_default() }
}

fn ambiguous(asked: Option<Duration>, salvaged: Option<RefreshToken>, reason: Unavailability) -> Unrefreshed {
    Unrefreshed::Ambiguous { asked, salvaged, reason }
}

fn error_source(error: &RefreshError) -> Option<String> {
    std::error::Error::source(error).map(ToString::to_string)
}
