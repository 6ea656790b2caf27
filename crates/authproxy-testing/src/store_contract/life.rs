//! Claims about `create`, `load`, `peek`, `remove` and `maintain`.

use std::time::Duration;

use authproxy_core::{
    session::{SessionId, Version},
    store::{Abort, Aborted, AttemptId, Committed, CreateError, IfInDoubt, Lease},
};

use super::{
    StoreUnderTest,
    case::{Case, LONG_LEASE, refresh_token, same_token},
};

/// A session is loaded as it was created.
pub async fn a_session_is_loaded_as_it_was_created(store: &StoreUnderTest) {
    let case = Case::new("a session is loaded as it was created", store);
    let key = SessionId::random().key();
    let new = case.new_session(Some(refresh_token()), false);
    let created = new.session.with_standing(new.session.standing);
    case.create(&key, new).await;
    let loaded = case.loaded(&key).await;
    let same_access = loaded.expose_secret() == created.expose_secret();
    case.check(same_access, "another access token came back");
    case.check(loaded.version == Version::FIRST, &loaded);
    case.check(loaded.user == created.user, &loaded);
    case.check(loaded.zones == created.zones, &loaded);
    case.check(loaded.standing == created.standing, &loaded);
    let times = (loaded.issued_at, loaded.opened_at, loaded.ends_at);
    case.check(times == (created.issued_at, created.opened_at, created.ends_at), &loaded);
}

/// A taken key is refused, and the session that has it is kept.
pub async fn a_taken_key_is_refused(store: &StoreUnderTest) {
    let case = Case::new("a taken key is refused", store);
    let first = case.open().await;
    let before = case.loaded(&first.key).await;
    let second = case.store().create(&first.key, case.new_session(Some(refresh_token()), false)).await;
    case.check(matches!(second, Err(CreateError::Exists)), second);
    let after = case.loaded(&first.key).await;
    let kept = after.expose_secret() == before.expose_secret();
    case.check(kept, "the second session has replaced the first");
    let grant = case.granted(&first.key, LONG_LEASE, IfInDoubt::Report).await;
    case.check(same_token(&grant.refresh_token, &first.refresh_token), "the refresh token was replaced");
}

/// A key that never had a session is found by no verb.
pub async fn an_unknown_key_is_found_by_no_verb(store: &StoreUnderTest) {
    let case = Case::new("an unknown key is found by no verb", store);
    let (key, other) = (SessionId::random().key(), case.open().await);
    case.is_gone(&key).await;
    let lease = Lease { key, attempt: AttemptId::random(), base: Version::FIRST };
    let commit = case.next(&other.key, refresh_token()).await;
    let committed = case.commit(&lease, commit).await;
    case.check(matches!(committed, Committed::Gone), committed);
    let aborted = case.abort(&lease, Abort::Untouched).await;
    case.check(matches!(aborted, Aborted::Fenced), aborted);
    case.is_gone(&key).await;
}

/// `remove` returns what is to be revoked, once, and nothing finds the session any more.
pub async fn a_removed_session_is_gone(store: &StoreUnderTest) {
    let case = Case::new("a removed session is gone", store);
    let opened = case.open().await;
    let rotated = case.rotate(&opened.key).await;
    let Some(removed) = case.remove(&opened.key).await else { case.broken("remove found no session") };
    case.check(removed.session.version == Version(2), &removed);
    let current = removed.refresh_token.as_ref().is_some_and(|token| same_token(token, &rotated));
    case.check(current, "remove did not return the current refresh token");
    case.is_gone(&opened.key).await;
}

/// A full store refuses the next session, and keeps all that it has; a removed one makes room.
pub async fn a_full_store_refuses_and_keeps_everybody(store: &StoreUnderTest) {
    let case = Case::new("a full store refuses and keeps everybody", store);
    let Some(capacity) = store.capacity() else { case.broken("the suite was not told the store's capacity") };
    let mut keys = Vec::new();
    let refused = loop {
        let key = SessionId::random().key();
        match case.store().create(&key, case.new_session(Some(refresh_token()), false)).await {
            Ok(()) if keys.len() > capacity => break Ok(()),
            Ok(()) => keys.push(key),
            Err(error) => break Err((key, error)),
        }
        case.store().maintain();
    };
    let Err((refused, CreateError::Full)) = refused else { case.broken(refused) };
    case.check(keys.len() == capacity, keys.len());
    case.is_gone(&refused).await;
    case.store().maintain();
    for key in &keys {
        case.loaded(key).await;
    }
    case.remove(&keys[0]).await;
    case.store().maintain();
    case.open().await;
}

/// A session that has ended is still found, so that its browser can be told "expired" rather than "unknown".
pub async fn an_ended_session_is_still_found(store: &StoreUnderTest) {
    let case = Case::new("an ended session is still found", store);
    let opened = case.open().await;
    let ends_at = case.loaded(&opened.key).await.ends_at;
    store.advance(ends_at.since(case.now()) + Duration::from_secs(30)).await;
    case.store().maintain();
    case.loaded(&opened.key).await;
}

/// A session that ended a day ago is forgotten, also without traffic, and makes room.
pub async fn a_long_ended_session_is_forgotten(store: &StoreUnderTest) {
    let case = Case::new("a long ended session is forgotten", store);
    let mut keys = Vec::new();
    for _ in 0..store.capacity().unwrap_or(1) {
        keys.push(case.open().await.key);
    }
    store.advance(Duration::from_hours(25)).await;
    case.store().maintain();
    for key in &keys {
        let loaded = case.load(key).await;
        case.check(loaded.is_none(), loaded);
    }
    case.open().await;
}

/// `maintain` frees nothing that lives, however often it runs.
pub async fn maintenance_frees_nothing_that_lives(store: &StoreUnderTest) {
    let case = Case::new("maintenance frees nothing that lives", store);
    let opened = case.open_handed_out().await;
    let held = case.granted(&opened.key, LONG_LEASE, IfInDoubt::Report).await;
    for _ in 0..100 {
        case.store().maintain();
    }
    case.loaded(&opened.key).await;
    case.check(case.find(&opened.refresh_token).await.is_some(), "a handed-out token was forgotten");
    let commit = case.next(&opened.key, refresh_token()).await;
    case.stored(&held.lease, commit).await;
}

/// What `peek` shows, if anything, is what this process' own verbs have made of the session.
pub async fn peek_shows_what_this_process_has_written(store: &StoreUnderTest) {
    let case = Case::new("peek shows what this process has written", store);
    let opened = case.open().await;
    for version in 1..=3 {
        let peeked = case.store().peek(&opened.key);
        case.check(peeked.as_ref().is_none_or(|session| session.version == Version(version)), peeked);
        case.rotate(&opened.key).await;
    }
    case.remove(&opened.key).await;
    let peeked = case.store().peek(&opened.key);
    case.check(peeked.is_none(), peeked);
}
