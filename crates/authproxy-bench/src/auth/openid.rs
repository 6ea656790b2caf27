//! The little of an `OpenID` provider that a peer needs: a token endpoint whose codes say who logs in.

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Deserialize;
use serde_json::json;
use sha2::Sha256;

use super::access_token;
use crate::stopwatch::unix_time;

pub(crate) const CLIENT: &str = "bench";
pub(crate) const SECRET: &str = "a-secret-for-measurements-of-no-use-elsewhere";
const LIFE: u64 = 3600;

#[derive(Deserialize)]
struct Form {
    /// The user's name, a dot, the nonce.
    code: String,
}

/// What the token endpoint answers to a form; `None` to one without a code.
pub(super) fn tokens(form: &[u8], issuer: &str) -> Option<String> {
    let form: Form = serde_urlencoded::from_bytes(form).ok()?;
    let (user, nonce) = form.code.split_once('.')?;
    let now = unix_time();
    let claims = json!({ "iss": issuer, "sub": user, "aud": CLIENT, "nonce": nonce, "iat": now, "exp": now + LIFE });
    let answer = json!({
        "access_token": access_token(user, 1),
        "token_type": "Bearer",
        "expires_in": LIFE,
        "id_token": signed(&claims.to_string()),
    });
    Some(answer.to_string())
}

/// A JWT by HS256, under the client's secret.
fn signed(claims: &str) -> String {
    let text = [r#"{"alg":"HS256","typ":"JWT"}"#, claims].map(|part| URL_SAFE_NO_PAD.encode(part)).join(".");
    let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).expect("a key may have any length");
    mac.update(text.as_bytes());
    let signature = URL_SAFE_NO_PAD.encode(mac.finalize().into_bytes());
    format!("{text}.{signature}")
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use serde_json::Value;

    use super::*;

    #[test]
    fn a_code_gives_its_users_tokens_with_its_nonce() {
        let answer: Value =
            serde_json::from_str(&tokens(b"grant_type=x&code=0000007.n1", "http://op").unwrap()).unwrap();
        assert!(answer["access_token"].as_str().unwrap().starts_with("0000007."));
        let claims = answer["id_token"].as_str().unwrap().split('.').nth(1).unwrap().to_owned();
        let claims: Value = serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
        assert_eq!(
            (&claims["nonce"], &claims["sub"], &claims["iss"]),
            (&"n1".into(), &"0000007".into(), &"http://op".into())
        );
        assert_eq!(tokens(b"grant_type=x", "http://op"), None);
    }

    #[test]
    fn signatures_are_those_of_rfc_7515() {
        let token = signed("{}");
        assert_eq!(token.split('.').next(), Some("eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9"));
        assert_eq!(token.split('.').nth(2).map(str::len), Some(43));
    }
}
