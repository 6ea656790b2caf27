//! Token responses, sensible and not.
#![allow(clippy::unwrap_used)]

use std::time::Duration;

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use proptest::prelude::*;

use super::*;

const NOW: Timestamp = Timestamp::from_secs(1_000_000);
const TEN_YEARS: u64 = 10 * 365 * 24 * 3600;

fn lifetime(json: &str) -> Option<Duration> {
    let body = format!(r#"{{"access_token":"a","expires_in":{json}}}"#);
    let (tokens, _) = parse_tokens(body.as_bytes(), NOW).unwrap();
    tokens.access_expires_at.map(|expires_at| expires_at.since(NOW))
}

/// Scenario 11.
#[test]
fn every_lifetime_has_a_defined_result() {
    let rows = [
        ("120", Some(120)),
        ("\"120\"", Some(120)),
        ("120.9", Some(120)),
        ("1e3", Some(1000)),
        ("0", Some(0)),
        ("-5", Some(0)),
        ("-1e300", Some(0)),
        ("1e300", Some(TEN_YEARS)),
        ("18446744073709551615", Some(TEN_YEARS)),
        ("\"nonsense\"", None),
        ("\"NaN\"", None),
        ("null", None),
        ("{}", None),
        ("[1]", None),
        ("true", None),
    ];
    for (json, expected) in rows {
        assert_eq!(lifetime(json), expected.map(Duration::from_secs), "expires_in: {json}");
    }
}

#[test]
fn without_a_lifetime_a_jwts_exp_is_the_hint() {
    let jwt = |claims: &str| format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims));
    let expiry = |token: String, extra: &str| {
        let body = format!(r#"{{"access_token":"{token}"{extra}}}"#);
        parse_tokens(body.as_bytes(), NOW).unwrap().0.access_expires_at
    };
    assert_eq!(expiry(jwt(r#"{"exp":1000060}"#), ""), Some(NOW.plus(Duration::from_secs(60))));
    assert_eq!(expiry(jwt(r#"{"exp":1000060}"#), r#","expires_in":5"#), Some(NOW.plus(Duration::from_secs(5))));
    assert_eq!(expiry(jwt(r#"{"exp":1e300}"#), ""), None);
    assert_eq!(expiry(jwt(r#"{"exp":"soon"}"#), ""), None);
    assert_eq!(expiry(jwt("not json"), ""), None);
    assert_eq!(expiry("opaque".into(), ""), None);
}

#[test]
fn the_refresh_tokens_expiry_has_two_names() {
    for name in ["refresh_expires_in", "refresh_token_expires_in"] {
        let body = format!(r#"{{"access_token":"a","refresh_token":"r","{name}":240}}"#);
        let (tokens, _) = parse_tokens(body.as_bytes(), NOW).unwrap();
        assert_eq!(tokens.refresh_expires_at, Some(NOW.plus(Duration::from_secs(240))));
    }
}

#[test]
fn the_remaining_fields_come_back_and_the_tokens_are_not_among_them() {
    let body = br#"{"access_token":"a","refresh_token":"r","token_type":"bearer","expires_in":120,"scope":"x"}"#;
    let (_, extra) = parse_tokens(body, NOW).unwrap();
    assert_eq!(extra.keys().collect::<Vec<_>>(), ["expires_in", "scope", "token_type"]);
}

#[test]
fn what_is_no_token_response_is_refused() {
    for body in [
        "",
        "[]",
        "null",
        "<html>",
        "{}",
        r#"{"access_token":null}"#,
        r#"{"access_token":5}"#,
        r#"{"access_token":""}"#,
        r#"{"access_token":"a\r\nSet-Cookie: x"}"#,
        r#"{"access_token":"a","access_token":"b"}"#,
        r#"{"access_token":"a","refresh_token":"x\ny"}"#,
        r#"{"access_token":"a","refresh_token":["r"]}"#,
        r#"{"access_token":"a"} trailing"#,
    ] {
        assert!(parse_tokens(body.as_bytes(), NOW).is_err(), "{body}");
    }
}

/// Scenario 18.
#[test]
fn a_broken_answer_is_searched_for_whole_tokens_only() {
    let rows = [
        (r#"{"access_token":"a","refresh_token":"r","expi"#, Some("a"), Some("r")),
        (r#"{"access_token": "a" , "refresh_token" : "r" "#, Some("a"), Some("r")),
        (r#"{"refresh_token":"r","access_token":"cut o"#, None, Some("r")),
        (r#"{"access_token":"a","refresh_token":"cut o"#, Some("a"), None),
        (r#"{"refresh_token":"one","refresh_token":"two""#, None, None),
        (r#"{"refresh_token":"esc\"aped""#, None, None),
        (r#"{"refresh_token":"","x"#, None, None),
        (r#"<html>"refresh_token":"r""#, None, None),
        ("", None, None),
    ];
    for (body, access, refresh) in rows {
        let salvaged = salvage(body.as_bytes());
        assert_eq!(salvaged.access_token.as_ref().map(AccessToken::expose_secret), access, "{body}");
        assert_eq!(salvaged.refresh_token.as_ref().map(RefreshToken::expose_secret), refresh, "{body}");
    }
}

proptest! {
    #[test]
    fn no_answer_panics(body in prop::collection::vec(any::<u8>(), 0..512)) {
        let _ = parse_tokens(&body, NOW);
        let _ = salvage(&body);
    }

    #[test]
    fn no_truncation_yields_a_shortened_token(cut in 0_usize..200) {
        let whole = br#"{"token_type":"bearer","access_token":"aaaaaaaaaaaaaaaa","expires_in":120,"refresh_token":"rrrrrrrrrrrrrrrr"}"#;
        let salvaged = salvage(&whole[..cut.min(whole.len())]);
        prop_assert!(salvaged.access_token.is_none_or(|token| token.expose_secret() == "aaaaaaaaaaaaaaaa"));
        prop_assert!(salvaged.refresh_token.is_none_or(|token| token.expose_secret() == "rrrrrrrrrrrrrrrr"));
    }
}
