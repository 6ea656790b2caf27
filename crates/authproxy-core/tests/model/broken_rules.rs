//! Each rule broken alone: the checker must find out, by the property that the rule is there for.
//!
//! `cargo test -p authproxy-core --test model broken -- --nocapture` prints a shortest trace for each.

use crate::{
    properties::{
        GONE_IS_REVOKED, LIVING_IS_NOT_REVOKED, NEVER_REVIVED, NO_NEEDLESS_LOGIN, NO_NEEDLESS_WAIT,
        NOT_SERVED_AFTER_LOGOUT, NOTHING_IS_LOST, ONE_PRESENTATION, UNTOUCHED_IS_UNTOUCHED,
    },
    rules::Rule,
    service::Contract,
    state::Protocol,
};

fn found_out(contract: Contract, mishaps: u8, rule: Rule, property: &'static str) {
    let trace = Protocol::new(contract, mishaps).breaking(rule).counterexample(property);
    assert!(trace.is_some(), "{property} holds without {rule:?}");
}

#[test]
fn a_store_that_frees_an_ended_lease_is_found_out() {
    found_out(Contract::Strict, 0, Rule::AnEndedLeaseIsDoubt, ONE_PRESENTATION);
}

#[test]
fn a_store_that_takes_any_commit_is_found_out() {
    found_out(Contract::Idempotent, 0, Rule::ACommitNeedsItsBase, UNTOUCHED_IS_UNTOUCHED);
}

#[test]
fn a_store_that_revives_a_removed_session_is_found_out() {
    found_out(Contract::Strict, 0, Rule::RemovedStaysRemoved, NEVER_REVIVED);
}

#[test]
fn a_store_that_takes_anybodys_abort_is_found_out() {
    found_out(Contract::Strict, 1, Rule::AnAbortIsFenced, ONE_PRESENTATION);
}

#[test]
fn a_flight_that_presents_without_a_lease_is_found_out() {
    found_out(Contract::Strict, 0, Rule::TheIntentIsStoredFirst, ONE_PRESENTATION);
}

#[test]
fn a_flight_that_takes_silence_for_a_verdict_is_found_out() {
    found_out(Contract::Grace, 1, Rule::AnUnknownOutcomeIsNoVerdict, NO_NEEDLESS_LOGIN);
}

#[test]
fn a_flight_that_takes_silence_for_a_refusal_is_found_out() {
    found_out(Contract::Strict, 1, Rule::AnUnknownOutcomeIsDoubt, ONE_PRESENTATION);
}

#[test]
fn a_flight_that_forgets_its_first_presentation_is_found_out() {
    found_out(Contract::Grace, 1, Rule::AnEarlierPresentationIsNotForgotten, UNTOUCHED_IS_UNTOUCHED);
    found_out(Contract::Grace, 1, Rule::AnEarlierPresentationIsNotForgotten, ONE_PRESENTATION);
}

#[test]
fn a_flight_that_trusts_an_old_permission_is_found_out() {
    found_out(Contract::Grace, 1, Rule::AnOldPermissionIsAskedAgain, ONE_PRESENTATION);
}

#[test]
fn a_flight_that_uses_an_old_name_is_found_out() {
    found_out(Contract::Strict, 1, Rule::EveryAttemptHasANewName, ONE_PRESENTATION);
}

#[test]
fn a_flight_that_revokes_a_superseded_set_is_found_out() {
    found_out(Contract::Grace, 1, Rule::ASupersededSetIsNotRevoked, LIVING_IS_NOT_REVOKED);
}

#[test]
fn a_flight_that_leaves_a_set_without_session_alive_is_found_out() {
    found_out(Contract::Strict, 0, Rule::ASetWithoutSessionIsRevoked, GONE_IS_REVOKED);
}

#[test]
fn a_closed_slot_that_keeps_a_set_is_found_out() {
    found_out(Contract::Strict, 1, Rule::AClosedSlotKeepsNothing, NOT_SERVED_AFTER_LOGOUT);
}

#[test]
fn a_flight_that_drops_an_unsaved_set_is_found_out() {
    found_out(Contract::Idempotent, 1, Rule::AnUnsavedSetIsKept, NOTHING_IS_LOST);
}

#[test]
fn a_policy_that_makes_a_usable_token_wait_is_found_out() {
    found_out(Contract::Strict, 0, Rule::AUsableTokenIsServed, NO_NEEDLESS_WAIT);
}
