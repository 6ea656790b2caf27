#![allow(clippy::unwrap_used)]

mod joining;
mod model;

use std::{sync::Arc, thread, time::Duration};

use super::{Name, NearCache, NearLimits, OVER};
use crate::{
    clock::{Clock, ManualClock},
    session::{DeathReason, Session, SessionKey, Standing, Version, Zones},
    store::redis::names,
    token::AccessToken,
};

const TTL: Duration = Duration::from_secs(5);
const STALE: Duration = Duration::from_secs(60);
const LIFE: Duration = Duration::from_secs(120);

fn limits() -> NearLimits {
    NearLimits { near_ttl: TTL, stale_max: STALE, ..NearLimits::default() }
}

struct World {
    clock: ManualClock,
    near: Arc<NearCache>,
    key: SessionKey,
}

impl World {
    fn new() -> Self {
        Self::with(limits())
    }

    fn with(limits: NearLimits) -> Self {
        let clock = ManualClock::default();
        let near = Arc::new(NearCache::new(limits, Arc::new(clock.clone())));
        Self { clock, near, key: SessionKey::spreading(0x0102_0304_0506_0708, 9) }
    }

    /// What Redis has, at this version.
    fn session(&self, version: u64) -> Session {
        let now = self.clock.now();
        let expires_at = now.plus(LIFE);
        let zones = Zones { refresh_at: expires_at, wait_at: expires_at, expires_at };
        let token = AccessToken::new(&format!("access-{version}")).unwrap();
        let session = Session::new("user".into(), &token, zones, now, now.plus(10 * LIFE));
        session.numbered(self.key, Version(version))
    }

    /// A load that nothing crosses.
    fn load(&self, version: u64) -> Session {
        let ticket = self.near.ticket(&self.key);
        self.near.fill(&ticket, self.session(version))
    }

    /// The listener was interrupted.
    fn lost(&self) {
        (0..names::PARTITIONS).for_each(|partition| self.near.lost(partition));
    }

    /// What is read and what is counted are the same, whatever happened to a session.
    fn agrees_on(&self, key: &SessionKey) -> bool {
        self.near.remembered.agree_on(&Name(key.name()))
    }

    fn peeked(&self) -> Option<u64> {
        self.near.peek(&self.key).map(|session| session.version.0)
    }

    fn last_known(&self) -> Option<u64> {
        self.near.last_known(&self.key).map(|session| session.version.0)
    }
}

#[test]
fn what_is_expected_is_served_as_before() {
    let world = World::new();
    world.load(1);
    let unknown = SessionKey::spreading(7, 9);
    world.near.expect(&[world.key, unknown, world.key]);
    assert_eq!(world.peeked(), Some(1));
    assert!(world.near.peek(&unknown).is_none() && !world.near.is_crowded());
    world.clock.advance(TTL);
    world.near.expect(&[world.key]);
    assert_eq!(world.peeked(), None, "to expect a session confirms nothing");
}

#[test]
fn what_was_read_is_served_until_near_ttl_after_it_was_asked_for() {
    let world = World::new();
    let ticket = world.near.ticket(&world.key);
    world.clock.advance(Duration::from_secs(2)); // the answer takes its time
    world.near.fill(&ticket, world.session(1));
    assert_eq!(world.peeked(), Some(1));
    world.clock.advance(Duration::from_millis(2_999));
    assert_eq!(world.peeked(), Some(1));
    world.clock.advance(Duration::from_millis(1));
    assert_eq!(world.peeked(), None);
    world.load(1);
    assert_eq!(world.peeked(), Some(1), "confirmed again");
}

#[test]
fn a_changed_session_is_looked_at_again_and_one_that_is_over_is_forgotten() {
    for (heard, peeked, last_known) in [
        (Version(1), Some(2), Some(2)), // old news
        (Version(2), Some(2), Some(2)), // what is known already
        (Version(3), None, Some(2)),
        (OVER, None, None),
    ] {
        let world = World::new();
        world.load(2);
        world.near.changed(world.key.name(), heard);
        assert_eq!((world.peeked(), world.last_known()), (peeked, last_known), "{heard:?}");
        world.load(3);
        assert_eq!(world.peeked(), Some(3), "asked for after {heard:?} was heard");
    }
}

#[test]
fn what_was_asked_for_before_a_change_was_heard_is_not_remembered_after_it() {
    for (heard, read, remembered) in
        [(OVER, 1, None), (Version(2), 1, None), (Version(2), 2, Some(2)), (Version(2), 3, Some(3))]
    {
        let world = World::new();
        let ticket = world.near.ticket(&world.key);
        world.near.changed(world.key.name(), heard);
        let session = world.near.fill(&ticket, world.session(read));
        assert_eq!(session.version, Version(read), "who asked before is told what was");
        assert_eq!(world.peeked(), remembered, "{heard:?} crossed version {read}");
        assert_eq!(world.last_known(), remembered, "{heard:?} crossed version {read}");
    }
}

#[test]
fn a_change_of_another_session_voids_nothing_unless_there_were_too_many_to_remember() {
    let world = World::new();
    let other = SessionKey::spreading(0x0102_0304_0506_0708, 8);
    assert_ne!(other.name(), world.key.name());
    let ticket = world.near.ticket(&world.key);
    world.near.changed(other.name(), OVER);
    world.near.fill(&ticket, world.session(1));
    assert_eq!(world.peeked(), Some(1));

    let world = World::new();
    let ticket = world.near.ticket(&world.key);
    (0..17).for_each(|_| world.near.changed(other.name(), OVER));
    world.near.fill(&ticket, world.session(1));
    assert_eq!(world.peeked(), None);
}

#[test]
fn the_newest_version_wins_over_a_late_read() {
    let world = World::new();
    let late = world.near.ticket(&world.key);
    world.load(2);
    assert_eq!(world.near.fill(&late, world.session(1)).version, Version(2));
    assert_eq!(world.peeked(), Some(2));
}

#[test]
fn what_redis_has_lost_is_not_remembered_for_ever() {
    let world = World::new();
    world.load(2);
    assert_eq!(world.load(1).version, Version(1), "a failover lost the commit: version 1 is what there is");
    assert_eq!(world.peeked(), Some(1));
}

#[test]
fn after_an_interruption_every_session_is_confirmed_before_it_is_served() {
    let world = World::new();
    world.load(1);
    let crossing = world.near.ticket(&world.key);
    world.lost();
    assert_eq!((world.peeked(), world.last_known()), (None, Some(1)));
    world.near.fill(&crossing, world.session(1));
    assert_eq!(world.peeked(), None, "asked for before the interruption was known");
    world.load(1);
    assert_eq!(world.peeked(), Some(1));

    let partition = names::partition(&world.key);
    world.near.lost(partition ^ 1);
    assert_eq!(world.peeked(), Some(1), "another partition's interruption");
    world.near.lost(partition);
    assert_eq!(world.peeked(), None);
    world.near.lost(u16::MAX); // no such partition
}

#[test]
fn the_last_known_session_is_served_up_to_stale_max_and_only_while_its_token_is_valid_and_it_is_not_over() {
    let world = World::new();
    world.load(1);
    world.clock.advance(STALE);
    assert_eq!((world.peeked(), world.last_known()), (None, Some(1)));
    world.clock.advance(Duration::from_millis(1));
    assert_eq!(world.last_known(), None);

    let world = World::with(NearLimits { stale_max: 10 * LIFE, ..limits() });
    world.load(1);
    world.clock.advance(LIFE);
    assert_eq!(world.last_known(), None, "the token has expired");

    let world = World::new();
    let ticket = world.near.ticket(&world.key);
    let dead = world.session(1).with_standing(Standing::Dead(DeathReason::Rejected));
    world.near.fill(&ticket, dead);
    assert_eq!((world.peeked(), world.last_known()), (Some(1), None));
}

#[test]
fn a_near_ttl_of_zero_serves_nothing() {
    let world = World::with(NearLimits { near_ttl: Duration::ZERO, ..limits() });
    world.load(1);
    assert_eq!((world.peeked(), world.last_known()), (None, None));
}

#[test]
fn a_session_that_is_confirmed_keeps_its_marks_and_a_new_standing_is_taken_over() {
    let world = World::new();
    let ticket = world.near.ticket(&world.key);
    let first = world.load(2);
    let again = world.load(2);
    assert!(first.is_same(&again), "what its browser was told is kept with it");

    let doubtful = world.session(2).with_standing(Standing::InDoubt { since: world.clock.now() });
    let before = world.near.fill(&ticket, world.session(2).with_standing(doubtful.standing));
    assert_eq!(before.standing, Standing::Live, "a late read of the same version changes nothing");
    let ticket = world.near.ticket(&world.key);
    let after = world.near.fill(&ticket, doubtful);
    assert!(matches!(after.standing, Standing::InDoubt { .. }));
    assert_eq!(world.near.peek(&world.key).unwrap().standing, after.standing);
}

#[test]
fn half_a_key_finds_nothing() {
    let world = World::new();
    world.load(1);
    let mut bytes = [9; 32];
    bytes[..16].copy_from_slice(&world.key.name());
    bytes[31] = 1;
    let half = SessionKey::from_bytes(bytes);
    assert_eq!(half.name(), world.key.name());
    assert!(world.near.peek(&half).is_none() && world.near.last_known(&half).is_none());
}

#[test]
fn the_memory_is_bounded_and_what_was_used_last_is_kept() {
    let world = World::with(NearLimits { memory: 100_000, ..limits() });
    let keys: Vec<_> = (0..1000).map(|number: u64| SessionKey::spreading(number << 20, 1)).collect();
    for key in &keys {
        let ticket = world.near.ticket(key);
        world.near.fill(&ticket, world.session(1).kept_under(*key));
        world.near.maintain();
    }
    let kept = keys.iter().filter(|key| world.near.peek(key).is_some()).count();
    assert!((50..200).contains(&kept), "{kept} of a thousand are kept in 100 kB");
    assert!(world.near.peek(keys.last().unwrap()).is_some());
    assert!(keys.iter().all(|key| world.agrees_on(key)));
}

/// A request that is served writes nothing down: what is in use is known by being asked for again every `near_ttl`.
#[test]
fn what_is_confirmed_counts_as_used() {
    let world = World::with(NearLimits { memory: 100_000, ..limits() });
    world.load(1);
    for number in 0..1000_u64 {
        let key = SessionKey::spreading(number << 20, 1);
        let ticket = world.near.ticket(&key);
        world.near.fill(&ticket, world.session(1).kept_under(key));
        if number % 50 == 0 {
            world.load(1);
        }
        world.near.maintain();
    }
    assert_eq!(world.peeked(), Some(1));
}

#[test]
fn however_fills_ends_and_forgetting_cross_what_is_read_is_what_is_counted() {
    let world = World::with(NearLimits { memory: 20_000, ..limits() });
    let keys: Vec<_> = (0..60).map(|number: u64| SessionKey::spreading(number << 20, 1)).collect();
    thread::scope(|scope| {
        for writer in 0..3 {
            let (world, keys) = (&world, &keys);
            scope.spawn(move || {
                for step in 0..6_000_u64 {
                    let key = keys[usize::try_from(step * (7 + writer) % 60).unwrap()];
                    let ticket = world.near.ticket(&key);
                    let session = world.session(1 + step % 3).kept_under(key);
                    match step % 11 {
                        0 => world.near.changed(key.name(), OVER),
                        1 => world.near.maintain(),
                        _ => drop(world.near.fill(&ticket, session)),
                    }
                    if let Some(served) = world.near.peek(&key) {
                        assert_eq!(served.key, key);
                    }
                }
            });
        }
    });
    assert!(keys.iter().all(|key| world.agrees_on(key)));
    let kept = keys.iter().filter(|key| world.near.peek(key).is_some()).count();
    assert!((10..40).contains(&kept), "{kept} of sixty are kept in 20 kB");
}
