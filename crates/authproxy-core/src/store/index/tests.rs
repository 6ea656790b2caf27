#![allow(clippy::unwrap_used)]

use std::{
    collections::HashMap,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use proptest::{collection::vec, prelude::*};

use super::{LOAD, MANY, SEGMENT};
use crate::{
    clock::Timestamp,
    session::{Session, SessionBlock, SessionKey, Version, Zones},
    token::AccessToken,
};

type Index = super::Index<SessionBlock>;

/// A key whose hash is `hash`, so that a test may say which bucket it falls into.
fn key(hash: u64, rest: u8) -> SessionKey {
    SessionKey::spreading(hash, rest)
}

/// A key among many, spread as the keys of sessions are.
fn spread(number: u64) -> SessionKey {
    key((number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15).rotate_left(32), 0)
}

fn session(key: SessionKey, version: u64) -> SessionBlock {
    let at = Timestamp::from_secs(1);
    let zones = Zones { refresh_at: at, wait_at: at, expires_at: at };
    let session = Session::new("user".into(), &AccessToken::new("access").unwrap(), zones, at, at);
    session.numbered(key, Version(version)).0
}

fn found(index: &Index, key: &SessionKey) -> Option<u64> {
    index.get(key).map(Session).map(|session| {
        assert_eq!(session.key, *key, "another key's session");
        session.version.0
    })
}

#[test]
fn every_session_is_found_while_the_index_grows_past_a_segment() {
    let sessions = (3 * LOAD * SEGMENT) as u64;
    let index = Index::new(usize::try_from(sessions).unwrap());
    for number in 0..sessions {
        index.insert(session(spread(number), number));
        assert_eq!(found(&index, &spread(number / 2)), Some(number / 2));
    }
    assert!((0..sessions).all(|number| found(&index, &spread(number)) == Some(number)));
    assert!((sessions..2 * sessions).all(|number| index.get(&spread(number)).is_none()));
    assert!(index.segments.iter().all(|segment| segment.get().is_some()), "it has grown to its capacity");
}

#[test]
fn more_sessions_than_were_announced_are_found_too() {
    let index = Index::new(1);
    let sessions = 4 * (LOAD * SEGMENT) as u64;
    for number in 0..sessions {
        index.insert(session(spread(number), number));
    }
    assert!((0..sessions).all(|number| found(&index, &spread(number)) == Some(number)));
    assert!((0..sessions).all(|number| index.remove(&spread(number)).is_some()));
    assert!((0..sessions).all(|number| index.get(&spread(number)).is_none()));
}

#[test]
fn keys_that_hash_alike_are_told_apart() {
    let index = Index::new(100);
    for rest in 0..100 {
        index.insert(session(key(7, rest), rest.into()));
    }
    assert!(index.remove(&key(7, 50)).is_some());
    for rest in 0..100 {
        assert_eq!(found(&index, &key(7, rest)), (rest != 50).then_some(rest.into()));
    }
}

#[test]
fn a_small_index_has_one_segment() {
    let index = Index::new(1_000_000);
    for number in 0..10 {
        index.insert(session(spread(number), 1));
    }
    assert_eq!(index.segments.iter().filter(|segment| segment.get().is_some()).count(), 1);
}

#[test]
fn an_index_is_crowded_once_caches_cannot_hold_it() {
    let index = Index::new(1_000_000);
    let mut number = 0;
    while !index.is_crowded() {
        index.insert(session(spread(number), 1));
        number += 1;
    }
    assert_eq!(number, (MANY * LOAD) as u64 - 2, "three sessions a bucket");
}

#[test]
fn a_session_that_was_expected_is_let_go() {
    let index = Index::new(10);
    index.insert(session(spread(1), 1));
    index.expect(&[spread(1), spread(2), spread(1)]);
    let latest = index.get(&spread(1)).unwrap();
    drop(index.remove(&spread(1)));
    assert_eq!(SessionBlock::strong_count(&latest), 1);
}

#[test]
fn a_session_that_is_taken_out_is_let_go() {
    let index = Index::new(10);
    let kept = session(spread(1), 1);
    index.insert(kept.clone());
    index.insert(session(spread(1), 2));
    assert_eq!(SessionBlock::strong_count(&kept), 1, "a replaced version");
    let latest = index.get(&spread(1)).unwrap();
    drop(index.remove(&spread(1)));
    assert_eq!(SessionBlock::strong_count(&latest), 1, "a removed session");
}

#[test]
fn only_the_very_session_that_is_meant_is_taken_out() {
    let index = Index::new(10);
    let (first, second) = (session(spread(1), 1), session(spread(1), 1));
    index.insert(first.clone());
    index.insert(second.clone());
    assert!(!index.remove_this(&first), "another has taken its place");
    assert!(index.get(&spread(1)).is_some());
    assert!(index.remove_this(&second) && !index.remove_this(&second));
    assert!(index.get(&spread(1)).is_none());
    assert_eq!(*index.len.lock().unwrap(), 0);
}

/// Runs `read` over and over on two threads while `write` runs, and at least once.
fn while_writing(read: impl Fn() + Sync, write: impl FnOnce()) {
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                loop {
                    let last = done.load(Ordering::Acquire);
                    read();
                    if last {
                        return;
                    }
                }
            });
        }
        write();
        done.store(true, Ordering::Release);
    });
}

#[test]
fn a_session_that_stays_is_found_at_every_moment_of_growth() {
    const STAY: u64 = 20;
    for _ in 0..20 {
        let index = Index::new(100_000);
        for number in 0..STAY {
            index.insert(session(spread(number), 1));
        }
        let keys: Vec<_> = (0..STAY).map(spread).collect();
        let read = || {
            index.expect(&keys);
            assert!(keys.iter().all(|key| found(&index, key) == Some(1)));
        };
        while_writing(read, || (STAY..3_000).for_each(|number| index.insert(session(spread(number), 1))));
    }
}

#[test]
fn a_reader_sees_one_of_a_keys_own_versions_and_never_an_older_one_again() {
    // All in one bucket and its overflow, so that slots pass from one key to another all the time.
    let keys: Vec<_> = (0..12).map(|rest| key(3, rest)).collect();
    let index = Index::new(100);
    for key in &keys {
        index.insert(session(*key, 1));
    }
    let read = || {
        index.expect(&keys);
        for key in &keys {
            let (earlier, later) = (found(&index, key), found(&index, key));
            if let (Some(earlier), Some(later)) = (earlier, later) {
                assert!(earlier <= later, "version {later} after {earlier}");
            }
        }
    };
    while_writing(read, || {
        for version in 2..3_000 {
            for key in keys.iter().skip(usize::try_from(version % 3).unwrap()).step_by(2) {
                if version % 5 == 0 {
                    index.remove(key);
                    assert!(index.get(key).is_none(), "found after it was removed");
                } else {
                    index.insert(session(*key, version));
                    assert_eq!(found(&index, key), Some(version));
                }
            }
        }
    });
}

#[test]
fn writers_of_different_keys_lose_nothing_of_each_other() {
    let index = Index::new(10_000);
    thread::scope(|scope| {
        for writer in 0..4_u64 {
            let index = &index;
            scope.spawn(move || {
                for number in (writer..4_000).step_by(4) {
                    index.insert(session(spread(number), number));
                    if number % 3 == 0 {
                        assert_eq!(Session(index.remove(&spread(number)).unwrap()).version, Version(number));
                    }
                }
            });
        }
    });
    assert!((0..4_000).all(|number| found(&index, &spread(number)) == (number % 3 != 0).then_some(number)));
}

#[derive(Clone, Debug)]
enum Step {
    Insert(SessionKey, u64),
    Remove(SessionKey),
    Get(SessionKey),
    Expect(Vec<SessionKey>),
}

/// Keys of few hashes, so that they meet in buckets, and of few others, so that they meet themselves.
fn any_key() -> impl Strategy<Value = SessionKey> {
    (prop_oneof![0..4_u64, (0..64_u64).prop_map(|high| high << 56 | high), any::<u64>()], 0..3_u8)
        .prop_map(|(hash, rest)| key(hash, rest))
}

fn any_step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (any_key(), any::<u64>()).prop_map(|(key, version)| Step::Insert(key, version)),
        2 => any_key().prop_map(Step::Remove),
        1 => any_key().prop_map(Step::Get),
        1 => vec(any_key(), 0..20).prop_map(Step::Expect),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn an_index_is_a_map(steps in vec(any_step(), 1..400)) {
        let index = Index::new(50);
        let mut map = HashMap::new();
        for step in steps {
            match step {
                Step::Insert(key, version) => {
                    index.insert(session(key, version));
                    map.insert(key, version);
                }
                Step::Remove(key) => {
                    let removed = index.remove(&key).map(|session| Session(session).version.0);
                    prop_assert_eq!(removed, map.remove(&key));
                }
                Step::Expect(keys) => index.expect(&keys),
                Step::Get(key) => prop_assert_eq!(found(&index, &key), map.get(&key).copied()),
            }
            prop_assert_eq!(*index.len.lock().unwrap(), map.len());
        }
        for (key, version) in map {
            prop_assert_eq!(found(&index, &key), Some(version));
        }
    }
}
