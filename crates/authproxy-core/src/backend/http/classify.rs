//! What an answer says: pure, no I/O, one row a class.
//!
//! About a refresh token (RFC 6749, sections 5.1 and 5.2):
//!
//! | the service's answer | is |
//! |---|---|
//! | 2xx with a readable token response, or with both tokens still whole in a broken one | the token set |
//! | any other 2xx | `Ambiguous`, with the new refresh token where that one is whole |
//! | 400 or 401 with `error: invalid_grant`; 401 with a JSON object without `error` | `Rejected` |
//! | any other 400 or 401: another code, HTML, nothing | `ClientRejected` |
//! | 400 or 401 that was cut off or is too large | `Ambiguous`: the verdict may stand in the rest |
//! | 425 (RFC 8470), 429 (RFC 6585) | `NotProcessed` |
//! | 408 | `Ambiguous`: meant for requests that did not arrive, also sent by gateways that gave up waiting |
//! | any other 3xx or 4xx | `ClientRejected` |
//! | 5xx, whatever it holds | `Ambiguous` |
//! | none: the body was never handed to a connection | `NotProcessed` |
//! | none: anything else | `Ambiguous` |

use bytes::Bytes;
use http::StatusCode;

use super::exchange::{Answer, End, NoAnswer};
use crate::{
    backend::{
        BackendError, Cause, RefreshError, Reply,
        wire::{self, ErrorCode},
    },
    clock::Timestamp,
    token::{RefreshToken, TokenSet},
};

/// What came of presenting a refresh token. `now` is when it was presented.
pub(super) fn refreshed(
    outcome: Result<Answer, NoAnswer>,
    presented: &RefreshToken,
    now: Timestamp,
) -> Result<TokenSet, RefreshError> {
    let answer = match outcome {
        Ok(answer) => answer,
        Err(NoAnswer::NotSent(cause)) => return Err(RefreshError::NotProcessed { retry_after: None, cause }),
        Err(NoAnswer::TimedOut) => return Err(ambiguous(None, "no answer in time")),
        Err(NoAnswer::Lost(cause)) => {
            return Err(RefreshError::Ambiguous { retry_after: None, salvaged: None, cause });
        }
    };
    let retry_after = answer.retry_after;
    Err(match answer.status {
        status if status.is_success() => return tokens(&answer, presented, now),
        StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED => verdict(answer),
        StatusCode::TOO_MANY_REQUESTS => {
            RefreshError::NotProcessed { retry_after, cause: Cause::new("429 Too Many Requests") }
        }
        StatusCode::TOO_EARLY => RefreshError::NotProcessed { retry_after, cause: Cause::new("425 Too Early") },
        StatusCode::REQUEST_TIMEOUT => ambiguous(retry_after, "408 Request Timeout"),
        status if status.is_client_error() || status.is_redirection() => RefreshError::ClientRejected(answer.into()),
        _ => ambiguous(retry_after, "a server error"),
    })
}

/// An answer that is for whoever asked: success or refusal, whole.
pub(super) fn replied(outcome: Result<Answer, NoAnswer>) -> Result<Reply, BackendError> {
    let answer = outcome.map_err(|no_answer| match no_answer {
        NoAnswer::NotSent(cause) => BackendError::Unreachable(cause),
        NoAnswer::TimedOut => BackendError::TimedOut,
        NoAnswer::Lost(cause) => BackendError::Malformed(cause),
    })?;
    match answer.status {
        StatusCode::SERVICE_UNAVAILABLE => Err(BackendError::Overloaded { retry_after: answer.retry_after }),
        status if status.is_redirection() => Err(malformed("a redirect")),
        status if !status.is_success() && !status.is_client_error() => Err(malformed("a server error")),
        _ => match answer.end {
            End::Whole => Ok(answer.into()),
            End::TooLarge => Err(malformed("the answer is too large")),
            End::TimedOut => Err(BackendError::TimedOut),
            End::CutOff(cause) => Err(BackendError::Malformed(cause)),
        },
    }
}

pub(super) fn malformed(cause: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> BackendError {
    BackendError::Malformed(Cause::new(cause))
}

impl From<Answer> for Reply {
    fn from(Answer { status, retry_after, body, end }: Answer) -> Self {
        let is_json = matches!(end, End::Whole) && wire::is_json(&body);
        Self { status, body: Bytes::from_owner(body), is_json, retry_after }
    }
}

/// A 400 or 401: `invalid_grant` and the seed's 401 judge the token, all else judges us.
fn verdict(answer: Answer) -> RefreshError {
    if !matches!(answer.end, End::Whole) {
        return ambiguous(answer.retry_after, "a refusal that was cut off");
    }
    match (answer.status, wire::error_code(&answer.body)) {
        (_, ErrorCode::InvalidGrant) | (StatusCode::UNAUTHORIZED, ErrorCode::Absent) => {
            RefreshError::Rejected(answer.into())
        }
        _ => RefreshError::ClientRejected(answer.into()),
    }
}

fn tokens(answer: &Answer, presented: &RefreshToken, now: Timestamp) -> Result<TokenSet, RefreshError> {
    wire::recover_tokens(&answer.body, now).map_err(|spoilt| RefreshError::Ambiguous {
        retry_after: answer.retry_after,
        // An answer that only repeats the token that it was asked with brings nothing new.
        salvaged: spoilt.salvaged.filter(|token| token.expose_secret() != presented.expose_secret()),
        cause: match &answer.end {
            End::Whole => Cause::new(spoilt.why),
            End::TooLarge => Cause::new("the answer is too large"),
            End::TimedOut => Cause::new("no whole answer in time"),
            End::CutOff(cause) => cause.clone(),
        },
    })
}

fn ambiguous(retry_after: Option<std::time::Duration>, cause: &'static str) -> RefreshError {
    RefreshError::Ambiguous { retry_after, salvaged: None, cause: Cause::new(cause) }
}

#[cfg(test)]
mod tests;
