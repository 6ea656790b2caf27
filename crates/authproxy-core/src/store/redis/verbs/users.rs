//! The users' index: which sessions a user has, for a later "log out everywhere".

mod index;

use redis::{Cmd, Value};

pub(in super::super) use self::index::Place;
use self::index::UsersIndex;

use super::{REPEATABLE, Records, millis};
use crate::{
    error::StoreError,
    session::{Session, SessionKey},
    store::redis::{RedisStore, failure::Failure},
};

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
        for index in UsersIndex::of(&self.envelope, user) {
            let name = index.name();
            let command = Cmd::new().arg("ZRANGE").arg(&name).arg(0).arg(-1).to_owned();
            let Value::Array(members) = self.servers.ask(&name, &command, REPEATABLE).await?.value else {
                return Err(Failure::Nonsense.into());
            };
            sessions.extend(members.into_iter().filter_map(|member| match member {
                Value::BulkString(member) => index.session(&member),
                _ => None,
            }));
        }
        // One that was refreshed since the secrets were rotated is in two indexes.
        sessions.sort_unstable();
        sessions.dedup();
        Ok(sessions)
    }

    /// Puts a session into its user's index until it ends. Nothing waits on it: a session that is missing there works.
    pub(super) async fn index(&self, place: &Place, key: &SessionKey, session: &Session) {
        if let Err(failure) = self.index_until(place, &millis(self.life(session))).await {
            tracing::debug!(session = ?key, %failure, "a session is not in its user's index");
        }
    }

    /// Puts a session into its place for so many milliseconds, or leaves it there for longer.
    pub(super) async fn index_until(&self, place: &Place, life: &str) -> Result<(), Failure> {
        let arguments: [&[u8]; 2] = [&place.member, life.as_bytes()];
        self.scripts.index.run(&self.servers, &*self.clock, &place.index, &arguments, REPEATABLE).await.map(drop)
    }

    /// Takes a removed session out of its user's index, or leaves that to its expiry there.
    pub(super) async fn unindex(&self, key: &SessionKey, session: &Session) {
        for index in UsersIndex::of(&self.envelope, &session.user) {
            let Place { index, member } = index.place(&key.name());
            let command = Cmd::new().arg("ZREM").arg(&index).arg(&member).to_owned();
            let _ = self.servers.ask(&index, &command, REPEATABLE).await;
        }
    }

    /// Where a session of this user belongs.
    pub(super) fn place(&self, key: &SessionKey, user: &str) -> Place {
        UsersIndex::of(&self.envelope, user).next().expect("an envelope has a secret").place(&key.name())
    }
}
