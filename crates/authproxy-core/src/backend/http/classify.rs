//! What an answer to a refresh says about the refresh token: pure, one row a class.

use http::StatusCode;

use super::super::wire::{self, ErrorBody};
use crate::{
    backend::{Cause, RefreshError, Reply},
    clock::Timestamp,
    token::TokenSet,
};

/// An answer that arrived whole, or the part of it that did.
pub(super) struct Answer {
    pub(super) reply: Reply,
    /// Whether the whole body is there.
    pub(super) whole: bool,
}

/// Reads the answer to a refresh.
pub(super) fn refreshed(answer: Answer, now: Timestamp) -> Result<TokenSet, RefreshError> {
    let Answer { reply, whole } = answer;
    let retry_after = reply.retry_after;
    match reply.status {
        status if status.is_success() => tokens(&reply, whole, now),
        // The answer's end is missing: neither a verdict nor a refusal can be read from it.
        _ if !whole => Err(ambiguous(&reply, "the answer was cut off")),
        StatusCode::TOO_MANY_REQUESTS => {
            Err(RefreshError::NotProcessed { retry_after, cause: Cause::new("429 Too Many Requests") })
        }
        StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED => Err(verdict(reply)),
        // 408 and 425 say that the request was not taken as it came, but not how far it came.
        StatusCode::REQUEST_TIMEOUT | StatusCode::TOO_EARLY => Err(ambiguous(&reply, "not taken in time")),
        status if status.is_client_error() || status.is_redirection() => Err(RefreshError::ClientRejected(reply)),
        _ => Err(ambiguous(&reply, "a server error")),
    }
}

/// A 400 or 401: `invalid_grant` (RFC 6749, section 5.2) and the seed's 401 judge the token, all else judges us.
fn verdict(reply: Reply) -> RefreshError {
    let body: Option<ErrorBody> = serde_json::from_slice(&reply.body).ok();
    match (reply.status, body.map(|body| body.error)) {
        (_, Some(Some(error))) if error == "invalid_grant" => RefreshError::Rejected(reply),
        (StatusCode::UNAUTHORIZED, Some(None)) => RefreshError::Rejected(reply),
        _ => RefreshError::ClientRejected(reply),
    }
}

fn tokens(reply: &Reply, whole: bool, now: Timestamp) -> Result<TokenSet, RefreshError> {
    let unusable = match wire::parse_tokens(&reply.body, now) {
        Ok((tokens, _)) if whole => return Ok(tokens),
        Ok(_) => None,
        Err(unusable) => Some(unusable),
    };
    let salvaged = wire::salvage(&reply.body);
    match (salvaged.access_token, salvaged.refresh_token) {
        (Some(access_token), Some(refresh_token)) if unusable != Some(wire::Unusable::NoAccessToken) => Ok(TokenSet {
            access_token,
            access_expires_at: None,
            refresh_token: Some(refresh_token),
            refresh_expires_at: None,
            refresh_in: None,
        }),
        (_, salvaged) => {
            let cause = match unusable {
                Some(unusable) => Cause::new(unusable),
                None => Cause::new("the answer was cut off"),
            };
            Err(RefreshError::Ambiguous { retry_after: None, salvaged, cause })
        }
    }
}

fn ambiguous(reply: &Reply, cause: &'static str) -> RefreshError {
    RefreshError::Ambiguous { retry_after: reply.retry_after, salvaged: None, cause: Cause::new(cause) }
}

#[cfg(test)]
mod tests;
