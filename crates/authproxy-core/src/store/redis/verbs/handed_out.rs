//! Handed-out refresh tokens. The session's record remembers which of them may still be exchanged; a key named by the
//! token's keyed hash points to the session, sealed so that only who presents the token can follow it.

use redis::{Cmd, Value};

use super::{ONCE, REPEATABLE, Records, millis};
use crate::{
    session::{Session, SessionKey, Version},
    store::{
        Exchanged, HandedOut,
        redis::{
            failure::Failure,
            names,
            record::{self, Fingerprint, Record},
        },
    },
    token::RefreshToken,
};

const PURPOSE: &str = "handed-out refresh token";
/// What a pointer is sealed for: it has no versions of its own.
const NO_VERSION: Version = Version(0);
/// How often an exchange that a rotation overtakes is tried again.
const TRIES: usize = 4;

/// A handed-out token that is known here.
pub(super) struct Found {
    pub(super) handed_out: HandedOut,
    fingerprint: Fingerprint,
}

impl Records {
    /// What a refresh token is remembered by.
    pub(super) fn fingerprint(&self, token: &RefreshToken) -> Fingerprint {
        self.pointer(token).name()
    }

    /// Remembers which session a handed-out token belongs to, for as long as the session is kept.
    pub(super) async fn point(&self, token: &RefreshToken, key: &SessionKey, session: &Session) -> Result<(), Failure> {
        let pointer = self.pointer(token);
        let mut target = key.to_bytes().to_vec();
        target.extend_from_slice(&session.version.0.to_be_bytes());
        let sealed = self.envelope.seal(&pointer, NO_VERSION, &target);
        let (name, life) = (names::handed_out(&pointer.name()), millis(self.life(session)));
        let arguments = [&sealed[..], life.as_bytes()];
        self.scripts.point.run(&self.servers, &*self.clock, &name, &arguments, REPEATABLE).await?;
        self.wrote(key, session, |life| life.pointers.push((name, sealed.into())));
        Ok(())
    }

    /// The session lives longer, and so does what it has handed out.
    pub(super) async fn prolong(&self, entries: &[u8], session: &Session) {
        let life = millis(self.life(session));
        let prolonging = record::fingerprints(entries).map(|fingerprint| {
            let name = names::handed_out(&fingerprint);
            let command = Cmd::new().arg("PEXPIRE").arg(&name).arg(&life).to_owned();
            async move { self.servers.ask(&name, &command, REPEATABLE).await.map(drop) }
        });
        for prolonged in futures_util::future::join_all(prolonging).await {
            if let Err(failure) = prolonged {
                tracing::warn!(%failure, "a handed-out token may be forgotten before its session");
            }
        }
    }

    /// Where a handed-out token belongs, and whether it may still be exchanged.
    pub(super) async fn find(&self, token: &RefreshToken) -> Result<Option<Found>, Failure> {
        for hash in self.envelope.hashes(PURPOSE, token.expose_secret()) {
            let pointer = SessionKey::from_bytes(hash);
            let Some((key, version)) = self.follow(&pointer).await? else { continue };
            let fingerprint = pointer.name();
            let bytes = self.read(&key).await?;
            let record = bytes.as_ref().and_then(|(bytes, _)| Record::parse(bytes).ok().flatten());
            let exchanged = record.is_some_and(|record| !record.is_outstanding(&fingerprint));
            return Ok(Some(Found { handed_out: HandedOut { key, version, exchanged }, fingerprint }));
        }
        Ok(None)
    }

    pub(super) async fn exchange_handed_out(&self, presented: &RefreshToken) -> Result<Exchanged, Failure> {
        let Some(found) = self.find(presented).await? else { return Ok(Exchanged::Missing) };
        for _ in 0..TRIES {
            if let Some(exchanged) = self.try_exchange(&found).await? {
                return Ok(exchanged);
            }
        }
        Err(Failure::Nonsense)
    }

    /// One try: `None` when the session was rotated between reading it and taking the token.
    async fn try_exchange(&self, found: &Found) -> Result<Option<Exchanged>, Failure> {
        let key = &found.handed_out.key;
        let Some((bytes, node)) = self.read(key).await? else { return Ok(Some(Exchanged::Missing)) };
        let Some(session) = self.session(key, &bytes, &node) else { return Ok(Some(Exchanged::Missing)) };
        let Ok(Some(record)) = Record::parse(&bytes) else { return Ok(Some(Exchanged::Missing)) };
        let (Ok(Some(refresh_token)), Some(sealed_for)) =
            (record.open_refresh_token(&self.envelope, key), record.refresh_version)
        else {
            return Ok(Some(Exchanged::Missing));
        };
        if self.clock.now() >= session.ends_at {
            return Ok(Some(Exchanged::Missing));
        }
        if !record.is_outstanding(&found.fingerprint) {
            return Ok(Some(Exchanged::Already));
        }
        // Known as ours before it is given away: the other way round a crash would leave one that is not.
        self.point(&refresh_token, key, &session).await?;
        let current = self.fingerprint(&refresh_token);
        let sealed_for = sealed_for.0.to_string();
        let arguments: [&[u8]; 3] = [&found.fingerprint, &current, sealed_for.as_bytes()];
        let reply = self.run(&self.scripts.exchange, key, &arguments, ONCE).await?;
        match reply.word.as_str() {
            "exchanged" => {
                self.wrote(key, &session, |life| life.exchanged(&found.fingerprint, &current));
                Ok(Some(Exchanged::Current { session, refresh_token }))
            }
            "already" => Ok(Some(Exchanged::Already)),
            "missing" | "unreadable" => Ok(Some(Exchanged::Missing)),
            "moved" => Ok(None),
            _ => Err(Failure::Nonsense),
        }
    }

    /// A pointer's target.
    async fn follow(&self, pointer: &SessionKey) -> Result<Option<(SessionKey, Version)>, Failure> {
        let name = names::handed_out(&pointer.name());
        let command = Cmd::new().arg("GET").arg(&name).to_owned();
        let Value::BulkString(sealed) = self.servers.ask(&name, &command, REPEATABLE).await?.value else {
            return Ok(None);
        };
        let Ok(target) = self.envelope.open(pointer, NO_VERSION, &sealed) else { return Ok(None) };
        let Some((key, version)) = target.split_first_chunk::<32>() else { return Ok(None) };
        let Ok(version) = version.try_into().map(u64::from_be_bytes) else { return Ok(None) };
        Ok(Some((SessionKey::from_bytes(*key), Version(version))))
    }

    fn pointer(&self, token: &RefreshToken) -> SessionKey {
        let hash = self.envelope.hashes(PURPOSE, token.expose_secret()).next();
        SessionKey::from_bytes(hash.expect("an envelope has a secret"))
    }
}
