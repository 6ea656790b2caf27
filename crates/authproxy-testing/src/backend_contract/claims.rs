//! Claims about a service that works.

use std::collections::HashSet;

use authproxy_core::{
    backend::{Login, RefreshError, RotationContract},
    token::{AccessToken, RefreshToken, TokenSet},
};
use futures_util::future::join_all;

use super::{
    BackendUnderTest,
    case::{Case, TIMEOUT},
};

/// A login brings tokens, and the service accepts the access token.
pub async fn a_login_brings_tokens_that_work(under_test: &BackendUnderTest) {
    let case = Case::new("a login brings tokens that work", under_test);
    let tokens = case.log_in().await;
    case.check(tokens.refresh_token.is_some(), &tokens);
    case.is_accepted(&tokens.access_token).await;
}

/// Two logins are two: none of their tokens is the same.
pub async fn each_login_brings_its_own_tokens(under_test: &BackendUnderTest) {
    let case = Case::new("each login brings its own tokens", under_test);
    let (one, other) = (case.log_in().await, case.log_in().await);
    case.check(texts(&one).is_disjoint(&texts(&other)), "two logins share a token");
}

/// Refused credentials are an answer for whoever tried, not an error.
pub async fn a_refused_login_is_no_error(under_test: &BackendUnderTest) {
    let case = Case::new("a refused login is no error", under_test);
    let Some(refused) = &under_test.refused else { case.broken("the suite was given no credentials to refuse") };
    let login = case.try_log_in(refused).await;
    let Ok(Login::Refused(reply)) = &login else { case.broken(login) };
    case.check(reply.status.is_client_error(), reply);
}

/// An access token that was never issued is refused by the service, which is an answer and no error.
pub async fn an_invented_access_token_is_refused(under_test: &BackendUnderTest) {
    let case = Case::new("an invented access token is refused", under_test);
    let invented = AccessToken::new("invented-access-token").expect("visible characters");
    let reply = case.protected(&invented).await;
    case.check(reply.status.is_client_error(), reply);
}

/// A refresh brings an access token that works, and a refresh token that can be presented next, many times over.
pub async fn a_refresh_leads_to_the_next(under_test: &BackendUnderTest) {
    let case = Case::new("a refresh leads to the next", under_test);
    let mut present = case.refresh_token().await;
    let mut seen = HashSet::new();
    for _ in 0..5 {
        let tokens = case.refresh(&present).await;
        let new = seen.insert(tokens.access_token.expose_secret().to_owned());
        case.check(new, "an earlier access token came back");
        case.is_accepted(&tokens.access_token).await;
        present = tokens.refresh_token.unwrap_or(present);
    }
}

/// Whether a refresh brings another refresh token is what the declared contract says. Strict promises nothing.
pub async fn tokens_rotate_as_was_declared(under_test: &BackendUnderTest) {
    let case = Case::new("tokens rotate as was declared", under_test);
    let first = case.refresh_token().await;
    let rotated = case.refresh(&first).await.refresh_token;
    let replaced = rotated.is_some_and(|rotated| rotated.expose_secret() != first.expose_secret());
    match under_test.backend.rotation() {
        RotationContract::Reusable => case.check(!replaced, "a token that is declared reusable was replaced"),
        RotationContract::Grace(_) | RotationContract::Idempotent => case.check(replaced, "the token was not replaced"),
        _ => {}
    }
}

/// Presenting a refresh token again has the outcome that the declared contract promises.
pub async fn presenting_again_is_what_was_declared(under_test: &BackendUnderTest) {
    let case = Case::new("presenting again is what was declared", under_test);
    let token = case.refresh_token().await;
    let first = case.refresh(&token).await;
    let again = case.try_refresh(&token, TIMEOUT).await;
    match (under_test.backend.rotation(), again) {
        (RotationContract::Grace(_) | RotationContract::Reusable, Ok(second)) => {
            case.is_accepted(&first.access_token).await;
            case.is_accepted(&second.access_token).await;
        }
        (RotationContract::Idempotent, Ok(second)) => {
            case.check(texts(&first) == texts(&second), "the same request got another answer");
        }
        (RotationContract::Grace(_) | RotationContract::Reusable | RotationContract::Idempotent, Err(error)) => {
            case.broken(error)
        }
        // Nothing is promised, but the error must be the service's verdict and nothing else.
        (_, Ok(_) | Err(RefreshError::Rejected(_))) => {}
        (_, Err(error)) => case.broken(error),
    }
}

/// A refresh token that was never issued is rejected: the definite verdict.
pub async fn an_invented_refresh_token_is_rejected(under_test: &BackendUnderTest) {
    let case = Case::new("an invented refresh token is rejected", under_test);
    let invented = RefreshToken::new("invented-refresh-token").expect("visible characters");
    let refreshed = case.try_refresh(&invented, TIMEOUT).await;
    case.check(matches!(refreshed, Err(RefreshError::Rejected(_))), refreshed);
}

/// A revoked refresh token is rejected, and another login's tokens are not affected.
pub async fn a_revoked_refresh_token_is_rejected(under_test: &BackendUnderTest) {
    let case = Case::new("a revoked refresh token is rejected", under_test);
    let (revoked, other) = (case.log_in().await, case.log_in().await);
    case.revoke(&revoked).await;
    let Some(token) = &revoked.refresh_token else { case.broken("the login brought no refresh token") };
    let refreshed = case.try_refresh(token, TIMEOUT).await;
    case.check(matches!(refreshed, Err(RefreshError::Rejected(_))), refreshed);
    case.is_accepted(&other.access_token).await;
}

/// One refresh is one presentation.
pub async fn a_refresh_is_sent_once(under_test: &BackendUnderTest) {
    let case = Case::new("a refresh is sent once", under_test);
    let Some(presentations) = &under_test.presentations else { case.broken("the suite was given no count") };
    let token = case.refresh_token().await;
    let before = presentations();
    case.refresh(&token).await;
    case.check(presentations() == before + 1, format!("{} presentations", presentations() - before));
}

/// Many sessions that log in and refresh at once never get each other's tokens.
pub async fn sessions_at_once_never_mix(under_test: &BackendUnderTest) {
    let case = Case::new("sessions at once never mix", under_test);
    let chains = join_all((0..16).map(|_| async {
        let mut tokens = vec![case.log_in().await];
        for _ in 0..3 {
            let present = tokens.iter().rev().find_map(|tokens| tokens.refresh_token.clone());
            let Some(present) = present else { case.broken("the login brought no refresh token") };
            tokens.push(case.refresh(&present).await);
        }
        tokens
    }))
    .await;
    let mut seen = HashSet::new();
    for tokens in chains.iter().flatten() {
        let access = tokens.access_token.expose_secret();
        case.check(seen.insert(access.to_owned()), "an access token was issued twice");
    }
    for last in chains.iter().filter_map(|tokens| tokens.last()) {
        case.is_accepted(&last.access_token).await;
    }
}

fn texts(tokens: &TokenSet) -> HashSet<String> {
    let refresh_token = tokens.refresh_token.as_ref().map(RefreshToken::expose_secret);
    [Some(tokens.access_token.expose_secret()), refresh_token].into_iter().flatten().map(str::to_owned).collect()
}
