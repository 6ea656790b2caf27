//! The store's verbs on Redis.

mod handed_out;
mod users;

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use async_trait::async_trait;
use redis::{Cmd, Value};

pub(super) use self::users::Place;
use super::{
    Durability, LINGER, Records,
    failure::{Failure, Refusal},
    journal::{Entry, Life, Made, OLDEST, Writes},
    names,
    node::{Manner, Node},
    record::{self, Record, Unreadable},
    script::{Reply, Script},
};
use crate::{
    clock::Timestamp,
    error::StoreError,
    session::{Session, SessionKey, Standing, Version},
    store::{
        Abort, Aborted, Begin, Begun, Commit, Committed, CreateError, Exchanged, HandedOut, IfInDoubt, Lease,
        NewSession, Removed, SessionStore,
    },
    token::RefreshToken,
};

/// How long the mark of a removed session stays: longer than anything that was sent before its removal may take, and than
/// anything that is written again is old.
pub(super) const TOMBSTONE: Duration = Duration::from_mins(10);

/// Where the commit's script is told how long the record is kept.
const LIFE_IN_COMMIT: usize = 2;

/// A verb that may be sent again under the same name when its answer was lost.
const REPEATABLE: Manner = Manner { asking: false, replicated: false, repeatable: true };
/// A verb whose answer would not be the same the second time.
const ONCE: Manner = Manner { asking: false, replicated: false, repeatable: false };

#[async_trait]
impl SessionStore for Records {
    async fn create(&self, key: &SessionKey, new: NewSession) -> Result<(), CreateError> {
        let handed_out = new.refresh_token.as_ref().filter(|_| new.handed_out);
        let fingerprint = handed_out.map(|token| self.fingerprint(token));
        let record = record::first(&self.envelope, key, &new.session, new.refresh_token.as_ref(), fingerprint);
        if record.len() > record::LONGEST {
            return Err(StoreError::new("the tokens are too long to be stored").into());
        }
        let (life, place) = (millis(self.life(&new.session)), self.place(key, &new.session.user));
        let arguments = [&record[..], life.as_bytes()];
        match self.run(&self.scripts.create, key, &arguments, REPEATABLE).await {
            Ok(reply) if reply.word == "created" => {
                self.wrote(key, &new.session, |life| life.begun(&record, place.clone()));
            }
            Ok(_) | Err(Failure::Refused(Refusal::WrongType)) => return Err(CreateError::Exists),
            Err(Failure::Refused(Refusal::OutOfMemory)) => return Err(CreateError::Full),
            Err(failure) => return Err(CreateError::Unavailable(failure.into())),
        }
        let ((), pointed) = tokio::join!(self.index(&place, key, &new.session), async {
            match handed_out {
                Some(token) => self.point(token, key, &new.session).await,
                None => Ok(()),
            }
        });
        if let Err(failure) = pointed {
            // A token that is given away and not known as ours would be sent to the auth service behind our back.
            let _ = self.remove(key).await;
            return Err(match failure {
                Failure::Refused(Refusal::OutOfMemory) => CreateError::Full,
                failure => CreateError::Unavailable(failure.into()),
            });
        }
        Ok(())
    }

    async fn load(&self, key: &SessionKey) -> Result<Option<Session>, StoreError> {
        let Some((bytes, node)) = self.read(key).await? else { return Ok(None) };
        Ok(self.session(key, &bytes, &node))
    }

    async fn note_use(&self, key: &SessionKey, at: Timestamp) -> Result<(), StoreError> {
        let ago = millis(self.clock.now().since(at));
        self.run(&self.scripts.touch, key, &[ago.as_bytes()], REPEATABLE).await?;
        Ok(())
    }

    async fn begin(&self, key: &SessionKey, begin: Begin) -> Result<Begun, StoreError> {
        let (seen, lease) = (begin.seen.0.to_string(), millis(begin.lease));
        let attempt = begin.attempt.0.to_be_bytes();
        let grant_in_doubt: &[u8] = if begin.doubt == IfInDoubt::Grant { b"1" } else { b"0" };
        let arguments = [seen.as_bytes(), &attempt, lease.as_bytes(), grant_in_doubt];
        let mut reply = self.run(&self.scripts.begin, key, &arguments, self.durable()).await?;
        match reply.word.as_str() {
            "granted" => self.granted(key, &begin, reply).await,
            "newer" => Ok(self.session_in(key, &mut reply)?.map_or(Begun::Missing, Begun::Newer)),
            "busy" => Ok(Begun::Busy { lease_left: Duration::from_millis(reply.number()?) }),
            "doubt" => Ok(Begun::InDoubt { since: reply.time_here()? }),
            "dead" => {
                let code = u8::try_from(reply.number()?).ok();
                Ok(code.and_then(record::death_reason).map_or(Begun::Missing, Begun::Dead))
            }
            "missing" => Ok(Begun::Missing),
            "unreadable" => {
                self.nothing_in(key, Unreadable::Foreign);
                Ok(Begun::Missing)
            }
            _ => Err(Failure::Nonsense.into()),
        }
    }

    async fn commit(&self, lease: &Lease, commit: Commit) -> Result<Committed, StoreError> {
        let (key, next) = (&lease.key, lease.base.next());
        let session = record::seal_session(&self.envelope, key, next, &commit.session);
        let refresh = record::seal_refresh_token(&self.envelope, key, next, &commit.refresh_token);
        let (base, life) = (lease.base.0.to_string(), millis(self.life(&commit.session)));
        let attempt = lease.attempt.0.to_be_bytes();
        let (publish, channel) = self.channel(key);
        let name = key.name();
        let arguments: [&[u8]; 8] = [
            base.as_bytes(),
            &attempt,
            life.as_bytes(),
            &session,
            &refresh,
            publish.as_bytes(),
            channel.as_bytes(),
            &name,
        ];
        let committing = self.run(&self.scripts.commit, key, &arguments, self.durable());
        let place = self.place(key, &commit.session.user);
        let (reply, ()) = tokio::join!(committing, self.index(&place, key, &commit.session));
        let mut reply = reply?;
        match reply.word.as_str() {
            "stored" => {
                if !reply.replicated {
                    tracing::warn!(session = ?key, "no replica has confirmed a token set; the primary alone has it");
                }
                let made_by = Made { arguments: &arguments, session: &session, refresh_token: &refresh };
                self.wrote(key, &commit.session, |life| life.committed(&commit.session, next, made_by, place));
                self.prolong(&reply.bytes()?, &commit.session).await;
                Ok(Committed::Stored)
            }
            "superseded" => {
                // By one that this node may be unable to open. The session lives, and these tokens are of its lineage.
                let newer = self.session_in(key, &mut reply)?;
                Ok(Committed::Superseded(newer.unwrap_or_else(|| commit.session.kept_under(*key))))
            }
            "gone" => Ok(Committed::Gone),
            "unreadable" => {
                self.nothing_in(key, Unreadable::Foreign);
                Ok(Committed::Gone)
            }
            _ => Err(Failure::Nonsense.into()),
        }
    }

    async fn abort(&self, lease: &Lease, abort: Abort) -> Result<Aborted, StoreError> {
        let (key, base) = (&lease.key, lease.base.0.to_string());
        let attempt = lease.attempt.0.to_be_bytes();
        let known = match abort {
            Abort::Untouched => "untouched".to_owned(),
            Abort::InDoubt => "doubt".to_owned(),
            Abort::Dead(reason) => record::death_code(reason).to_string(),
        };
        let (publish, channel) = self.channel(key);
        let name = key.name();
        let arguments: [&[u8]; 6] =
            [base.as_bytes(), &attempt, known.as_bytes(), publish.as_bytes(), channel.as_bytes(), &name];
        let mut reply = self.run(&self.scripts.abort, key, &arguments, REPEATABLE).await?;
        match reply.word.as_str() {
            "done" => Ok(Aborted::Done),
            "newer" => Ok(self.session_in(key, &mut reply)?.map_or(Aborted::Fenced, Aborted::Newer)),
            "fenced" | "unreadable" => Ok(Aborted::Fenced),
            _ => Err(Failure::Nonsense.into()),
        }
    }

    async fn remove(&self, key: &SessionKey) -> Result<Option<Removed>, StoreError> {
        // Another node may be about to write it again, if a failover has lost it.
        let lost = self.journal.knows(key) || self.servers.has_met_a_primary_within(OLDEST, self.clock.now());
        let mut end = self.journal.ending(key, &*self.clock);
        let reply = self.mark_as_removed(key, lost, ONCE).await;
        end.may_have_come = match &reply {
            Ok(reply) => reply.word == "removed" || self.journal.knows(key),
            Err(Failure::Unconnected(_) | Failure::Refused(_)) => false,
            Err(_) => true,
        };
        drop(end);
        let mut reply = reply?;
        match reply.word.as_str() {
            "removed" => {
                let bytes = reply.bytes()?;
                let Some(session) = self.session(key, &bytes, reply.node()) else { return Ok(None) };
                self.unindex(key, &session).await;
                let record = Record::parse(&bytes).ok().flatten();
                let refresh_token =
                    record.and_then(|record| record.open_refresh_token(&self.envelope, key).ok().flatten());
                Ok(Some(Removed { session, refresh_token }))
            }
            "missing" => Ok(None),
            "unreadable" => {
                self.nothing_in(key, Unreadable::Foreign);
                Ok(None)
            }
            _ => Err(Failure::Nonsense.into()),
        }
    }

    async fn find_handed_out(&self, refresh_token: &RefreshToken) -> Result<Option<HandedOut>, StoreError> {
        Ok(self.find(refresh_token).await?.map(|found| found.handed_out))
    }

    async fn exchange(&self, presented: &RefreshToken) -> Result<Exchanged, StoreError> {
        Ok(self.exchange_handed_out(presented).await?)
    }
}

impl Records {
    async fn granted(&self, key: &SessionKey, begin: &Begin, mut reply: Reply) -> Result<Begun, StoreError> {
        let first_intent = reply.time_here()?;
        let base = Version(reply.number()?);
        let sealed_for = Version(reply.number()?);
        let sealed = reply.bytes()?;
        let lease = Lease { key: *key, attempt: begin.attempt, base };
        if !reply.replicated {
            // Not given back here: whoever asked may ask again under this name, and what gives it back, come late, would
            // free the lease under which the token is being presented.
            return Err(Failure::Unreplicated.into());
        }
        match record::open_refresh_token(&self.envelope, key, sealed_for, &sealed) {
            Ok(refresh_token) => Ok(Begun::Granted { lease, refresh_token, first_intent }),
            Err(unreadable) => {
                // A node that knows the secret must not find the session held by one that does not.
                let _ = self.abort(&lease, Abort::Untouched).await;
                self.nothing_in(key, unreadable);
                Ok(Begun::Missing)
            }
        }
    }

    /// Writes again what was written of a session: nothing of it changes anything where it was not lost.
    pub(super) async fn write_again(&self, Entry { key, until, writes, .. }: &Entry) -> Result<(), Failure> {
        let Writes::Lives(written) = writes else { return self.mark_as_removed(key, true, REPEATABLE).await.map(drop) };
        let now = self.clock.now();
        let life = millis(until.since(now));
        // Looked at when it is sent: what counts from an earlier moment would count from too late a one.
        let presented_ago = || {
            let now = self.clock.now();
            (now >= written.due_at).then(|| millis(now.since(written.due_at)).into_bytes())
        };
        if let Some(record) = &written.record {
            let ago = presented_ago();
            let arguments: Vec<&[u8]> = [&record[..], life.as_bytes()].into_iter().chain(ago.as_deref()).collect();
            self.run(&self.scripts.create, key, &arguments, REPEATABLE).await?;
        }
        if let Some(commit) = &written.commit {
            let ago = presented_ago();
            let mut arguments: Vec<&[u8]> = commit.iter().map(Vec::as_slice).chain(ago.as_deref()).collect();
            arguments[LIFE_IN_COMMIT] = life.as_bytes();
            self.run(&self.scripts.commit, key, &arguments, REPEATABLE).await?;
        }
        if let Some(index) = &written.index {
            self.index_until(index, &life).await?;
        }
        for (name, target) in &written.pointers {
            let command = Cmd::new().arg("SET").arg(name).arg(&**target).arg("PX").arg(&life).arg("NX").to_owned();
            self.servers.ask(name, &command, REPEATABLE).await?;
        }
        Ok(())
    }

    /// Notes a change of a session that lives, to be written again if it is lost.
    pub(super) fn wrote(&self, key: &SessionKey, session: &Session, change: impl FnOnce(&mut Life)) {
        let now = self.clock.now();
        self.journal.wrote(key, session, now, now.plus(self.life(session)), change);
    }

    /// Removes a session, and leaves the mark of that for a while; `where_nothing_is`, also if there is none.
    async fn mark_as_removed(
        &self,
        key: &SessionKey,
        where_nothing_is: bool,
        manner: Manner,
    ) -> Result<Reply, Failure> {
        let (publish, channel) = self.channel(key);
        let (tombstone, name) = (millis(TOMBSTONE), key.name());
        let also: &[u8] = if where_nothing_is { b"1" } else { b"0" };
        let arguments: [&[u8]; 5] = [tombstone.as_bytes(), publish.as_bytes(), channel.as_bytes(), &name, also];
        self.run(&self.scripts.remove, key, &arguments, manner).await
    }

    async fn run(
        &self,
        script: &Script,
        key: &SessionKey,
        arguments: &[&[u8]],
        manner: Manner,
    ) -> Result<Reply, Failure> {
        script.run(&self.servers, &*self.clock, &names::record(key), arguments, manner).await
    }

    /// A record's bytes, not yet looked at; no more of them than a record can have.
    async fn read(&self, key: &SessionKey) -> Result<Option<(Vec<u8>, Arc<Node>)>, Failure> {
        let name = names::record(key);
        let command = Cmd::new().arg("GETRANGE").arg(&name).arg(0).arg(record::LONGEST).to_owned();
        let answered = match self.servers.ask(&name, &command, REPEATABLE).await {
            Err(Failure::Refused(Refusal::WrongType)) => {
                self.nothing_in(key, Unreadable::Foreign);
                return Ok(None);
            }
            answered => answered?,
        };
        match answered.value {
            Value::BulkString(bytes) if bytes.is_empty() => Ok(None),
            Value::BulkString(bytes) => Ok(Some((bytes, answered.node))),
            _ => Err(Failure::Nonsense),
        }
    }

    fn session_in(&self, key: &SessionKey, reply: &mut Reply) -> Result<Option<Session>, Failure> {
        let bytes = reply.bytes()?;
        Ok(self.session(key, &bytes, reply.node()))
    }

    /// The session in a record; `None`, and counted, when it cannot be opened.
    fn session(&self, key: &SessionKey, bytes: &[u8], node: &Node) -> Option<Session> {
        let opened = Record::parse(bytes).and_then(|record| {
            let Some(record) = record else { return Ok(None) };
            let standing = match record.standing {
                Standing::InDoubt { since } => Standing::InDoubt { since: node.server_clock().to_node(since) },
                standing => standing,
            };
            let used_at = node.server_clock().to_node(record.used);
            record.open_session(&self.envelope, key, standing, used_at).map(Some)
        });
        match opened {
            Ok(session) => session,
            Err(unreadable) => {
                self.nothing_in(key, unreadable);
                None
            }
        }
    }

    /// Counts a record that nothing is to be had from.
    fn nothing_in(&self, key: &SessionKey, unreadable: Unreadable) {
        self.unreadable.fetch_add(1, Ordering::Relaxed);
        tracing::warn!(session = ?key, %unreadable, "a record cannot be opened; it counts as no session");
    }

    /// How long what belongs to a session is kept.
    fn life(&self, session: &Session) -> Duration {
        session.ends_at.since(self.clock.now()) + LINGER
    }

    fn durable(&self) -> Manner {
        Manner { replicated: self.durability == Durability::Replica, ..REPEATABLE }
    }

    /// How and where the change of a session is made known.
    fn channel(&self, key: &SessionKey) -> (&'static str, String) {
        if self.servers.are_a_cluster() {
            ("SPUBLISH", names::partition_channel(names::partition(key)))
        } else {
            ("PUBLISH", names::CHANNEL.to_owned())
        }
    }
}

/// A duration as scripts take it. A century is long enough: Redis refuses what overflows its clock.
fn millis(duration: Duration) -> String {
    const CENTURY: u128 = 100 * 365 * 24 * 3600 * 1000;
    duration.as_millis().min(CENTURY).to_string()
}
