//! Scenario 53: forged, swapped, rolled back and foreign records.
#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::session::SessionId;

const OLD: &str = "an-old-secret-an-old-secret-an-old-secret";
const NEW: &str = "a-new-secret-a-new-secret-a-new-secret-a";
const RECORD: &[u8] = b"cAnArY-refresh-token";

#[test]
fn what_was_sealed_opens_and_does_not_show_the_record() {
    let envelope = Envelope::new([NEW]).unwrap();
    let key = SessionId::random().key();
    let sealed = envelope.seal(&key, Version(3), RECORD);
    assert_eq!(envelope.open(&key, Version(3), &sealed).unwrap().as_slice(), RECORD);
    assert!(!sealed.windows(6).any(|window| window == &RECORD[..6]));
    assert_ne!(sealed, envelope.seal(&key, Version(3), RECORD), "a new nonce each time");
    assert!(!format!("{envelope:?}").contains("secret-a"));
}

#[test]
fn a_record_of_another_session_or_version_does_not_open() {
    let envelope = Envelope::new([NEW]).unwrap();
    let key = SessionId::random().key();
    let sealed = envelope.seal(&key, Version(3), RECORD);
    let other = SessionId::random().key();
    assert_eq!(envelope.open(&other, Version(3), &sealed), Err(OpenRecordError::Forged), "swapped keys");
    assert_eq!(envelope.open(&key, Version(4), &sealed), Err(OpenRecordError::Forged), "rolled back");
}

#[test]
fn secrets_rotate_without_ending_a_session() {
    let key = SessionId::random().key();
    let sealed = Envelope::new([OLD]).unwrap().seal(&key, Version::FIRST, RECORD);
    let both = Envelope::new([NEW, OLD]).unwrap();
    assert_eq!(both.open(&key, Version::FIRST, &sealed).unwrap().as_slice(), RECORD);
    let resealed = both.seal(&key, Version::FIRST, RECORD);
    let new = Envelope::new([NEW]).unwrap();
    assert_eq!(new.open(&key, Version::FIRST, &resealed).unwrap().as_slice(), RECORD);
    assert_eq!(new.open(&key, Version::FIRST, &sealed), Err(OpenRecordError::UnknownSecret));
}

#[test]
fn weak_or_missing_secrets_are_refused() {
    assert_eq!(Envelope::new(Vec::<&str>::new()).unwrap_err(), InvalidSecrets::None);
    assert_eq!(Envelope::new([NEW, "short"]).unwrap_err(), InvalidSecrets::TooShort);
}

proptest! {
    #[test]
    fn no_changed_bit_opens(at in any::<prop::sample::Index>(), bit in 0_u8..8) {
        let envelope = Envelope::new([NEW]).unwrap();
        let key = SessionId::random().key();
        let mut sealed = envelope.seal(&key, Version::FIRST, RECORD);
        let at = at.index(sealed.len());
        sealed[at] ^= 1 << bit;
        prop_assert!(envelope.open(&key, Version::FIRST, &sealed).is_err());
    }

    #[test]
    fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let envelope = Envelope::new([NEW]).unwrap();
        prop_assert!(envelope.open(&SessionId::random().key(), Version::FIRST, &bytes).is_err());
    }
}
