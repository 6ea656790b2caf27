//! [`RedisStore`]'s verbs: those of its [`Records`], with the near-cache told of everything that they say.

use std::sync::Arc;

use async_trait::async_trait;

use super::{RedisStore, journal, near::NearCache};
use crate::{
    clock::Timestamp,
    error::StoreError,
    session::{Session, SessionKey, Version},
    store::{
        Abort, Aborted, Begin, Begun, Commit, Committed, CreateError, Exchanged, HandedOut, Lease, NewSession, Removed,
        SessionStore,
    },
    token::RefreshToken,
};

#[async_trait]
impl SessionStore for RedisStore {
    async fn create(&self, key: &SessionKey, new: NewSession) -> Result<(), CreateError> {
        self.listen();
        self.heal();
        let ticket = self.near.ticket(key);
        let session = new.session.kept_under(*key);
        self.records.create(key, new).await?;
        self.near.fill(&ticket, session);
        Ok(())
    }

    fn is_crowded(&self) -> bool {
        self.near.is_crowded()
    }

    fn expect(&self, keys: &[SessionKey]) {
        self.near.expect(keys);
    }

    fn peek(&self, key: &SessionKey) -> Option<Session> {
        self.near.peek(key)
    }

    fn last_known(&self, key: &SessionKey) -> Option<Session> {
        self.near.last_known(key)
    }

    async fn load(&self, key: &SessionKey) -> Result<Option<Session>, StoreError> {
        self.listen();
        let (records, key) = (&self.records, *key);
        let read = || {
            let records = records.clone();
            async move { records.load(&key).await }
        };
        self.near.load(&key, read).await
    }

    async fn note_use(&self, key: &SessionKey, at: Timestamp) -> Result<(), StoreError> {
        self.records.note_use(key, at).await
    }

    async fn begin(&self, key: &SessionKey, begin: Begin) -> Result<Begun, StoreError> {
        self.listen();
        let ticket = self.near.ticket(key);
        let answer = self.records.begin(key, begin).await?;
        match &answer {
            Begun::Newer(session) => return Ok(Begun::Newer(self.near.fill(&ticket, session.clone()))),
            Begun::InDoubt { .. } => self.near.changed(key.name(), begin.seen.next()),
            Begun::Dead(_) | Begun::Missing => self.near.gone(key),
            Begun::Granted { .. } | Begun::Busy { .. } => {}
        }
        Ok(answer)
    }

    async fn commit(&self, lease: &Lease, commit: Commit) -> Result<Committed, StoreError> {
        self.heal();
        let (key, session) = (&lease.key, commit.session.clone());
        let ticket = self.near.ticket(key);
        let committed = self.records.commit(lease, commit).await?;
        match &committed {
            Committed::Stored if session.version == lease.base.next() => {
                let stamped = session.key == *key;
                let session = if stamped { session } else { session.kept_under(*key) };
                self.near.fill(&ticket, session);
            }
            // Redis counts on from what it had.
            Committed::Stored => self.near.changed(key.name(), Version(u64::MAX - 1)),
            Committed::Superseded(newer) => return Ok(Committed::Superseded(self.near.fill(&ticket, newer.clone()))),
            Committed::Gone => self.near.gone(key),
        }
        Ok(committed)
    }

    async fn abort(&self, lease: &Lease, abort: Abort) -> Result<Aborted, StoreError> {
        let key = &lease.key;
        let ticket = self.near.ticket(key);
        let aborted = self.records.abort(lease, abort).await?;
        match (&aborted, abort) {
            (Aborted::Newer(session), _) => return Ok(Aborted::Newer(self.near.fill(&ticket, session.clone()))),
            (Aborted::Done, Abort::Dead(_)) => self.near.gone(key),
            (Aborted::Done, Abort::InDoubt) => self.near.changed(key.name(), lease.base.next()),
            (Aborted::Done, Abort::Untouched) | (Aborted::Fenced, _) => {}
        }
        Ok(aborted)
    }

    async fn remove(&self, key: &SessionKey) -> Result<Option<Removed>, StoreError> {
        // Whatever comes of it, and also if nobody waits for it: nothing of the session is served unasked from here on.
        self.heal();
        let _forgotten = Forget { near: &self.near, key };
        self.records.remove(key).await
    }

    async fn find_handed_out(&self, refresh_token: &RefreshToken) -> Result<Option<HandedOut>, StoreError> {
        self.records.find_handed_out(refresh_token).await
    }

    async fn exchange(&self, presented: &RefreshToken) -> Result<Exchanged, StoreError> {
        self.records.exchange(presented).await
    }

    fn maintain(&self) {
        self.near.maintain();
    }
}

impl RedisStore {
    /// Writes again what a failover may lose, from now on.
    fn heal(&self) {
        let records = &self.records;
        self.healer
            .get_or_init(|| records.servers.spawn(journal::heal(Arc::downgrade(records), records.servers.primaries())));
    }

    /// Hears of changes from now on: also where nothing is served unasked, for what is written again after a failover.
    pub(super) fn listen(&self) {
        self.listener.start(&self.records.servers, &self.near, &self.records.journal);
    }
}

/// Forgets a session in the end.
struct Forget<'a> {
    near: &'a NearCache,
    key: &'a SessionKey,
}

impl Drop for Forget<'_> {
    fn drop(&mut self) {
        self.near.gone(self.key);
    }
}
