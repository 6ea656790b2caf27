//! The policy by tables and by properties.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::{
    session::SessionId,
    token::{AccessToken, RefreshToken},
};

const T0: Timestamp = Timestamp::from_secs(1_000_000);

fn secs(seconds: u64) -> Duration {
    Duration::from_secs(seconds)
}

fn at(seconds: u64) -> Timestamp {
    T0.plus(secs(seconds))
}

fn tokens(access_expires_at: Option<Timestamp>, refresh_expires_at: Option<Timestamp>) -> TokenSet {
    TokenSet {
        access_token: AccessToken::new("access").unwrap(),
        access_expires_at,
        refresh_token: Some(RefreshToken::new("refresh").unwrap()),
        refresh_expires_at,
        refresh_in: None,
    }
}

/// Fresh until 96 s, ahead until 108 s, late until 120 s; the session ends at 240 s.
fn session(standing: Standing) -> Session {
    let zones = Zones { refresh_at: at(96), wait_at: at(108), expires_at: at(120) };
    Session::new("user".into(), &AccessToken::new("access").unwrap(), zones, T0, at(240)).with_standing(standing)
}

fn situation(now: Timestamp) -> Situation {
    Situation { now, min_validity: Duration::ZERO, refused: false, contract: RotationContract::Strict }
}

#[test]
fn every_zone_has_its_row() {
    use DeathReason::{Expired, OutcomeLost, Rejected};
    use Decision::{LogInAgain, Refresh, Serve, ServeAndRefresh};
    let live = Standing::Live;
    let doubt = Standing::InDoubt { since: at(97) };
    let dead = Standing::Dead(Rejected);
    let rows = [
        (live, 0, Serve),
        (live, 95, Serve),
        (live, 96, ServeAndRefresh),
        (live, 107, ServeAndRefresh),
        (live, 108, Refresh),
        (live, 119, Refresh),
        (live, 120, Refresh),
        (live, 239, Refresh),
        (live, 240, LogInAgain(Expired)),
        (doubt, 98, Serve),
        (doubt, 119, Serve),
        (doubt, 120, LogInAgain(OutcomeLost)),
        (doubt, 240, LogInAgain(Expired)),
        (dead, 0, LogInAgain(Rejected)),
        (dead, 119, LogInAgain(Rejected)),
    ];
    for (standing, second, expected) in rows {
        assert_eq!(decide(&session(standing), situation(at(second))), expected, "{standing:?} at {second} s");
    }
}

#[test]
fn the_boundary_of_a_zone_belongs_to_the_later_zone() {
    let zones = session(Standing::Live).zones;
    let millisecond = Duration::from_millis(1);
    for (boundary, before, from) in [
        (zones.refresh_at, Zone::Fresh, Zone::Ahead),
        (zones.wait_at, Zone::Ahead, Zone::Late),
        (zones.expires_at, Zone::Late, Zone::Expired),
    ] {
        assert_eq!(zone(&zones, boundary.minus(millisecond)), before);
        assert_eq!(zone(&zones, boundary), from);
        assert_eq!(zone(&zones, boundary.plus(millisecond)), from);
    }
}

#[test]
fn a_refused_or_too_short_token_is_refreshed_in_any_zone() {
    let session = session(Standing::Live);
    let refused = Situation { refused: true, ..situation(at(1)) };
    assert_eq!(decide(&session, refused), Decision::Refresh);
    let short = Situation { min_validity: secs(50), ..situation(at(80)) };
    assert_eq!(decide(&session, short), Decision::Refresh);
    let content = Situation { min_validity: secs(50), ..situation(at(60)) };
    assert_eq!(decide(&session, content), Decision::Serve);
}

#[test]
fn nobody_can_demand_more_than_half_a_life() {
    let greedy = Situation { min_validity: secs(100_000), ..situation(at(59)) };
    assert_eq!(decide(&session(Standing::Live), greedy), Decision::Serve);
    let greedy = Situation { min_validity: secs(100_000), ..situation(at(60)) };
    assert_eq!(decide(&session(Standing::Live), greedy), Decision::Refresh);
}

#[test]
fn the_contract_alone_decides_about_a_second_presentation() {
    let rows = [
        (RotationContract::Strict, 0, false),
        (RotationContract::Reusable, 100_000, true),
        (RotationContract::Idempotent, 100_000, true),
        (RotationContract::Grace(secs(10)), 0, true),
        (RotationContract::Grace(secs(10)), 7, true),
        (RotationContract::Grace(secs(10)), 8, false), // a quarter is kept for the way there
        (RotationContract::Grace(secs(10)), 11, false),
        (RotationContract::Grace(Duration::ZERO), 0, false),
    ];
    for (contract, later, expected) in rows {
        assert_eq!(may_present_again(contract, T0, at(later)), expected, "{contract:?} after {later} s");
    }
}

#[test]
fn a_lost_answer_inside_the_grace_is_refreshed_and_after_it_only_served() {
    let doubtful = session(Standing::InDoubt { since: at(108) });
    let grace = |second| Situation { contract: RotationContract::Grace(secs(10)), ..situation(at(second)) };
    assert_eq!(decide(&doubtful, grace(110)), Decision::Refresh);
    assert_eq!(decide(&doubtful, grace(118)), Decision::Serve);
    assert_eq!(decide(&doubtful, grace(121)), Decision::LogInAgain(DeathReason::OutcomeLost));
}

#[test]
fn a_token_that_could_not_be_refreshed_is_usable_with_time_to_spare() {
    let rows = [(Standing::Live, 110, true), (Standing::Live, 117, true), (Standing::Live, 118, false)];
    for (standing, second, expected) in rows {
        assert_eq!(usable(&session(standing), at(second), secs(2)), expected, "at {second} s");
    }
    assert!(!usable(&session(Standing::Dead(DeathReason::Rejected)), at(1), secs(2)));
}

#[test]
fn the_session_ends_with_whatever_ends_first() {
    let config = ManagerConfig::default();
    let twelve_hours = 12 * 3600;
    let kept = TokenSet { refresh_token: None, ..tokens(Some(at(120)), None) };
    let moved = TokenSet { refresh_token: None, ..tokens(Some(at(120)), Some(at(900))) };
    let rows = [
        (tokens(None, Some(at(240))), None, 240),
        (tokens(None, None), None, 240),
        (tokens(None, Some(at(10 * twelve_hours))), None, twelve_hours),
        (kept.clone(), Some(at(500)), 500),
        (kept, None, 120),
        (moved.clone(), Some(at(500)), 900),
        (moved, None, 120), // the expiry of a token that was never issued
    ];
    for (tokens, previous, expected) in rows {
        assert_eq!(ends_at(&config, &tokens, T0, previous, T0), at(expected));
    }
}

#[test]
fn the_services_own_refresh_in_wins_over_the_soft_limit() {
    let config = ManagerConfig::default();
    let key = SessionId::random().key();
    let asked = TokenSet { refresh_in: Some(secs(60)), ..tokens(Some(at(120)), None) };
    let zones = zones(&config, &key, &asked, T0);
    assert!(zones.refresh_at <= at(60) && zones.refresh_at > at(48 - 1), "{zones:?}");
}

#[test]
fn back_off_grows_and_leaves_time_for_further_tries() {
    let key = SessionId::random().key();
    let far = secs(3600);
    let mut last = Duration::ZERO;
    for failures in [1, 3, 5, 7] {
        let pause = back_off(&key, Unavailability::Backend, failures, far, None);
        assert!(pause > last, "failure {failures}: {pause:?} after {last:?}");
        last = pause;
    }
    assert!(back_off(&key, Unavailability::Backend, 50, far, None) <= secs(30));
    assert!(back_off(&key, Unavailability::Backend, 50, secs(12), None) <= secs(4));
    assert_eq!(back_off(&key, Unavailability::Backend, 1, far, Some(secs(17))), secs(17));
    assert_eq!(
        back_off(&key, Unavailability::Backend, 1, far, Some(secs(1_000_000))),
        secs(300),
        "a service cannot ask for days"
    );
    let for_the_store = back_off(&key, Unavailability::Store, 50, far, None);
    assert!(for_the_store <= secs(1) && for_the_store >= secs(1) / 2, "{for_the_store:?}");
}

#[test]
fn a_token_that_arrives_nearly_expired_is_left_alone_for_a_second_at_least() {
    let zones = Zones { refresh_at: T0, wait_at: T0, expires_at: T0 };
    let session = Session::new("user".into(), &AccessToken::new("access").unwrap(), zones, T0, at(240));
    assert_eq!(pause_after_success(&session, T0), Some(secs(1)));
    assert_eq!(pause_after_success(&super::tests::session(Standing::Live), T0), None);
}

prop_compose! {
    fn any_lifetimes()(
        access in prop_oneof![Just(None), Just(Some(T0)), any::<u64>().prop_map(|ms| Some(Timestamp::from_millis(ms)))],
        refresh in prop_oneof![Just(None), any::<u64>().prop_map(|ms| Some(Timestamp::from_millis(ms)))],
        refresh_in in prop_oneof![Just(None), any::<u64>().prop_map(|ms| Some(Duration::from_millis(ms)))],
    ) -> TokenSet {
        TokenSet { refresh_in, ..tokens(access, refresh) }
    }
}

proptest! {
    #[test]
    fn zones_are_ordered_whatever_the_service_says(tokens in any_lifetimes(), now in any::<u64>()) {
        let now = Timestamp::from_millis(now);
        let zones = zones(&ManagerConfig::default(), &SessionId::random().key(), &tokens, now);
        prop_assert!(zones.refresh_at <= zones.wait_at && zones.wait_at <= zones.expires_at);
    }

    #[test]
    fn jitter_refreshes_earlier_and_at_most_by_a_tenth_of_a_life(life in 1_u64..100_000) {
        let life = secs(life);
        let zones = zones(&ManagerConfig::default(), &SessionId::random().key(), &tokens(Some(T0.plus(life)), None), T0);
        let soft = T0.plus(life).minus((life / 5).min(secs(300)));
        prop_assert!(zones.refresh_at <= soft.min(zones.wait_at));
        prop_assert!(soft.since(zones.refresh_at) <= (life / 10).min(secs(60)));
    }

    #[test]
    fn a_token_is_never_served_at_or_after_its_expiry(
        offset in 0_u64..400_000,
        validity in 0_u64..400_000,
        refused in any::<bool>(),
        in_doubt in any::<bool>(),
    ) {
        let standing = if in_doubt { Standing::InDoubt { since: at(1) } } else { Standing::Live };
        let session = session(standing);
        let now = T0.plus(Duration::from_millis(offset));
        let asked = Situation { min_validity: Duration::from_millis(validity), refused, ..situation(now) };
        let served = matches!(decide(&session, asked), Decision::Serve | Decision::ServeAndRefresh);
        prop_assert!(!served || now < session.zones.expires_at);
        prop_assert!(!usable(&session, now, Duration::ZERO) || now < session.zones.expires_at);
    }

    #[test]
    fn only_the_definite_ends_a_living_session(offset in 0_u64..240_000) {
        // Whatever the time before its end, a session in good standing is served or refreshed, never ended.
        let now = T0.plus(Duration::from_millis(offset));
        prop_assert!(!matches!(decide(&session(Standing::Live), situation(now)), Decision::LogInAgain(_)));
    }

    #[test]
    fn back_off_stays_within_its_bounds(failures in any::<u32>(), left in any::<u64>(), asked in any::<Option<u64>>()) {
        let asked = asked.map(Duration::from_millis);
        let pause = back_off(&SessionId::random().key(), Unavailability::Backend, failures, Duration::from_millis(left), asked);
        prop_assert!(pause >= Duration::from_millis(125) && pause <= secs(300));
    }
}
