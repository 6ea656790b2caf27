//! What the manager still owes after a flight: writing a token set that the store could not take, and revocations.

use std::{sync::Arc, time::Duration};

use tokio::time::{sleep, timeout};

use super::{Inner, slots::Unsaved};
use crate::{
    backend::RevokeRequest,
    store::{Abort, Commit, Committed, Lease},
    token::{AccessToken, RefreshToken},
};

/// How long to wait before writing again, at first and at most.
const WRITE_AGAIN: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(1));

impl Inner {
    /// Uses a token set at once and writes it as soon as the store is back. False when the session was closed
    /// meanwhile: then it is used by nobody.
    pub(super) fn save_later(self: &Arc<Self>, lease: Lease, unsaved: Unsaved) -> bool {
        if !self.slots.keep_unsaved(&lease.key, unsaved.clone()) {
            return false;
        }
        tracing::warn!(session = ?lease.key, "the store did not take a new token set; keeping it until it does");
        let manager = self.clone();
        self.own(async move { manager.save(lease, unsaved).await });
        true
    }

    async fn save(self: Arc<Self>, lease: Lease, unsaved: Unsaved) {
        let debt = self.left_over.unsaved();
        let commit = Commit { session: unsaved.session.clone(), refresh_token: unsaved.refresh_token.clone() };
        let mut pause = WRITE_AGAIN.0;
        loop {
            tokio::select! {
                () = self.cut_off.cancelled() => return debt.keep(),
                () = sleep(pause) => {}
            }
            if self.clock.now() >= unsaved.session.ends_at {
                tracing::error!(session = ?lease.key, "the store never took a token set; its session has ended");
                return self.slots.forget_unsaved(&lease.key);
            }
            pause = (pause * 2).min(WRITE_AGAIN.1);
            match self.store_call(self.store.commit(&lease, commit.clone())).await {
                Err(_) => {}
                Ok(Committed::Stored | Committed::Superseded(_)) => {
                    return self.slots.forget_unsaved(&lease.key);
                }
                Ok(Committed::Gone) => {
                    self.slots.forget_unsaved(&lease.key);
                    return self.revoke_later(unsaved.session.access_token(), Some(unsaved.refresh_token));
                }
            }
        }
    }

    /// Gives back a lease that may be held, for a token that was not presented: tells the store until it has heard.
    /// Otherwise the lease would run out and say "in doubt" of a token that nobody has sent.
    pub(super) fn give_back_later(self: &Arc<Self>, lease: Lease) {
        let manager = self.clone();
        self.own(async move {
            let mut pause = WRITE_AGAIN.0;
            while manager.store_call(manager.store.abort(&lease, Abort::Untouched)).await.is_err() {
                if manager.unless_cut_off(sleep(pause)).await.is_none() {
                    return;
                }
                pause = (pause * 2).min(WRITE_AGAIN.1);
            }
        });
    }

    /// Asks the service to revoke tokens that nobody is to use any more. Best effort, in a task of its own.
    pub(super) fn revoke_later(self: &Arc<Self>, access_token: AccessToken, refresh_token: Option<RefreshToken>) {
        let manager = self.clone();
        self.own(async move {
            let request = RevokeRequest { refresh_token: refresh_token.as_ref(), access_token: &access_token };
            let call = timeout(manager.config.backend_timeout, manager.backend.revoke(request));
            match manager.unless_cut_off(call).await {
                Some(Ok(Ok(()))) => {}
                Some(Ok(Err(error))) => tracing::warn!(%error, "the auth service did not revoke a session's tokens"),
                Some(Err(_elapsed)) => tracing::warn!("the auth service did not answer a revocation in time"),
                None => manager.left_over.unrevoked(),
            }
        });
    }
}
