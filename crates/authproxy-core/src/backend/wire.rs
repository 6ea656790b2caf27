//! The shapes on the wire: requests as the seed's service takes them, token responses as services send them.
//!
//! Nothing here repeats a part of an answer in an error: serde's own messages quote what they stumble over.

mod fields;
mod lifetime;
mod salvage;

use serde::Serialize;
use serde_json::{Map, Value};

use self::fields::{Fields, NotRead};
use crate::{
    clock::Timestamp,
    token::{AccessToken, RefreshToken, TokenSet},
};

/// `POST /register`.
#[derive(Serialize)]
pub(super) struct RegisterBody<'a> {
    pub(super) email: &'a str,
    pub(super) password: &'a str,
}

/// `POST /refresh`.
#[derive(Serialize)]
pub(super) struct RefreshBody<'a> {
    pub(super) refresh_token: &'a str,
}

/// Why a token response cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unusable {
    #[error("the answer is not JSON")]
    NotJson,
    #[error("the answer is no JSON object")]
    NoObject,
    #[error("the answer names a field twice")]
    FieldTwice,
    #[error("the answer has no usable access token")]
    NoAccessToken,
    #[error("the answer's refresh token is malformed")]
    BadRefreshToken,
}

/// A refresh's answer that cannot be used, and the new refresh token where it still held one.
#[derive(Debug)]
pub(super) struct Spoilt {
    pub(super) why: Unusable,
    pub(super) salvaged: Option<RefreshToken>,
}

/// A token response (RFC 6749, section 5.1) and its remaining fields. `now` is when it was asked for.
pub(super) fn parse_tokens(body: &[u8], now: Timestamp) -> Result<(TokenSet, Map<String, Value>), Unusable> {
    let mut fields = Fields::parse(body)?;
    let tokens = token_set(&mut fields, now)?;
    Ok((tokens, fields.into_rest()))
}

/// The answer to a refresh, or what can be saved of it: a service that rotated has spent the old token, so what its
/// broken answer still holds of the new ones must not be lost.
///
/// Text that is no JSON at all, cut off or malformed, may yield both tokens. JSON that means to be something else, or
/// contradicts itself, yields at most the refresh token, where that one is plain.
pub(super) fn recover_tokens(body: &[u8], now: Timestamp) -> Result<TokenSet, Spoilt> {
    let why = match parse_tokens(body, now) {
        Ok((tokens, _)) => return Ok(tokens),
        Err(why) => why,
    };
    let mut found = salvage::scan(body);
    let salvaged = refresh_token(&mut found).ok().flatten();
    if why == Unusable::NotJson
        && let Some(refresh) = &salvaged
        && let Ok(mut tokens) = token_set(&mut found, now)
    {
        tokens.refresh_expires_at = refresh_expiry(&found, Some(refresh), now);
        tokens.refresh_token = salvaged;
        return Ok(tokens);
    }
    Err(Spoilt { why, salvaged })
}

/// `error` of an error response (RFC 6749, section 5.2), as far as it makes a difference.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum ErrorCode {
    /// The body is a JSON object without an `error`.
    Absent,
    /// The code is `invalid_grant`.
    InvalidGrant,
    /// The code is `unsupported_token_type` (RFC 7009, section 2.2.1).
    UnsupportedTokenType,
    /// The code is something else, or the body is no JSON object that is plain about it.
    Other,
}

/// Reads the code of an error response.
pub(super) fn error_code(body: &[u8]) -> ErrorCode {
    let Ok(mut fields) = Fields::parse(body) else { return ErrorCode::Other };
    match fields.take("error") {
        None | Some(Value::Null) => ErrorCode::Absent,
        Some(Value::String(code)) => match code.as_str() {
            "invalid_grant" => ErrorCode::InvalidGrant,
            "unsupported_token_type" => ErrorCode::UnsupportedTokenType,
            _ => ErrorCode::Other,
        },
        Some(_) => ErrorCode::Other,
    }
}

/// Whether `body` is well-formed JSON.
pub(super) fn is_json(body: &[u8]) -> bool {
    serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok()
}

fn token_set(fields: &mut Fields, now: Timestamp) -> Result<TokenSet, Unusable> {
    let access = fields.take_text("access_token").ok_or(Unusable::NoAccessToken)?;
    let access_token = AccessToken::new(&access).map_err(|_| Unusable::NoAccessToken)?;
    let refresh_token = refresh_token(fields)?;
    Ok(TokenSet {
        access_expires_at: lifetime::expiry(fields.get("expires_in"), &access, now),
        refresh_expires_at: refresh_expiry(fields, refresh_token.as_ref(), now),
        refresh_in: fields.get("refresh_in").and_then(lifetime::seconds).filter(|delay| !delay.is_zero()),
        access_token,
        refresh_token,
    })
}

/// Absent, `null` and empty all say that the service keeps the token that it has issued before.
fn refresh_token(fields: &mut Fields) -> Result<Option<RefreshToken>, Unusable> {
    match fields.take("refresh_token") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(token)) => {
            let token = zeroize::Zeroizing::new(token);
            if token.is_empty() {
                return Ok(None);
            }
            RefreshToken::new(&token).map(Some).map_err(|_| Unusable::BadRefreshToken)
        }
        Some(_) => Err(Unusable::BadRefreshToken),
    }
}

/// Of the refresh token in this answer, or of the one that it leaves in place.
fn refresh_expiry(fields: &Fields, token: Option<&RefreshToken>, now: Timestamp) -> Option<Timestamp> {
    let sent = fields.get("refresh_expires_in").or_else(|| fields.get("refresh_token_expires_in"));
    // A refresh token that is over when it is issued makes no sense: by zero, services say that it has no expiry.
    let sent = sent.filter(|sent| lifetime::seconds(sent).is_none_or(|lifetime| !lifetime.is_zero()));
    lifetime::expiry(sent, token.map_or("", RefreshToken::expose_secret), now)
}

impl From<NotRead> for Unusable {
    fn from(not_read: NotRead) -> Self {
        match not_read {
            NotRead::NotJson => Self::NotJson,
            NotRead::NoObject => Self::NoObject,
            NotRead::FieldTwice => Self::FieldTwice,
        }
    }
}

#[cfg(test)]
mod tests;
