//! Families by tables and by properties.
#![allow(clippy::unwrap_used)]

use std::collections::HashSet;

use proptest::prelude::*;

use super::*;

const T0: Timestamp = Timestamp::from_secs(1_000_000);

fn at(seconds: u64) -> Timestamp {
    T0.plus(Duration::from_secs(seconds))
}

fn families() -> Families {
    Families::new(Duration::from_secs(240), Duration::from_secs(10), 1000)
}

#[test]
fn a_rotation_spends_the_token_and_issues_its_successor() {
    let mut families = families();
    let first = families.begin("user", at(0)).unwrap();
    let second = families.rotate(&first.refresh_token, at(100)).unwrap();
    assert_eq!(second.family, first.family);
    assert_ne!(*second.refresh_token, *first.refresh_token);
    families.rotate(&second.refresh_token, at(200)).unwrap();
}

#[test]
fn inside_the_grace_a_spent_token_brings_the_same_successor() {
    let mut families = families();
    let first = families.begin("user", at(0)).unwrap();
    let second = families.rotate(&first.refresh_token, at(100)).unwrap();
    let again = families.rotate(&first.refresh_token, at(109)).unwrap();
    assert_eq!(*again.refresh_token, *second.refresh_token);
}

#[test]
fn after_the_grace_reuse_revokes_the_family() {
    let mut families = families();
    let first = families.begin("user", at(0)).unwrap();
    let second = families.rotate(&first.refresh_token, at(100)).unwrap();
    assert_eq!(families.rotate(&first.refresh_token, at(110)).unwrap_err(), Refusal::Reused);
    assert_eq!(families.rotate(&second.refresh_token, at(111)).unwrap_err(), Refusal::Revoked);
    assert!(!families.is_live(first.family));
}

#[test]
fn a_request_that_was_held_up_within_the_grace_is_no_reuse_although_the_successor_was_used() {
    let mut families = families();
    let first = families.begin("user", at(0)).unwrap();
    let second = families.rotate(&first.refresh_token, at(100)).unwrap();
    let third = families.rotate(&second.refresh_token, at(101)).unwrap();
    let late = families.rotate(&first.refresh_token, at(109)).unwrap();
    assert_eq!(*late.refresh_token, *second.refresh_token, "nothing new comes of an old token");
    families.rotate(&third.refresh_token, at(110)).unwrap();
    assert_eq!(families.rotate(&first.refresh_token, at(110)).unwrap_err(), Refusal::Reused);
}

#[test]
fn unknown_expired_and_revoked_tokens_are_refused() {
    let mut families = families();
    assert_eq!(families.rotate("unknown", at(0)).unwrap_err(), Refusal::Unknown);
    let first = families.begin("user", at(0)).unwrap();
    assert_eq!(families.rotate(&first.refresh_token, at(240)).unwrap_err(), Refusal::Expired);
    let other = families.begin("user", at(0)).unwrap();
    assert!(families.revoke(&other.refresh_token));
    assert!(!families.revoke("unknown"));
    assert_eq!(families.rotate(&other.refresh_token, at(1)).unwrap_err(), Refusal::Revoked);
}

#[test]
fn a_full_service_refuses_and_forgets_only_the_expired() {
    let mut families = Families::new(Duration::from_secs(240), Duration::from_secs(10), 2);
    let first = families.begin("user", at(0)).unwrap();
    families.begin("user", at(100)).unwrap();
    assert_eq!(families.begin("user", at(200)).unwrap_err(), Refusal::Full);
    families.begin("user", at(241)).unwrap();
    assert_eq!(families.rotate(&first.refresh_token, at(241)).unwrap_err(), Refusal::Unknown);
    assert_eq!(families.len(), 2);
}

proptest! {
    /// Whatever is presented in whatever order: a family has at most one live token, and none once it is revoked.
    #[test]
    fn a_family_never_has_two_live_tokens(steps in prop::collection::vec((0_u64..30, any::<prop::sample::Index>()), 1..40)) {
        let mut families = families();
        let mut now = T0;
        let mut known = vec![families.begin("user", now).unwrap().refresh_token];
        for (pause, which) in steps {
            now = now.plus(Duration::from_secs(pause));
            let presented = which.get(&known).clone();
            if let Ok(issue) = families.rotate(&presented, now) {
                known.push(issue.refresh_token);
            }
            families.sweep(now);
            let live: HashSet<_> = known
                .iter()
                .filter(|token| families.by_token.get(&fingerprint(token)).is_some_and(|token| token.spent.is_none()))
                .filter(|_| families.is_live(FamilyId(1)))
                .map(|token| token.as_str().to_owned())
                .collect();
            prop_assert!(live.len() <= 1, "{} live tokens", live.len());
        }
    }
}
