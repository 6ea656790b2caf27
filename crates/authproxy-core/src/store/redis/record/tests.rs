//! Records that are whole, and all that may lie in their place.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::session::SessionId;

const SECRET: &str = "a secret of the tests, longer than 32 characters";
const NOW: Timestamp = Timestamp::from_secs(1_000);

fn envelope() -> Envelope {
    Envelope::new([SECRET]).unwrap()
}

fn session(user: &str) -> Session {
    let at = Timestamp::from_secs;
    let zones = Zones { refresh_at: at(20), wait_at: at(30), expires_at: at(40) };
    Session::new(user.into(), &AccessToken::new("cAnArY-access").unwrap(), zones, at(10), at(50))
}

fn token() -> RefreshToken {
    RefreshToken::new("cAnArY-refresh").unwrap()
}

/// What a node gets from these bytes: a session and its refresh token, or nothing.
fn read(key: &SessionKey, bytes: &[u8]) -> Result<Option<(Session, Option<RefreshToken>)>, Unreadable> {
    let Some(record) = Record::parse(bytes)? else { return Ok(None) };
    let session = record.open_session(&envelope(), key, record.standing, NOW)?;
    Ok(Some((session, record.open_refresh_token(&envelope(), key)?)))
}

#[test]
fn a_record_is_read_as_it_was_written_and_shows_nothing() {
    let key = SessionId::random().key();
    let record = first(&envelope(), &key, &session("zoë@example.com"), Some(&token()), Some([7; 16]));
    let (read, refresh_token) = read(&key, &record).unwrap().unwrap();
    let written = session("zoë@example.com");
    assert_eq!((read.version, &read.user, read.zones), (Version::FIRST, &written.user, written.zones));
    let times = (read.issued_at, read.opened_at, read.ends_at);
    assert_eq!(times, (written.issued_at, written.opened_at, written.ends_at));
    assert_eq!((read.expose_secret(), read.standing), ("cAnArY-access", Standing::Live));
    assert_eq!(refresh_token.unwrap().expose_secret(), "cAnArY-refresh");
    for secret in [&b"cAnArY"[..], b"example", &key.expose_secret()] {
        assert!(!record.windows(secret.len()).any(|window| window == secret));
    }
    let parsed = Record::parse(&record).unwrap().unwrap();
    assert!(parsed.is_outstanding(&[7; 16]) && !parsed.is_outstanding(&[8; 16]));
}

#[test]
fn a_record_is_followed_by_its_next_version() {
    let (key, rotated) = (SessionId::random().key(), RefreshToken::new("rotated").unwrap());
    let first = first(&envelope(), &key, &session("u"), Some(&token()), Some([7; 16]));
    let sealed = seal_session(&envelope(), &key, Version(2), &session("u"));
    let resealed = seal_refresh_token(&envelope(), &key, Version(2), &rotated);
    let second = succeeded(&first, Version(2), &sealed, &resealed).unwrap();
    let (session, current) = read(&key, &second).unwrap().unwrap();
    assert_eq!((session.version, current.unwrap().expose_secret()), (Version(2), rotated.expose_secret()));
    assert!(Record::parse(&second).unwrap().unwrap().is_outstanding(&[7; 16]));
    assert!(succeeded(b"nothing of ours", Version(2), &sealed, &resealed).is_none());
}

#[test]
fn a_session_without_a_refresh_token_has_none() {
    let key = SessionId::random().key();
    let record = first(&envelope(), &key, &session("user"), None, None);
    assert!(read(&key, &record).unwrap().unwrap().1.is_none());
}

#[test]
fn a_record_under_another_key_or_of_an_unknown_secret_is_no_session() {
    let (key, other) = (SessionId::random().key(), SessionId::random().key());
    let record = first(&envelope(), &key, &session("user"), Some(&token()), None);
    assert_eq!(read(&other, &record).unwrap_err(), Unreadable::Sealed(OpenRecordError::Forged));
    let stranger = Envelope::new(["another secret of the tests, as long as the first"]).unwrap();
    let record = first(&stranger, &key, &session("user"), Some(&token()), None);
    assert_eq!(read(&key, &record).unwrap_err(), Unreadable::Sealed(OpenRecordError::UnknownSecret));
}

#[test]
fn a_header_of_another_version_opens_nothing() {
    let key = SessionId::random().key();
    let mut record = first(&envelope(), &key, &session("user"), Some(&token()), None);
    record[4..12].copy_from_slice(&2_u64.to_be_bytes());
    assert_eq!(read(&key, &record).unwrap_err(), Unreadable::Sealed(OpenRecordError::Forged));
}

#[test]
fn a_sealed_part_in_the_others_place_is_not_taken_for_it() {
    let key = SessionId::random().key();
    let envelope = envelope();
    let session_part = seal_session(&envelope, &key, Version::FIRST, &session("user"));
    let refresh_part = seal_refresh_token(&envelope, &key, Version::FIRST, &token());
    assert_eq!(open_refresh_token(&envelope, &key, Version::FIRST, &session_part).unwrap_err(), Unreadable::Contents);
    assert_eq!(open_session(&envelope, &key, Version::FIRST, &refresh_part).unwrap_err(), Unreadable::Contents);
}

#[test]
fn what_a_removed_session_leaves_is_no_session_and_no_error() {
    let key = SessionId::random().key();
    let mut record = first(&envelope(), &key, &session("user"), None, None);
    record[3] = REMOVED;
    assert!(read(&key, &record).unwrap().is_none());
}

#[test]
fn death_and_doubt_are_read_from_the_header() {
    let key = SessionId::random().key();
    let whole = first(&envelope(), &key, &session("user"), Some(&token()), None);
    for reason in [DeathReason::Rejected, DeathReason::OutcomeLost, DeathReason::Expired] {
        let mut record = whole.clone();
        record[3] = death_code(reason);
        assert_eq!(read(&key, &record).unwrap().unwrap().0.standing, Standing::Dead(reason));
    }
    let mut record = whole.clone();
    record[12..20].copy_from_slice(&5_000_u64.to_be_bytes());
    let since = Timestamp::from_secs(5);
    assert_eq!(read(&key, &record).unwrap().unwrap().0.standing, Standing::InDoubt { since });
    let mut record = whole;
    record[3] = 77;
    assert_eq!(read(&key, &record).unwrap_err(), Unreadable::Foreign);
}

#[test]
fn ten_megabytes_and_other_formats_are_no_session() {
    let key = SessionId::random().key();
    let mut long = first(&envelope(), &key, &session("user"), Some(&token()), None);
    long.resize(10_000_000, 0);
    assert_eq!(read(&key, &long).unwrap_err(), Unreadable::Length);
    let mut later = first(&envelope(), &key, &session("user"), Some(&token()), None);
    later[2] = 2;
    assert_eq!(read(&key, &later).unwrap_err(), Unreadable::Foreign);
    assert_eq!(read(&key, &[b'{'; 200]).unwrap_err(), Unreadable::Foreign);
}

proptest! {
    #[test]
    fn a_record_that_is_cut_off_is_no_session(keep in any::<prop::sample::Index>()) {
        let key = SessionId::random().key();
        let record = first(&envelope(), &key, &session("user"), Some(&token()), None);
        let cut = &record[..keep.index(record.len())];
        prop_assert_eq!(read(&key, cut).unwrap_err(), Unreadable::Length);
    }

    #[test]
    fn no_bytes_at_all_make_a_panic_or_a_session(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
        let key = SessionId::random().key();
        prop_assert!(!matches!(read(&key, &bytes), Ok(Some(_))));
        let mut ours = b"ap\x01\x00".to_vec();
        ours.extend_from_slice(&bytes);
        prop_assert!(!matches!(read(&key, &ours), Ok(Some(_))));
        let _ = fingerprints(&bytes).count();
    }

    /// A flipped bit yields nothing, or the same tokens with another word about them, never other tokens.
    #[test]
    fn a_changed_bit_changes_no_token(at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let key = SessionId::random().key();
        let mut record = first(&envelope(), &key, &session("user"), Some(&token()), None);
        let at = at.index(record.len());
        record[at] ^= 1 << bit;
        if let Ok(Some((read, refresh_token))) = read(&key, &record) {
            prop_assert!(at < HEADER);
            prop_assert_eq!(read.expose_secret(), "cAnArY-access");
            prop_assert_eq!((read.ends_at, read.version), (session("user").ends_at, Version::FIRST));
            prop_assert!(refresh_token.is_none_or(|token| token.expose_secret() == "cAnArY-refresh"));
        }
    }
}
