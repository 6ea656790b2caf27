//! Opening a session by a login, and closing it.

use std::sync::Arc;

use tokio::{sync::oneshot, time::timeout};

use super::{Inner, ReadyToken, TokenManager, policy};
use crate::{
    backend::{BackendError, Credentials, IssuedTokens, Login},
    clock::Timestamp,
    error::{CloseError, OpenError, StoreError, Unavailability},
    session::{Session, SessionId, SessionKey},
    store::{CreateError, NewSession, Removed},
    token::TokenSet,
};

/// A session that a login opened.
#[non_exhaustive]
pub struct OpenedSession {
    /// The cookie's value.
    pub id: SessionId,
    /// What was published.
    pub session: ReadyToken,
    /// When the service was asked: what it said about lifetimes is counted from here.
    pub asked_at: Timestamp,
    /// The tokens as issued, for one who is to have them.
    pub tokens: TokenSet,
    /// Every other field of the token response.
    pub extra: serde_json::Map<String, serde_json::Value>,
}

impl TokenManager {
    /// Logs in and opens a session, under a new id whatever the browser had before.
    ///
    /// # Errors
    ///
    /// An [`OpenError`]; then there is no session, and tokens that the service may have issued are being revoked.
    ///
    /// # Cancel safety
    ///
    /// The login goes on in a task of the manager's. If nobody waits for it any more the session is closed again, so
    /// no session is left that nobody knows.
    pub async fn open(&self, credentials: Credentials) -> Result<OpenedSession, OpenError> {
        self.log_in(credentials, HandOut::Nothing).await
    }

    /// [`open`](Self::open) for one who is given the refresh token too: it stays one lineage with the session, and is
    /// refreshed by [`exchange`](Self::exchange).
    ///
    /// # Errors
    ///
    /// As [`open`](Self::open).
    ///
    /// # Cancel safety
    ///
    /// As [`open`](Self::open).
    pub async fn open_handing_out(&self, credentials: Credentials) -> Result<OpenedSession, OpenError> {
        self.log_in(credentials, HandOut::RefreshToken).await
    }

    async fn log_in(&self, credentials: Credentials, hand_out: HandOut) -> Result<OpenedSession, OpenError> {
        if self.inner.is_closing() {
            return Err(OpenError::Unavailable(Unavailability::ShuttingDown));
        }
        let (send, opened) = oneshot::channel();
        let inner = self.inner.clone();
        self.inner.own(async move {
            let opened = inner.log_in(credentials, hand_out).await;
            let _ = send.send(opened.map(|opened| Unclaimed { opened: Some(opened), manager: inner }));
        });
        let opened = opened.await.unwrap_or(Err(OpenError::Unavailable(Unavailability::Internal)));
        opened.map(Unclaimed::claim)
    }

    /// Ends a session: when this returns, no request with its cookie succeeds. Its tokens are revoked in the
    /// background where the service can. Returns whether there was a session.
    ///
    /// # Errors
    ///
    /// [`CloseError`] when the store did not confirm, asked several times; the session may still be there, so close it
    /// again. Its tokens are revoked all the same, as far as they are known without the store's answer: by the access
    /// token, which services need not take for the refresh token too (RFC 7009, section 2.1), and by the refresh token
    /// where it is the store that does not have it yet.
    ///
    /// # Cancel safety
    ///
    /// The removal goes on in a task of the manager's.
    pub async fn close(&self, key: &SessionKey) -> Result<bool, CloseError> {
        let (send, closed) = oneshot::channel();
        let (inner, key) = (self.inner.clone(), *key);
        self.inner.own(async move {
            let _ = send.send(inner.remove(&key).await);
        });
        let closed = closed.await.unwrap_or_else(|_| Err(StoreError::new("the store panicked")));
        Ok(closed?)
    }
}

/// What the one who logs in gets to know.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum HandOut {
    Nothing,
    RefreshToken,
}

/// A session on its way to the one who logged in. Lost on the way, it is closed again.
struct Unclaimed {
    opened: Option<OpenedSession>,
    manager: Arc<Inner>,
}

impl Unclaimed {
    fn claim(mut self) -> OpenedSession {
        self.opened.take().expect("claimed once")
    }
}

impl Drop for Unclaimed {
    fn drop(&mut self) {
        if let Some(unclaimed) = self.opened.take() {
            let manager = self.manager.clone();
            self.manager.own(async move {
                let _ = manager.remove(&unclaimed.id.key()).await;
            });
        }
    }
}

impl std::fmt::Debug for OpenedSession {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OpenedSession").field("session", &self.session).finish_non_exhaustive()
    }
}

impl Inner {
    async fn log_in(self: &Arc<Self>, credentials: Credentials, hand_out: HandOut) -> Result<OpenedSession, OpenError> {
        let asked_at = self.clock.now();
        let login = timeout(self.config.backend_timeout, self.backend.login(&credentials));
        let login = self.unless_cut_off(login).await.ok_or(OpenError::Unavailable(Unavailability::ShuttingDown))?;
        let IssuedTokens { tokens, extra } = match login.unwrap_or(Err(BackendError::TimedOut))? {
            Login::Issued(issued) => issued,
            Login::Refused(reply) => return Err(OpenError::Refused(reply)),
        };
        let id = SessionId::random();
        let session = self.first_version(&id.key(), credentials.username(), &tokens);
        let published = session.kept_under(id.key());
        let handed_out = hand_out == HandOut::RefreshToken;
        let new = NewSession { session, refresh_token: tokens.refresh_token.clone(), handed_out };
        let created = timeout(self.config.store_timeout, self.store.create(&id.key(), new)).await;
        match created.unwrap_or(Err(CreateError::Unavailable(StoreError::new("no answer within the store timeout")))) {
            Ok(()) => Ok(OpenedSession { id, session: ReadyToken::new(published), asked_at, tokens, extra }),
            Err(error) => {
                self.revoke_later(tokens.access_token, tokens.refresh_token);
                Err(match error {
                    CreateError::Full => OpenError::Full,
                    CreateError::Exists => OpenError::Unavailable(Unavailability::Internal),
                    CreateError::Unavailable(_) => OpenError::Unavailable(Unavailability::Store),
                })
            }
        }
    }

    fn first_version(&self, key: &SessionKey, user: &str, tokens: &TokenSet) -> Session {
        let now = self.clock.now();
        let ends_at = policy::ends_at(&self.config, tokens, now, None, now);
        let mut zones = policy::zones(&self.config, key, tokens, now);
        if tokens.refresh_token.is_none() {
            (zones.refresh_at, zones.wait_at) = (zones.expires_at, zones.expires_at); // there is nothing to refresh with
        }
        Session::new(user.into(), &tokens.access_token, zones, now, ends_at)
    }

    /// Removes a session from the store, then from this process, then has its tokens revoked: in that order nothing
    /// that comes later can bring it back.
    async fn remove(self: &Arc<Self>, key: &SessionKey) -> Result<bool, StoreError> {
        let known = self.known(key).await;
        let removed = match self.store_call(self.store.remove(key)).await {
            Ok(removed) => removed,
            Err(_) => self.remove_again(key, known).await?,
        };
        let unsaved = self.slots.close(key);
        let was_there = removed.is_some();
        let stored = removed.map(|removed| (removed.session, removed.refresh_token));
        match (unsaved, stored) {
            (Some(unsaved), _) => {
                self.revoke_later(unsaved.session.access_token(), Some(unsaved.refresh_token));
            }
            (None, Some((session, refresh_token))) => {
                self.revoke_later(session.access_token(), refresh_token);
            }
            (None, None) => {}
        }
        Ok(was_there)
    }

    /// Removes a session that may be removed already: the answer to the first try was lost, and what is to be revoked
    /// with it, but for what was known before.
    async fn remove_again(
        self: &Arc<Self>,
        key: &SessionKey,
        known: Option<Session>,
    ) -> Result<Option<Removed>, StoreError> {
        match self.with_store(|| self.store.remove(key)).await {
            Ok(None) => Ok(known.map(|session| Removed { session, refresh_token: None })),
            Ok(removed) => Ok(removed),
            Err(error) => {
                match (self.slots.unsaved(key), known) {
                    (Some(unsaved), _) => {
                        self.revoke_later(unsaved.session.access_token(), Some(unsaved.refresh_token));
                    }
                    (None, Some(session)) => self.revoke_later(session.access_token(), None),
                    (None, None) => {}
                }
                Err(error)
            }
        }
    }

    /// The session as far as it can be known, of whatever standing.
    async fn known(&self, key: &SessionKey) -> Option<Session> {
        match self.at_hand(key) {
            Some(session) => Some(session),
            None => self.current(key).await.ok(),
        }
    }
}
