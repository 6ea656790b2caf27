//! Claims about a service that fails.

use std::time::Duration;

use authproxy_core::{
    backend::{BackendError, RefreshError, RefreshRequest, Registration},
    token::{AccessToken, RefreshToken},
};
use zeroize::Zeroizing;

use super::{
    BackendUnderTest,
    case::{Case, TIMEOUT, idempotency_key},
};

/// Where nobody listens nothing was processed, and every call says so.
pub async fn an_unreachable_service_has_processed_nothing(under_test: &BackendUnderTest) {
    let case = Case::new("an unreachable service has processed nothing", under_test);
    let Some(backend) = &under_test.unreachable else { case.broken("the suite was given no unreachable backend") };
    let refresh_token = RefreshToken::new("unsent-refresh-token").expect("visible characters");
    let key = idempotency_key(&refresh_token);
    let request = RefreshRequest { refresh_token: &refresh_token, idempotency_key: &key, timeout: TIMEOUT };
    let refreshed = backend.refresh(request).await;
    case.refresh_leaks_nothing(&refreshed);
    case.check(matches!(refreshed, Err(RefreshError::NotProcessed { .. })), refreshed);
    let login = backend.login(&under_test.credentials).await;
    case.check(matches!(login, Err(BackendError::Unreachable(_))), login);
    let access_token = AccessToken::new("unsent-access-token").expect("visible characters");
    let reply = backend.protected(&access_token).await;
    case.check(matches!(reply, Err(BackendError::Unreachable(_))), reply);
    let password = Zeroizing::new("unsent-password".to_owned());
    let reply = backend.register(&Registration { email: "new@example.com".to_owned(), password }).await;
    case.check(matches!(reply, Err(BackendError::Unreachable(_))), reply);
}

/// A refresh whose answer is lost is ambiguous: neither a verdict nor "not processed".
pub async fn a_lost_answer_is_ambiguous(under_test: &BackendUnderTest) {
    let case = Case::new("a lost answer is ambiguous", under_test);
    let Some(lose_next) = &under_test.lose_next_answer else { case.broken("the suite cannot lose an answer") };
    let token = case.refresh_token().await;
    let before = under_test.presentations.as_ref().map(|count| count());
    lose_next();
    let refreshed = case.try_refresh(&token, TIMEOUT).await;
    case.check(matches!(refreshed, Err(RefreshError::Ambiguous { .. })), refreshed);
    if let (Some(before), Some(count)) = (before, &under_test.presentations) {
        case.check(count() == before + 1, "the backend has presented the token again by itself");
    }
}

/// A refresh ends when its timeout has passed, is ambiguous then, and was sent once.
pub async fn a_refresh_without_an_answer_ends_in_time(under_test: &BackendUnderTest) {
    let case = Case::new("a refresh without an answer ends in time", under_test);
    let Some(hang_next) = &under_test.hang_next_refresh else { case.broken("the suite cannot hang a refresh") };
    let token = case.refresh_token().await;
    let before = under_test.presentations.as_ref().map(|count| count());
    hang_next();
    let timeout = Duration::from_millis(300);
    let refreshing = tokio::time::timeout(timeout + Duration::from_secs(5), case.try_refresh(&token, timeout));
    let Ok(refreshed) = refreshing.await else { case.broken("it took 5 seconds longer than its timeout") };
    case.check(matches!(refreshed, Err(RefreshError::Ambiguous { .. })), refreshed);
    if let (Some(before), Some(count)) = (before, &under_test.presentations) {
        case.check(count() == before + 1, "the backend has presented the token again by itself");
    }
}
