//! What a request's token says of its user, as header values.

use authproxy_core::manager::ReadyToken;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use http::HeaderValue;
use serde_json::{Map, Value};

/// The claims of a JWT (RFC 7519, section 4). They came from the auth service itself; nothing is verified here.
#[derive(Debug, Default)]
pub(crate) struct Claims(Map<String, Value>);

/// The claims of the access token; none when it is no JWT.
pub(crate) fn of(token: &ReadyToken) -> Claims {
    parse(token.expose_secret()).unwrap_or_default()
}

/// The bare access token, marked sensitive.
pub(crate) fn bare(token: &ReadyToken) -> HeaderValue {
    let mut value = HeaderValue::from_str(token.expose_secret()).expect("a token is visible ASCII by its type");
    value.set_sensitive(true);
    value
}

/// A text as a header value; `None` when it holds what no header may hold, so that nothing false is said.
pub(crate) fn text(text: &str) -> Option<HeaderValue> {
    let clean = !text.is_empty() && text.trim() == text && !text.chars().any(char::is_control);
    clean.then(|| HeaderValue::from_bytes(text.as_bytes()).ok()).flatten()
}

fn parse(token: &str) -> Option<Claims> {
    let payload = token.split('.').nth(1)?;
    let json = URL_SAFE_NO_PAD.decode(payload).ok()?;
    serde_json::from_slice(&json).ok().map(Claims)
}

impl Claims {
    /// A claim that is a text, a number or a boolean.
    pub(crate) fn header(&self, name: &str) -> Option<HeaderValue> {
        match self.0.get(name)? {
            Value::String(value) => text(value),
            Value::Number(value) => text(&value.to_string()),
            Value::Bool(value) => text(&value.to_string()),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_claims_become_headers() {
        let payload = URL_SAFE_NO_PAD.encode(r#"{"sub":"a@b.c","n":7,"ok":true,"list":[1],"evil":"a\r\nb","e":""}"#);
        let claims = parse(&format!("e30.{payload}.x")).expect("a JWT");
        let header = |name| claims.header(name).map(|value| value.to_str().expect("ASCII").to_owned());
        assert_eq!(header("sub").as_deref(), Some("a@b.c"));
        assert_eq!(header("n").as_deref(), Some("7"));
        assert_eq!(header("ok").as_deref(), Some("true"));
        for absent in ["list", "evil", "e", "none"] {
            assert_eq!(header(absent), None, "{absent}");
        }
        for token in ["opaque", "a.b.c", "a.e30", "..", ""] {
            assert!(parse(token).is_none_or(|claims| claims.0.is_empty()), "{token}");
        }
    }
}
