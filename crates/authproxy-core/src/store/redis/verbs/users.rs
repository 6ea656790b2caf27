//! The users' index: which sessions a user has, for a later "log out everywhere". It holds keyed hashes and one-way names.

use redis::{Cmd, Value};

use super::{REPEATABLE, Records, millis};
use crate::{
    error::StoreError,
    session::{Session, SessionKey},
    store::redis::{RedisStore, failure::Failure, names},
};

const PURPOSE: &str = "user";

impl RedisStore {
    /// The [names](SessionKey::name) of a user's sessions, some of which may have ended.
    ///
    /// # Errors
    ///
    /// [`StoreError`] when the store cannot say.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future changes nothing.
    pub async fn sessions_of(&self, user: &str) -> Result<Vec<[u8; 16]>, StoreError> {
        self.records.sessions_of(user).await
    }
}

impl Records {
    async fn sessions_of(&self, user: &str) -> Result<Vec<[u8; 16]>, StoreError> {
        let mut sessions = Vec::new();
        for index in self.indexes(user) {
            let command = Cmd::new().arg("ZRANGE").arg(&index).arg(0).arg(-1).to_owned();
            let Value::Array(names) = self.servers.ask(&index, &command, REPEATABLE).await?.value else {
                return Err(Failure::Nonsense.into());
            };
            sessions.extend(names.into_iter().filter_map(|name| match name {
                Value::BulkString(name) => <[u8; 16]>::try_from(name).ok(),
                _ => None,
            }));
        }
        Ok(sessions)
    }

    /// Puts a session into its user's index until it ends. Nothing waits on it: a session that is missing there works.
    pub(super) async fn index(&self, key: &SessionKey, session: &Session) {
        let Some(index) = self.indexes(&session.user).next() else { return };
        if let Err(failure) = self.index_until(key, &index, &millis(self.life(session))).await {
            tracing::debug!(session = ?key, %failure, "a session is not in its user's index");
        }
    }

    /// Puts a session into this index for so many milliseconds, or leaves it there for longer.
    pub(super) async fn index_until(&self, key: &SessionKey, index: &str, life: &str) -> Result<(), Failure> {
        let name = key.name();
        let arguments: [&[u8]; 2] = [&name, life.as_bytes()];
        self.scripts.index.run(&self.servers, &*self.clock, index, &arguments, REPEATABLE).await.map(drop)
    }

    /// Takes a removed session out of its user's index, or leaves that to its expiry there.
    pub(super) async fn unindex(&self, key: &SessionKey, session: &Session) {
        for index in self.indexes(&session.user) {
            let command = Cmd::new().arg("ZREM").arg(&index).arg(&key.name()).to_owned();
            let _ = self.servers.ask(&index, &command, REPEATABLE).await;
        }
    }

    pub(super) fn indexes(&self, user: &str) -> impl Iterator<Item = String> {
        self.envelope.hashes(PURPOSE, user).map(|hash| names::user(&hash[..16]))
    }
}
