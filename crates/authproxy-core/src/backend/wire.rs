//! The shapes on the wire: requests as the seed's service takes them, token responses as services send them.

mod lifetime;
mod salvage;

use serde::{
    Deserialize, Deserializer, Serialize,
    de::{Error, MapAccess, Visitor},
};
use serde_json::{Map, Value};

pub(super) use self::salvage::salvage;
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

/// An OAuth error response (RFC 6749, section 5.2).
#[derive(Deserialize)]
pub(super) struct ErrorBody {
    pub(super) error: Option<String>,
}

/// Why a token response cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum Unusable {
    #[error("the answer is no JSON object, or names a field twice")]
    NoObject,
    #[error("the answer has no usable access token")]
    NoAccessToken,
    #[error("the answer's refresh token is malformed")]
    BadRefreshToken,
}

/// A token response (RFC 6749, section 5.1) and its remaining fields.
pub(super) fn parse_tokens(body: &[u8], now: Timestamp) -> Result<(TokenSet, Map<String, Value>), Unusable> {
    let UniqueFields(mut fields) = serde_json::from_slice(body).map_err(|_| Unusable::NoObject)?;
    let access = take_text(&mut fields, "access_token").ok_or(Unusable::NoAccessToken)?;
    let access_token = AccessToken::new(&access).map_err(|_| Unusable::NoAccessToken)?;
    let refresh_token = match fields.remove("refresh_token") {
        None | Some(Value::Null) => None,
        Some(Value::String(token)) => Some(RefreshToken::new(&token).map_err(|_| Unusable::BadRefreshToken)?),
        Some(_) => return Err(Unusable::BadRefreshToken),
    };
    let refresh_lifetime = fields.get("refresh_expires_in").or_else(|| fields.get("refresh_token_expires_in"));
    let tokens = TokenSet {
        access_expires_at: lifetime::expiry(fields.get("expires_in"), &access, now),
        refresh_expires_at: refresh_token
            .as_ref()
            .and_then(|token| lifetime::expiry(refresh_lifetime, token.expose_secret(), now)),
        refresh_in: fields.get("refresh_in").and_then(lifetime::seconds),
        access_token,
        refresh_token,
    };
    Ok((tokens, fields))
}

fn take_text(fields: &mut Map<String, Value>, name: &str) -> Option<zeroize::Zeroizing<String>> {
    match fields.remove(name)? {
        Value::String(text) => Some(zeroize::Zeroizing::new(text)),
        _ => None,
    }
}

/// A JSON object that names no field twice: which of two tokens a service meant is not ours to guess.
struct UniqueFields(Map<String, Value>);

impl<'de> Deserialize<'de> for UniqueFields {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;
        impl<'de> Visitor<'de> for Fields {
            type Value = UniqueFields;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut access: A) -> Result<UniqueFields, A::Error> {
                let mut fields = Map::new();
                while let Some((name, value)) = access.next_entry::<String, Value>()? {
                    if fields.insert(name, value).is_some() {
                        return Err(A::Error::custom("a field is named twice"));
                    }
                }
                Ok(UniqueFields(fields))
            }
        }
        deserializer.deserialize_map(Fields)
    }
}

#[cfg(test)]
mod tests;
