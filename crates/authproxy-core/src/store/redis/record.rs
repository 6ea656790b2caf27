//! A session's record in Redis: a header that the scripts read, and two sealed parts that only nodes can open.
//!
//! ```text
//!   0  "ap", format 1                          52  the last two commits' attempts
//!   3  0 live, 1..3 dead, 255 removed          84  the last two aborted attempts
//!   4  version                                116  last used
//!  12  in doubt since, 0: not                 124  the version that the refresh token was sealed for, 0: none
//!                                             132  the lengths of the sealed session and refresh token
//!  20  attempt, its lease's end, its first    140  session, refresh token, then the handed-out tokens'
//!      intent                                      fingerprints, each with 1 when it was exchanged
//! ```
//!
//! All numbers are big-endian, times are milliseconds on the server's clock. The sealed parts are bound to the session's
//! key and to the version that the header names, so a header with another version, or parts from another record, open
//! as nothing. Whoever can write to Redis can end a session by its header, as by deleting it, and no more.

use zeroize::Zeroizing;

use crate::{
    clock::Timestamp,
    session::{DeathReason, Session, SessionKey, Standing, Version, Zones},
    store::{Envelope, OpenRecordError},
    token::{AccessToken, RefreshToken},
};

const FORMAT: &[u8] = b"ap\x01";
/// The header's length.
pub(super) const HEADER: usize = 140;
/// No record of ours is longer: two tokens of the longest answer that is read from an auth service, four times over.
pub(super) const LONGEST: usize = 1 << 20;
/// A handed-out token's entry: its fingerprint, and 1 when it was exchanged.
pub(super) const ENTRY: usize = 17;

/// The most handed-out tokens that a record remembers.
const MOST_HANDED_OUT: usize = 64;
const REMOVED: u8 = 255;
/// What a sealed part begins with, so that one is not taken for the other.
const SESSION: u8 = 1;
const REFRESH_TOKEN: u8 = 2;
const TIMES: usize = 6;

/// A refresh token's keyed hash.
pub(super) type Fingerprint = [u8; 16];

/// Why there is nothing to be had from a record. Its session counts as none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unreadable {
    /// Not a record of this format.
    #[error("not a record of this version's format")]
    Foreign,
    /// Shorter than it says, or longer than any of ours.
    #[error("a record that is cut off or far too long")]
    Length,
    /// The seal is broken, or another session's, or of a secret that is not known here.
    #[error(transparent)]
    Sealed(#[from] OpenRecordError),
    /// Opened, and not what was expected inside.
    #[error("a sealed part that does not hold what it should")]
    Contents,
}

/// A record, its parts still sealed.
#[derive(Debug)]
pub(super) struct Record<'a> {
    pub(super) version: Version,
    /// Death and doubt as the header has them, on the server's clock.
    pub(super) standing: Standing,
    /// When the session was last used as far as nodes have told, on the server's clock.
    pub(super) used: Timestamp,
    /// The version that the refresh token was sealed for; `None` when there is none.
    pub(super) refresh_version: Option<Version>,
    session: &'a [u8],
    refresh_token: &'a [u8],
    handed_out: &'a [u8],
}

impl<'a> Record<'a> {
    /// Reads a record; `None` for what a removed session has left behind.
    pub(super) fn parse(bytes: &'a [u8]) -> Result<Option<Self>, Unreadable> {
        if bytes.len() > LONGEST {
            return Err(Unreadable::Length);
        }
        let (header, parts) = bytes.split_at_checked(HEADER).ok_or(Unreadable::Length)?;
        if !header.starts_with(FORMAT) {
            return Err(Unreadable::Foreign);
        }
        let mut fields = Fields(&header[FORMAT.len()..]);
        let dead = fields.byte()?;
        let version = Version(fields.number()?);
        let doubt = Timestamp::from_millis(fields.number()?);
        fields.skip(16 + 8 + 8 + 4 * 16)?;
        let used = Timestamp::from_millis(fields.number()?);
        let refresh_version = Some(Version(fields.number()?)).filter(|version| version.0 > 0);
        let (session, refresh_token) = (fields.length()?, fields.length()?);
        let mut parts = Fields(parts);
        let (session, refresh_token) = (parts.take(session)?, parts.take(refresh_token)?);
        let standing = match dead {
            REMOVED => return Ok(None),
            0 if doubt > Timestamp::from_millis(0) => Standing::InDoubt { since: doubt },
            0 => Standing::Live,
            reason => Standing::Dead(death_reason(reason).ok_or(Unreadable::Foreign)?),
        };
        Ok(Some(Self { version, standing, used, refresh_version, session, refresh_token, handed_out: parts.0 }))
    }

    /// What is published of the session, of this standing: the record's own, on this node's clock.
    pub(super) fn open_session(
        &self,
        envelope: &Envelope,
        key: &SessionKey,
        standing: Standing,
        used_at: Timestamp,
    ) -> Result<Session, Unreadable> {
        let (session, opened_at) = open_session(envelope, key, self.version, self.session)?;
        Ok(session.restored(*key, self.version, opened_at, standing, used_at))
    }

    /// The refresh token; `None` when the session has none.
    pub(super) fn open_refresh_token(
        &self,
        envelope: &Envelope,
        key: &SessionKey,
    ) -> Result<Option<RefreshToken>, Unreadable> {
        let Some(version) = self.refresh_version else { return Ok(None) };
        open_refresh_token(envelope, key, version, self.refresh_token).map(Some)
    }

    /// Whether a handed-out token may still be exchanged.
    pub(super) fn is_outstanding(&self, fingerprint: &Fingerprint) -> bool {
        let entries = self.handed_out.as_chunks::<ENTRY>().0;
        entries.iter().any(|entry| entry.starts_with(fingerprint) && entry[ENTRY - 1] == 0)
    }
}

/// The fingerprints of all handed-out tokens that a record remembers, from the bytes of their entries.
pub(super) fn fingerprints(entries: &[u8]) -> impl Iterator<Item = Fingerprint> {
    entries.as_chunks::<ENTRY>().0.iter().map(|entry| entry[..16].try_into().expect("16 of 17 bytes"))
}

/// A new session's record.
pub(super) fn first(
    envelope: &Envelope,
    key: &SessionKey,
    session: &Session,
    refresh_token: Option<&RefreshToken>,
    handed_out: Option<Fingerprint>,
) -> Vec<u8> {
    let version = session.version;
    let sealed = seal_session(envelope, key, version, session);
    let refresh = refresh_token.map(|token| seal_refresh_token(envelope, key, version, token)).unwrap_or_default();
    let mut record = Vec::with_capacity(HEADER + sealed.len() + refresh.len() + ENTRY);
    record.extend_from_slice(FORMAT);
    record.push(0);
    record.extend_from_slice(&version.0.to_be_bytes());
    record.resize(HEADER - 16, 0);
    record.extend_from_slice(&refresh_token.map_or(0, |_| version.0).to_be_bytes());
    for part in [&sealed, &refresh] {
        let length = u32::try_from(part.len()).expect("an auth service's answer is bounded");
        record.extend_from_slice(&length.to_be_bytes());
    }
    record.extend_from_slice(&sealed);
    record.extend_from_slice(&refresh);
    if let Some(fingerprint) = handed_out {
        record.extend_from_slice(&fingerprint);
        record.push(0);
    }
    record
}

/// A record of ours with the sealed parts of a later version.
pub(super) fn succeeded(record: &[u8], next: Version, session: &[u8], refresh_token: &[u8]) -> Option<Vec<u8>> {
    let old = Record::parse(record).ok()??;
    let mut succeeded = record[..HEADER].to_vec();
    succeeded[4..12].copy_from_slice(&next.0.to_be_bytes());
    succeeded.truncate(HEADER - 16);
    succeeded.extend_from_slice(&next.0.to_be_bytes());
    for part in [session, refresh_token] {
        succeeded.extend_from_slice(&u32::try_from(part.len()).ok()?.to_be_bytes());
    }
    for part in [session, refresh_token, old.handed_out] {
        succeeded.extend_from_slice(part);
    }
    Some(succeeded)
}

/// A record of ours in which one handed-out token was exchanged for another, as the script does it.
pub(super) fn exchanged(record: &[u8], presented: &Fingerprint, current: &Fingerprint) -> Option<Vec<u8>> {
    let handed_out = Record::parse(record).ok()??.handed_out;
    let mut exchanged = record[..record.len() - handed_out.len()].to_vec();
    let kept = handed_out.as_chunks::<ENTRY>().0.iter().filter(|entry| !entry.starts_with(current));
    let mut entries: Vec<_> = kept.copied().collect();
    for entry in entries.iter_mut().filter(|entry| entry.starts_with(presented)) {
        entry[ENTRY - 1] = 1;
    }
    let mut last = [0; ENTRY];
    last[..current.len()].copy_from_slice(current);
    entries.push(last);
    exchanged.extend(entries[entries.len().saturating_sub(MOST_HANDED_OUT)..].as_flattened());
    Some(exchanged)
}

/// Seals what is published of a session, for `version`.
pub(super) fn seal_session(envelope: &Envelope, key: &SessionKey, version: Version, session: &Session) -> Vec<u8> {
    let (user, token) = (session.user.as_bytes(), session.expose_secret().as_bytes());
    let mut plain = Zeroizing::new(Vec::with_capacity(1 + TIMES * 8 + 4 + user.len() + token.len()));
    plain.push(SESSION);
    let zones = session.zones;
    let times = [session.opened_at, session.issued_at, session.ends_at, zones.refresh_at, zones.wait_at];
    for time in times.into_iter().chain([zones.expires_at]) {
        plain.extend_from_slice(&time.as_millis().to_be_bytes());
    }
    plain.extend_from_slice(&u32::try_from(user.len()).expect("a login's body is bounded").to_be_bytes());
    plain.extend_from_slice(user);
    plain.extend_from_slice(token);
    envelope.seal(key, version, &plain)
}

/// Seals a refresh token, for `version`.
pub(super) fn seal_refresh_token(
    envelope: &Envelope,
    key: &SessionKey,
    version: Version,
    token: &RefreshToken,
) -> Vec<u8> {
    let token = token.expose_secret().as_bytes();
    let mut plain = Zeroizing::new(Vec::with_capacity(1 + token.len()));
    plain.push(REFRESH_TOKEN);
    plain.extend_from_slice(token);
    envelope.seal(key, version, &plain)
}

fn open_session(
    envelope: &Envelope,
    key: &SessionKey,
    version: Version,
    sealed: &[u8],
) -> Result<(Session, Timestamp), Unreadable> {
    let plain = envelope.open(key, version, sealed)?;
    let mut fields = Fields(&plain);
    if fields.byte()? != SESSION {
        return Err(Unreadable::Contents);
    }
    let mut time = || fields.number().map(Timestamp::from_millis);
    let (opened_at, issued_at, ends_at) = (time()?, time()?, time()?);
    let zones = Zones { refresh_at: time()?, wait_at: time()?, expires_at: time()? };
    let user = fields.length()?;
    let user = std::str::from_utf8(fields.take(user)?).map_err(|_| Unreadable::Contents)?;
    let token = std::str::from_utf8(fields.0).map_err(|_| Unreadable::Contents)?;
    let access_token = AccessToken::new(token).map_err(|_| Unreadable::Contents)?;
    Ok((Session::new(user.into(), &access_token, zones, issued_at, ends_at), opened_at))
}

/// Opens a refresh token that was sealed for `version`.
pub(super) fn open_refresh_token(
    envelope: &Envelope,
    key: &SessionKey,
    version: Version,
    sealed: &[u8],
) -> Result<RefreshToken, Unreadable> {
    let plain = envelope.open(key, version, sealed)?;
    let (&[REFRESH_TOKEN], token) = plain.split_at_checked(1).ok_or(Unreadable::Contents)? else {
        return Err(Unreadable::Contents);
    };
    let token = std::str::from_utf8(token).map_err(|_| Unreadable::Contents)?;
    RefreshToken::new(token).map_err(|_| Unreadable::Contents)
}

/// What a reason of death is in the header.
pub(super) fn death_code(reason: DeathReason) -> u8 {
    match reason {
        DeathReason::Rejected => 1,
        DeathReason::OutcomeLost => 2,
        DeathReason::Expired => 3,
    }
}

/// The reason of death that the header means.
pub(super) fn death_reason(code: u8) -> Option<DeathReason> {
    [DeathReason::Rejected, DeathReason::OutcomeLost, DeathReason::Expired]
        .into_iter()
        .find(|reason| death_code(*reason) == code)
}

/// Fields one after the other.
struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    fn take(&mut self, length: usize) -> Result<&'a [u8], Unreadable> {
        let (field, rest) = self.0.split_at_checked(length).ok_or(Unreadable::Length)?;
        self.0 = rest;
        Ok(field)
    }

    fn skip(&mut self, length: usize) -> Result<(), Unreadable> {
        self.take(length).map(drop)
    }

    fn byte(&mut self) -> Result<u8, Unreadable> {
        Ok(self.take(1)?[0])
    }

    fn number(&mut self) -> Result<u64, Unreadable> {
        Ok(u64::from_be_bytes(self.take(8)?.try_into().expect("8 bytes were taken")))
    }

    fn length(&mut self) -> Result<usize, Unreadable> {
        let length = u32::from_be_bytes(self.take(4)?.try_into().expect("4 bytes were taken"));
        usize::try_from(length).map_err(|_| Unreadable::Length)
    }
}

#[cfg(test)]
mod tests;
