//! Claims about `commit`.

use authproxy_core::{
    session::{DeathReason, Standing, Version},
    store::{Abort, Begun, Committed, IfInDoubt},
};

use super::{
    StoreUnderTest,
    case::{Case, LONG_LEASE, refresh_token, same_token},
};

/// A commit publishes the next version, and the next attempt presents the new refresh token.
pub async fn a_commit_is_the_next_version(store: &StoreUnderTest) {
    let case = Case::new("a commit is the next version", store);
    let opened = case.open().await;
    let first = case.granted(&opened.key, LONG_LEASE, IfInDoubt::Report).await;
    let rotated = refresh_token();
    let commit = case.next(&opened.key, rotated.clone()).await;
    case.stored(&first.lease, commit.clone()).await;
    let loaded = case.loaded(&opened.key).await;
    case.check(loaded.version == Version(2) && loaded.standing == Standing::Live, &loaded);
    let same = loaded.expose_secret() == commit.session.expose_secret();
    case.check(same, "another access token was published");
    let next = case.granted(&opened.key, LONG_LEASE, IfInDoubt::Report).await;
    case.check(next.lease.base == Version(2), next.lease);
    case.check(same_token(&next.refresh_token, &rotated), "the refresh token is not the committed one");
}

/// A refresh token that the service keeps is committed again (RFC 6749, section 6), and presented again.
pub async fn a_kept_refresh_token_is_committed_again(store: &StoreUnderTest) {
    let case = Case::new("a kept refresh token is committed again", store);
    let opened = case.open().await;
    let grant = case.granted(&opened.key, LONG_LEASE, IfInDoubt::Report).await;
    let commit = case.next(&opened.key, grant.refresh_token.clone()).await;
    case.stored(&grant.lease, commit).await;
    let next = case.granted(&opened.key, LONG_LEASE, IfInDoubt::Report).await;
    case.check(same_token(&next.refresh_token, &opened.refresh_token), "the refresh token was not kept");
}

/// A commit that is repeated is answered as the first time, and changes nothing.
pub async fn a_repeated_commit_is_answered_the_same(store: &StoreUnderTest) {
    let case = Case::new("a repeated commit is answered the same", store);
    let opened = case.open().await;
    let grant = case.granted(&opened.key, LONG_LEASE, IfInDoubt::Report).await;
    let commit = case.next(&opened.key, refresh_token()).await;
    for _ in 0..3 {
        case.stored(&grant.lease, commit.clone()).await;
    }
    let loaded = case.loaded(&opened.key).await;
    case.check(loaded.version == Version(2), loaded);
}

/// A repeated commit does not take the lease that was granted on its version since.
pub async fn a_repeated_commit_spares_the_next_holder(store: &StoreUnderTest) {
    let case = Case::new("a repeated commit spares the next holder", store);
    let opened = case.open().await;
    let grant = case.granted(&opened.key, LONG_LEASE, IfInDoubt::Report).await;
    let commit = case.next(&opened.key, refresh_token()).await;
    case.stored(&grant.lease, commit.clone()).await;
    case.granted(&opened.key, LONG_LEASE, IfInDoubt::Report).await;
    case.stored(&grant.lease, commit).await;
    let begun = case.begin(&opened.key, LONG_LEASE, IfInDoubt::Report).await;
    case.check(matches!(begun, Begun::Busy { .. }), begun);
}

/// A commit that is repeated after another node has rotated again is still answered as the first time.
///
/// Told that it was superseded, its owner would revoke tokens whose family is alive. A store may forget whose commits
/// two newer ones have followed.
pub async fn a_commit_repeated_after_a_newer_one_is_answered_the_same(store: &StoreUnderTest) {
    let case = Case::new("a commit repeated after a newer one is answered the same", store);
    let opened = case.open().await;
    let grant = case.granted(&opened.key, LONG_LEASE, IfInDoubt::Report).await;
    let commit = case.next(&opened.key, refresh_token()).await;
    case.stored(&grant.lease, commit.clone()).await;
    case.rotate(&opened.key).await;
    case.stored(&grant.lease, commit).await;
    let loaded = case.loaded(&opened.key).await;
    case.check(loaded.version == Version(3), loaded);
}

/// A commit that comes after its lease ran out is accepted when the session has not moved, and ends the doubt.
pub async fn a_late_commit_is_accepted(store: &StoreUnderTest) {
    let case = Case::new("a late commit is accepted", store);
    let opened = case.open().await;
    let late = case.abandoned(&opened.key, IfInDoubt::Report).await;
    let begun = case.begin(&opened.key, LONG_LEASE, IfInDoubt::Report).await;
    case.check(matches!(begun, Begun::InDoubt { .. }), begun);
    let rotated = refresh_token();
    let commit = case.next(&opened.key, rotated.clone()).await;
    case.stored(&late.lease, commit).await;
    let loaded = case.loaded(&opened.key).await;
    case.check(loaded.version == Version(2) && loaded.standing == Standing::Live, loaded);
    let next = case.granted(&opened.key, LONG_LEASE, IfInDoubt::Report).await;
    case.check(same_token(&next.refresh_token, &rotated), "the refresh token is not the committed one");
    case.check(next.first_intent > late.first_intent, next.first_intent);
}

/// A commit is accepted also after its own attempt was given up as doubtful.
pub async fn a_commit_ends_a_recorded_doubt(store: &StoreUnderTest) {
    let case = Case::new("a commit ends a recorded doubt", store);
    let opened = case.open().await;
    let grant = case.granted(&opened.key, LONG_LEASE, IfInDoubt::Report).await;
    case.done(&grant.lease, Abort::InDoubt).await;
    let commit = case.next(&opened.key, refresh_token()).await;
    case.stored(&grant.lease, commit).await;
    let loaded = case.loaded(&opened.key).await;
    case.check(loaded.version == Version(2) && loaded.standing == Standing::Live, loaded);
    case.granted(&opened.key, LONG_LEASE, IfInDoubt::Report).await;
}

/// Of two commits on one version the first is stored; the second gets that one to use, and changes nothing.
pub async fn the_second_commit_on_a_version_is_superseded(store: &StoreUnderTest) {
    let case = Case::new("the second commit on a version is superseded", store);
    let opened = case.open().await;
    let first = case.abandoned(&opened.key, IfInDoubt::Report).await;
    let second = case.granted(&opened.key, LONG_LEASE, IfInDoubt::Grant).await;
    let (kept, lost) = (refresh_token(), refresh_token());
    let commit = case.next(&opened.key, kept.clone()).await;
    let superseded = case.next(&opened.key, lost).await;
    case.stored(&first.lease, commit.clone()).await;
    let committed = case.commit(&second.lease, superseded).await;
    let Committed::Superseded(newer) = committed else { case.broken(committed) };
    let same = newer.expose_secret() == commit.session.expose_secret();
    case.check(newer.version == Version(2) && same, newer);
    let next = case.granted(&opened.key, LONG_LEASE, IfInDoubt::Report).await;
    case.check(same_token(&next.refresh_token, &kept), "the superseded commit has replaced the refresh token");
}

/// A token set proves that a verdict of death was about a presentation that did not count.
pub async fn a_commit_revives_what_a_verdict_on_its_version_killed(store: &StoreUnderTest) {
    let case = Case::new("a commit revives what a verdict on its version killed", store);
    let opened = case.open().await;
    let late = case.abandoned(&opened.key, IfInDoubt::Report).await;
    let rejected = case.granted(&opened.key, LONG_LEASE, IfInDoubt::Grant).await;
    let commit = case.next(&opened.key, refresh_token()).await;
    case.done(&rejected.lease, Abort::Dead(DeathReason::Rejected)).await;
    case.stored(&late.lease, commit).await;
    let loaded = case.loaded(&opened.key).await;
    case.check(loaded.version == Version(2) && loaded.standing == Standing::Live, loaded);
    case.granted(&opened.key, LONG_LEASE, IfInDoubt::Report).await;
}

/// A repeated commit does not revive a session that died on the version that it had stored.
pub async fn a_repeated_commit_revives_nothing(store: &StoreUnderTest) {
    let case = Case::new("a repeated commit revives nothing", store);
    let opened = case.open().await;
    let first = case.granted(&opened.key, LONG_LEASE, IfInDoubt::Report).await;
    let commit = case.next(&opened.key, refresh_token()).await;
    case.stored(&first.lease, commit.clone()).await;
    let second = case.granted(&opened.key, LONG_LEASE, IfInDoubt::Report).await;
    case.done(&second.lease, Abort::Dead(DeathReason::Rejected)).await;
    case.stored(&first.lease, commit).await;
    let begun = case.begin(&opened.key, LONG_LEASE, IfInDoubt::Grant).await;
    case.check(matches!(begun, Begun::Dead(_)), begun);
}

/// A commit after `remove` is told so and revives nothing, first time and repeated.
pub async fn a_commit_revives_no_removed_session(store: &StoreUnderTest) {
    let case = Case::new("a commit revives no removed session", store);
    let opened = case.open().await;
    let grant = case.granted(&opened.key, LONG_LEASE, IfInDoubt::Report).await;
    let commit = case.next(&opened.key, refresh_token()).await;
    case.remove(&opened.key).await;
    for _ in 0..2 {
        let committed = case.commit(&grant.lease, commit.clone()).await;
        case.check(matches!(committed, Committed::Gone), committed);
        case.is_gone(&opened.key).await;
    }
}

/// A commit that was stored before the session was removed revives nothing when it is repeated.
pub async fn a_commit_repeated_after_a_removal_revives_nothing(store: &StoreUnderTest) {
    let case = Case::new("a commit repeated after a removal revives nothing", store);
    let opened = case.open().await;
    let grant = case.granted(&opened.key, LONG_LEASE, IfInDoubt::Report).await;
    let commit = case.next(&opened.key, refresh_token()).await;
    case.stored(&grant.lease, commit.clone()).await;
    case.remove(&opened.key).await;
    case.commit(&grant.lease, commit).await;
    case.is_gone(&opened.key).await;
}
