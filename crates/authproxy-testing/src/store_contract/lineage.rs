//! Claims about handed-out refresh tokens.

use authproxy_core::{
    session::{SessionId, Version},
    store::{Exchanged, HandedOut},
};

use super::{
    StoreUnderTest,
    case::{Case, refresh_token, same_token},
};

/// A refresh token that was handed out is found, with the session and the version that it belongs to.
pub async fn a_handed_out_token_is_found(store: &StoreUnderTest) {
    let case = Case::new("a handed-out token is found", store);
    let opened = case.open_handed_out().await;
    let expected = HandedOut { key: opened.key, version: Version::FIRST, exchanged: false };
    for _ in 0..2 {
        let found = case.find(&opened.refresh_token).await;
        case.check(found == Some(expected), found);
    }
}

/// A refresh token that was not handed out is neither found nor exchanged, although a session has it.
pub async fn a_token_that_was_not_handed_out_is_unknown(store: &StoreUnderTest) {
    let case = Case::new("a token that was not handed out is unknown", store);
    let opened = case.open().await;
    let rotated = case.rotate(&opened.key).await;
    for token in [opened.refresh_token, rotated, refresh_token()] {
        let found = case.find(&token).await;
        case.check(found.is_none(), found);
        let exchanged = case.exchange(&token).await;
        case.check(matches!(exchanged, Exchanged::Missing), exchanged);
    }
}

/// A handed-out token is exchanged for the current ones, once, and the current one is handed out thereby.
pub async fn a_handed_out_token_is_exchanged_once(store: &StoreUnderTest) {
    let case = Case::new("a handed-out token is exchanged once", store);
    let opened = case.open_handed_out().await;
    let mut presented = opened.refresh_token.clone();
    for version in 2..5 {
        let rotated = case.rotate(&opened.key).await;
        let exchanged = case.exchange(&presented).await;
        let Exchanged::Current { session, refresh_token } = exchanged else { case.broken(exchanged) };
        case.check(session.version == Version(version), &session);
        case.check(same_token(&refresh_token, &rotated), "the exchange did not give the current refresh token");
        let again = case.exchange(&presented).await;
        case.check(matches!(again, Exchanged::Already), again);
        let spent = case.find(&presented).await;
        case.check(spent.is_some_and(|found| found.exchanged && found.key == opened.key), spent);
        let next = case.find(&rotated).await;
        let expected = HandedOut { key: opened.key, version: Version(version), exchanged: false };
        case.check(next == Some(expected), next);
        presented = rotated;
    }
}

/// After its session was removed a handed-out token is still known as ours, and exchanges for nothing.
pub async fn a_handed_out_token_outlives_its_session(store: &StoreUnderTest) {
    let case = Case::new("a handed-out token outlives its session", store);
    let opened = case.open_handed_out().await;
    case.rotate(&opened.key).await;
    case.remove(&opened.key).await;
    case.store().maintain();
    let found = case.find(&opened.refresh_token).await;
    case.check(found.is_some_and(|found| found.key == opened.key), found);
    let exchanged = case.exchange(&opened.refresh_token).await;
    case.check(matches!(exchanged, Exchanged::Missing), exchanged);
    case.is_gone(&opened.key).await;
}

/// A login that was refused for its key hands nothing out.
pub async fn a_refused_create_hands_nothing_out(store: &StoreUnderTest) {
    let case = Case::new("a refused create hands nothing out", store);
    let (opened, refused) = (case.open().await, refresh_token());
    let created = case.store().create(&opened.key, case.new_session(Some(refused.clone()), true)).await;
    case.check(created.is_err(), created);
    let found = case.find(&refused).await;
    case.check(found.is_none(), found);
    case.check(case.load(&SessionId::random().key()).await.is_none(), "a key that was never created is found");
}
