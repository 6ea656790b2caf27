//! Claims about `begin` and `abort`.

use std::time::Duration;

use authproxy_core::{
    session::{DeathReason, SessionId, Standing, Version},
    store::{Abort, AttemptId, Begin, Begun, IfInDoubt, Lease},
};

use super::{
    StoreUnderTest,
    case::{Case, LONG_LEASE, refresh_token, same_token},
};

const ABORTS: [Abort; 3] = [Abort::Untouched, Abort::InDoubt, Abort::Dead(DeathReason::Rejected)];

/// The first attempt is granted, with the session's refresh token, on the version that it saw.
pub async fn the_first_attempt_is_granted(store: &StoreUnderTest) {
    let case = Case::new("the first attempt is granted", store);
    let opened = case.open().await;
    let attempt = AttemptId::random();
    let begin = Begin { seen: Version::FIRST, attempt, lease: LONG_LEASE, doubt: IfInDoubt::Report };
    let grant = case.grant(case.begin_with(&opened.key, begin).await);
    case.check(grant.lease == Lease { key: opened.key, attempt, base: Version::FIRST }, grant.lease);
    case.check(same_token(&grant.refresh_token, &opened.refresh_token), "another refresh token came back");
    if store.moves_time() {
        case.check(grant.first_intent == case.now(), grant.first_intent);
    }
}

/// While a lease is live every other attempt is told so, and for how long at most, whatever it does about doubt.
pub async fn a_live_lease_makes_others_wait(store: &StoreUnderTest) {
    let case = Case::new("a live lease makes others wait", store);
    let opened = case.open().await;
    case.granted(&opened.key, LONG_LEASE, IfInDoubt::Report).await;
    for doubt in [IfInDoubt::Report, IfInDoubt::Grant] {
        let second = case.begin(&opened.key, LONG_LEASE, doubt).await;
        let Begun::Busy { lease_left } = second else { case.broken(second) };
        case.check(lease_left <= LONG_LEASE && lease_left > LONG_LEASE / 2, lease_left);
    }
}

/// The lease's end is that of the request, not shorter.
pub async fn a_lease_lasts_as_long_as_was_asked(store: &StoreUnderTest) {
    let case = Case::new("a lease lasts as long as was asked", store);
    let opened = case.open().await;
    case.granted(&opened.key, LONG_LEASE, IfInDoubt::Report).await;
    store.advance(LONG_LEASE.checked_sub(Duration::from_secs(1)).expect("leases are minutes long")).await;
    let begun = case.begin(&opened.key, LONG_LEASE, IfInDoubt::Grant).await;
    case.check(matches!(begun, Begun::Busy { .. }), begun);
}

/// The leases of two sessions have nothing to do with each other.
pub async fn leases_are_per_session(store: &StoreUnderTest) {
    let case = Case::new("leases are per session", store);
    let (one, other) = (case.open().await, case.open().await);
    case.granted(&one.key, LONG_LEASE, IfInDoubt::Report).await;
    let grant = case.granted(&other.key, LONG_LEASE, IfInDoubt::Report).await;
    case.check(same_token(&grant.refresh_token, &other.refresh_token), "the other session's refresh token came back");
}

/// `begin` that is repeated by the same attempt is granted again, the same.
pub async fn a_repeated_begin_is_answered_the_same(store: &StoreUnderTest) {
    let case = Case::new("a repeated begin is answered the same", store);
    let opened = case.open().await;
    let attempt = AttemptId::random();
    let begin = Begin { seen: Version::FIRST, attempt, lease: LONG_LEASE, doubt: IfInDoubt::Report };
    let first = case.grant(case.begin_with(&opened.key, begin).await);
    store.advance(store.short_lease()).await;
    let again = case.grant(case.begin_with(&opened.key, begin).await);
    case.check(again.lease == first.lease, again.lease);
    case.check(again.first_intent == first.first_intent, again.first_intent);
    case.check(same_token(&again.refresh_token, &first.refresh_token), "another refresh token came back");
    let other = case.begin(&opened.key, LONG_LEASE, IfInDoubt::Grant).await;
    case.check(matches!(other, Begun::Busy { .. }), other);
}

/// A lease that ran out leaves the session in doubt since the intent, however long and often one asks.
pub async fn a_lease_that_ran_out_leaves_doubt(store: &StoreUnderTest) {
    let case = Case::new("a lease that ran out leaves doubt", store);
    let opened = case.open().await;
    let abandoned = case.abandoned(&opened.key, IfInDoubt::Report).await;
    for _ in 0..3 {
        let begun = case.begin(&opened.key, store.short_lease(), IfInDoubt::Report).await;
        let Begun::InDoubt { since } = begun else { case.broken(begun) };
        case.check(since == abandoned.first_intent, since);
        case.let_leases_run_out().await;
        case.store().maintain();
    }
}

/// A grant in doubt names the very first intent to present the token, however many attempts were abandoned since.
pub async fn a_grant_in_doubt_keeps_the_first_intent(store: &StoreUnderTest) {
    let case = Case::new("a grant in doubt keeps the first intent", store);
    let opened = case.open().await;
    let first = case.abandoned(&opened.key, IfInDoubt::Grant).await;
    for _ in 0..3 {
        let next = case.abandoned(&opened.key, IfInDoubt::Grant).await;
        case.check(next.first_intent == first.first_intent, next.first_intent);
        case.check(same_token(&next.refresh_token, &opened.refresh_token), "another refresh token came back");
    }
    let begun = case.begin(&opened.key, LONG_LEASE, IfInDoubt::Report).await;
    let Begun::InDoubt { since } = begun else { case.broken(begun) };
    case.check(since == first.first_intent, since);
}

/// Between a grant in doubt and its lease's end nobody else is granted.
pub async fn a_grant_in_doubt_is_exclusive(store: &StoreUnderTest) {
    let case = Case::new("a grant in doubt is exclusive", store);
    let opened = case.open().await;
    case.abandoned(&opened.key, IfInDoubt::Report).await;
    case.granted(&opened.key, LONG_LEASE, IfInDoubt::Grant).await;
    for doubt in [IfInDoubt::Report, IfInDoubt::Grant] {
        let begun = case.begin(&opened.key, LONG_LEASE, doubt).await;
        case.check(matches!(begun, Begun::Busy { .. }), begun);
    }
}

/// An attempt on an older version gets the newer one instead, also while a lease on that is live.
pub async fn an_attempt_on_an_older_version_gets_the_newer(store: &StoreUnderTest) {
    let case = Case::new("an attempt on an older version gets the newer", store);
    let opened = case.open().await;
    case.rotate(&opened.key).await;
    let attempt = AttemptId::random();
    let begin = Begin { seen: Version::FIRST, attempt, lease: LONG_LEASE, doubt: IfInDoubt::Grant };
    for _ in 0..2 {
        let answer = case.begin_with(&opened.key, begin).await;
        let Begun::Newer(newer) = answer else { case.broken(answer) };
        case.check(newer.version == Version(2), newer);
        case.begin(&opened.key, LONG_LEASE, IfInDoubt::Report).await;
    }
}

/// A session without a refresh token has nothing to present.
pub async fn a_session_without_a_refresh_token_is_never_granted(store: &StoreUnderTest) {
    let case = Case::new("a session without a refresh token is never granted", store);
    let key = SessionId::random().key();
    case.create(&key, case.new_session(None, false)).await;
    let begun = case.begin(&key, LONG_LEASE, IfInDoubt::Grant).await;
    case.check(matches!(begun, Begun::Missing), begun);
    case.loaded(&key).await;
    let Some(removed) = case.remove(&key).await else { case.broken("remove found no session") };
    case.check(removed.refresh_token.is_none(), removed);
}

/// After `abort(Untouched)` the next attempt is granted at once, with an intent of its own.
pub async fn an_untouched_abort_frees_the_session(store: &StoreUnderTest) {
    let case = Case::new("an untouched abort frees the session", store);
    let opened = case.open().await;
    let first = case.granted(&opened.key, LONG_LEASE, IfInDoubt::Report).await;
    case.done(&first.lease, Abort::Untouched).await;
    store.advance(store.short_lease()).await;
    let second = case.granted(&opened.key, LONG_LEASE, IfInDoubt::Report).await;
    case.check(second.first_intent > first.first_intent, second.first_intent);
    case.check(case.loaded(&opened.key).await.standing == Standing::Live, "the session is not live");
}

/// `abort(Untouched)` speaks for its own attempt only: a doubt that an earlier one left stays.
pub async fn an_untouched_abort_leaves_an_earlier_doubt(store: &StoreUnderTest) {
    let case = Case::new("an untouched abort leaves an earlier doubt", store);
    let opened = case.open().await;
    let first = case.abandoned(&opened.key, IfInDoubt::Report).await;
    let second = case.granted(&opened.key, LONG_LEASE, IfInDoubt::Grant).await;
    case.done(&second.lease, Abort::Untouched).await;
    let begun = case.begin(&opened.key, LONG_LEASE, IfInDoubt::Report).await;
    let Begun::InDoubt { since } = begun else { case.broken(begun) };
    case.check(since == first.first_intent, since);
}

/// `abort(InDoubt)` records the doubt: reported or overridden as the attempt asks, and published.
pub async fn a_doubtful_abort_records_the_doubt(store: &StoreUnderTest) {
    let case = Case::new("a doubtful abort records the doubt", store);
    let opened = case.open().await;
    let first = case.granted(&opened.key, LONG_LEASE, IfInDoubt::Report).await;
    case.done(&first.lease, Abort::InDoubt).await;
    let standing = case.loaded(&opened.key).await.standing;
    case.check(standing == Standing::InDoubt { since: first.first_intent }, standing);
    let begun = case.begin(&opened.key, LONG_LEASE, IfInDoubt::Report).await;
    let Begun::InDoubt { since } = begun else { case.broken(begun) };
    case.check(since == first.first_intent, since);
    let granted = case.granted(&opened.key, LONG_LEASE, IfInDoubt::Grant).await;
    case.check(granted.first_intent == first.first_intent, granted.first_intent);
}

/// After `abort(Dead)` every attempt is told so, with the reason, and so is whoever loads the session.
pub async fn a_dead_session_stays_dead(store: &StoreUnderTest) {
    for reason in [DeathReason::Rejected, DeathReason::OutcomeLost, DeathReason::Expired] {
        let case = Case::new("a dead session stays dead", store);
        let opened = case.open().await;
        let grant = case.granted(&opened.key, LONG_LEASE, IfInDoubt::Report).await;
        case.done(&grant.lease, Abort::Dead(reason)).await;
        for doubt in [IfInDoubt::Report, IfInDoubt::Grant] {
            let begun = case.begin(&opened.key, LONG_LEASE, doubt).await;
            case.check(matches!(begun, Begun::Dead(told) if told == reason), begun);
        }
        let standing = case.loaded(&opened.key).await.standing;
        case.check(standing == Standing::Dead(reason), standing);
    }
}

/// `abort` with a lease that was never granted changes nothing.
pub async fn a_strangers_abort_changes_nothing(store: &StoreUnderTest) {
    for abort in ABORTS {
        let case = Case::new("a stranger's abort changes nothing", store);
        let opened = case.open().await;
        let stranger = Lease { key: opened.key, attempt: AttemptId::random(), base: Version::FIRST };
        case.fenced(&stranger, abort).await;
        let held = case.granted(&opened.key, LONG_LEASE, IfInDoubt::Report).await;
        case.fenced(&stranger, abort).await;
        let other = case.begin(&opened.key, LONG_LEASE, IfInDoubt::Grant).await;
        case.check(matches!(other, Begun::Busy { .. }), other);
        let standing = case.loaded(&opened.key).await.standing;
        case.check(standing == Standing::Live, standing);
        let commit = case.next(&opened.key, refresh_token()).await;
        case.stored(&held.lease, commit).await;
    }
}

/// The late abort of an owner whose lease ran out and went to another kills nothing and frees nothing.
pub async fn a_fenced_owners_abort_changes_nothing(store: &StoreUnderTest) {
    for abort in ABORTS {
        let case = Case::new("a fenced owner's abort changes nothing", store);
        let opened = case.open().await;
        let fenced = case.abandoned(&opened.key, IfInDoubt::Report).await;
        let held = case.granted(&opened.key, LONG_LEASE, IfInDoubt::Grant).await;
        case.fenced(&fenced.lease, abort).await;
        let other = case.begin(&opened.key, LONG_LEASE, IfInDoubt::Grant).await;
        case.check(matches!(other, Begun::Busy { .. }), other);
        let commit = case.next(&opened.key, refresh_token()).await;
        case.stored(&held.lease, commit).await;
        case.granted(&opened.key, LONG_LEASE, IfInDoubt::Report).await;
    }
}

/// An abort that is repeated after another attempt was granted does not take that one's lease.
pub async fn a_repeated_abort_spares_the_next_holder(store: &StoreUnderTest) {
    for abort in ABORTS {
        let case = Case::new("a repeated abort spares the next holder", store);
        let opened = case.open().await;
        let first = case.granted(&opened.key, LONG_LEASE, IfInDoubt::Report).await;
        case.done(&first.lease, Abort::Untouched).await;
        case.granted(&opened.key, LONG_LEASE, IfInDoubt::Report).await;
        case.fenced(&first.lease, abort).await;
        let begun = case.begin(&opened.key, LONG_LEASE, IfInDoubt::Grant).await;
        case.check(matches!(begun, Begun::Busy { .. }), begun);
    }
}

/// An abort on an older version leaves the newer one as it is.
pub async fn an_abort_leaves_a_newer_version_alone(store: &StoreUnderTest) {
    for abort in ABORTS {
        let case = Case::new("an abort leaves a newer version alone", store);
        let opened = case.open().await;
        let grant = case.granted(&opened.key, LONG_LEASE, IfInDoubt::Report).await;
        let commit = case.next(&opened.key, refresh_token()).await;
        case.stored(&grant.lease, commit).await;
        case.abort(&grant.lease, abort).await;
        let loaded = case.loaded(&opened.key).await;
        case.check(loaded.version == Version(2) && loaded.standing == Standing::Live, loaded);
        case.granted(&opened.key, LONG_LEASE, IfInDoubt::Report).await;
    }
}
