//! Tokens on their way to a client that is to have them: the one place where the server writes a token into a body.

use authproxy_core::token::TokenSet;
use serde_json::{Map, Value};

/// The token response (RFC 6749, section 5.1): the service's own fields as they came, with the tokens beside them.
///
/// `expires_in` is written where the service said nothing: whole seconds that the access token still lives.
pub(crate) fn token_json(tokens: &TokenSet, extra: Map<String, Value>, expires_in: Option<u64>) -> Value {
    let mut body = extra;
    body.insert("access_token".into(), tokens.access_token.expose_secret().into());
    if let Some(refresh_token) = &tokens.refresh_token {
        body.insert("refresh_token".into(), refresh_token.expose_secret().into());
    }
    body.entry("token_type").or_insert_with(|| "bearer".into());
    if let Some(seconds) = expires_in {
        body.entry("expires_in").or_insert_with(|| seconds.into());
    }
    Value::Object(body)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use authproxy_core::token::{AccessToken, RefreshToken};
    use serde_json::json;

    use super::*;

    fn issued(refresh_token: Option<&str>) -> TokenSet {
        TokenSet {
            access_token: AccessToken::new("at").unwrap(),
            access_expires_at: None,
            refresh_token: refresh_token.map(|text| RefreshToken::new(text).unwrap()),
            refresh_expires_at: None,
            refresh_in: None,
        }
    }

    #[test]
    fn the_services_own_fields_stay_and_the_tokens_are_ours() {
        let extra = json!({ "token_type": "Bearer", "expires_in": "120", "scope": "a", "access_token": "stale" });
        let body = token_json(&issued(Some("rt")), extra.as_object().unwrap().clone(), Some(7));
        assert_eq!(
            body,
            json!({ "access_token": "at", "refresh_token": "rt", "token_type": "Bearer", "expires_in": "120", "scope": "a" })
        );
    }

    #[test]
    fn what_the_service_left_out_is_filled_in() {
        assert_eq!(
            token_json(&issued(None), Map::new(), Some(7)),
            json!({ "access_token": "at", "token_type": "bearer", "expires_in": 7 })
        );
        assert_eq!(
            token_json(&issued(None), Map::new(), None),
            json!({ "access_token": "at", "token_type": "bearer" })
        );
    }
}
