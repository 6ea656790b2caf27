//! What the journal keeps, for how long, and how much of it.

#![allow(clippy::unwrap_used)]

use super::*;
use crate::{
    session::{SessionId, Zones},
    store::Envelope,
    token::AccessToken,
};

const START: Timestamp = Timestamp::from_secs(1_000_000);
const UNTIL: Timestamp = Timestamp::from_secs(2_000_000);

fn key() -> SessionKey {
    SessionId::random().key()
}

fn session() -> Session {
    let zones = Zones { refresh_at: START.plus(KEPT), wait_at: UNTIL, expires_at: UNTIL };
    Session::new("u".into(), &AccessToken::new("access").unwrap(), zones, START, UNTIL)
}

fn place() -> Place {
    Place { index: "ap:u:0".into(), member: [0; 32] }
}

fn created(journal: &Journal, key: &SessionKey, at: Timestamp, record: &[u8]) {
    journal.wrote(key, &session(), at, UNTIL, |life| life.begun(record, place()));
}

fn committed(journal: &Journal, key: &SessionKey, at: Timestamp, version: u64, commit: &[u8]) {
    let made_by = Made { arguments: &[commit], session: b"sealed session", refresh_token: b"sealed token" };
    journal.wrote(key, &session(), at, UNTIL, |life| life.committed(&session(), Version(version), made_by, place()));
}

fn entry(journal: &Journal, key: &SessionKey, now: Timestamp) -> Option<Entry> {
    journal.younger_than(OLDEST, now).into_iter().find(|entry| entry.key == *key)
}

#[test]
fn the_last_version_is_kept_and_a_removal_leaves_nothing_else() {
    let (journal, key) = (Journal::default(), key());
    let envelope = Envelope::new(["a secret of the tests, longer than 32 characters"]).unwrap();
    created(&journal, &key, START, &record::first(&envelope, &key, &session(), None, None));
    committed(&journal, &key, START, 2, b"second");
    committed(&journal, &key, START, 3, b"third");
    let Writes::Lives(life) = entry(&journal, &key, START).unwrap().writes else { panic!("it lives") };
    assert_eq!(record::Record::parse(&life.record.unwrap()).unwrap().unwrap().version, Version(3));
    assert_eq!(*life.commit.unwrap(), [b"third".to_vec()]);
    journal.removed(&key, START);
    assert!(matches!(entry(&journal, &key, START).unwrap().writes, Writes::Removed));
    committed(&journal, &key, START, 4, b"late");
    assert!(matches!(entry(&journal, &key, START).unwrap().writes, Writes::Removed), "what has ended goes on");
}

/// Its token was spent by whoever has written the newer version.
#[test]
fn what_another_node_has_followed_up_is_not_written_again() {
    let (journal, key) = (Journal::default(), key());
    created(&journal, &key, START, b"record");
    journal.heard(&key.name(), Version(2));
    assert!(entry(&journal, &key, START).is_none());
    committed(&journal, &key, START, 2, b"it was our own");
    assert!(entry(&journal, &key, START).is_some());
}

#[test]
fn what_has_ended_elsewhere_is_forgotten_and_what_has_ended_here_is_not() {
    let (journal, elsewhere, here) = (Journal::default(), key(), key());
    created(&journal, &elsewhere, START, b"record");
    created(&journal, &here, START, b"record");
    journal.removed(&here, START);
    for ended in [&elsewhere, &here, &key()] {
        journal.heard(&ended.name(), OVER);
    }
    assert!(!journal.knows(&elsewhere));
    assert!(matches!(entry(&journal, &here, START).unwrap().writes, Writes::Removed));
}

#[test]
fn what_is_old_is_forgotten_and_what_is_new_is_not() {
    let (journal, old, renewed, new) = (Journal::default(), key(), key(), key());
    created(&journal, &old, START, b"record");
    created(&journal, &renewed, START, b"record");
    committed(&journal, &renewed, START.plus(KEPT / 2), 2, b"commit");
    created(&journal, &new, START.plus(KEPT), b"record");
    assert!(!journal.knows(&old) && journal.knows(&renewed) && journal.knows(&new));
}

/// A mark of a removed session lasts for ten minutes: what is written again must never be older than that.
#[test]
fn nothing_is_written_again_that_could_be_older_than_the_mark_of_its_removal() {
    let (journal, key) = (Journal::default(), key());
    created(&journal, &key, START, b"record");
    assert!(entry(&journal, &key, START.plus(OLDEST.saturating_sub(Duration::from_millis(1)))).is_some());
    assert!(entry(&journal, &key, START.plus(OLDEST)).is_none(), "also where nothing was written since");
    assert!(OLDEST * 2 < super::super::verbs::TOMBSTONE);
}

#[test]
fn the_bytes_are_bounded_and_the_newest_are_kept() {
    let (journal, record) = (Journal::default(), vec![0; 1 << 20]);
    let keys: Vec<_> = (0..100).map(|_| key()).collect();
    for key in &keys {
        created(&journal, key, START, &record);
        assert!(journal.lock().bytes <= MOST);
    }
    let kept = keys.iter().filter(|key| journal.knows(key)).count();
    assert!((28..32).contains(&kept), "{kept}");
    assert!(keys[100 - kept..].iter().all(|key| journal.knows(key)));
    // One session that is written without end takes no more than one.
    for _ in 0..MOST / PLACE_BYTES + 100 {
        committed(&journal, &keys[0], START, 2, b"small");
    }
    assert!(journal.lock().bytes <= MOST && journal.lock().order.len() <= MOST / PLACE_BYTES);
    created(&journal, &keys[1], START.plus(KEPT), b"small");
    let entries = journal.lock();
    assert_eq!((entries.latest.len(), entries.order.len()), (1, 1));
    assert_eq!(entries.bytes, PLACE_BYTES + ENTRY_BYTES + b"small".len());
}
