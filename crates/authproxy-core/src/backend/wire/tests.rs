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
        ("\"inf\"", None),
        ("\"Infinity\"", None),
        ("\"1e400\"", None),
        ("\"120s\"", None),
        ("\"\"", None),
        ("\" 120 \"", Some(120)),
        ("\"120.9\"", Some(120)),
        ("\"-5\"", Some(0)),
        ("-0.5", Some(0)),
        ("0.9", Some(0)),
        ("-9223372036854775808", Some(0)),
        ("184467440737095516160", Some(TEN_YEARS)),
        ("null", None),
        ("{}", None),
        ("[1]", None),
        ("true", None),
    ];
    for (json, expected) in rows {
        assert_eq!(lifetime(json), expected.map(Duration::from_secs), "expires_in: {json}");
    }
}

fn jwt(claims: &str) -> String {
    format!("e30.{}.c2ln", URL_SAFE_NO_PAD.encode(claims))
}

#[test]
fn without_a_lifetime_a_jwts_exp_is_the_hint() {
    let expiry = |token: String, extra: &str| {
        let body = format!(r#"{{"access_token":"{token}"{extra}}}"#);
        parse_tokens(body.as_bytes(), NOW).unwrap().0.access_expires_at
    };
    assert_eq!(expiry(jwt(r#"{"exp":1000060}"#), ""), Some(NOW.plus(Duration::from_mins(1))));
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
        assert_eq!(tokens.refresh_expires_at, Some(NOW.plus(Duration::from_mins(4))));
    }
}

/// As of Keycloak's offline sessions.
#[test]
fn a_refresh_token_that_lasts_zero_seconds_has_no_expiry() {
    let body = br#"{"access_token":"a","expires_in":120,"refresh_token":"r","refresh_expires_in":0}"#;
    let (tokens, _) = parse_tokens(body, NOW).unwrap();
    assert_eq!(tokens.refresh_expires_at, None);
    let body =
        format!(r#"{{"access_token":"a","refresh_token":"{}","refresh_expires_in":0}}"#, jwt(r#"{"exp":1000060}"#));
    let (tokens, _) = parse_tokens(body.as_bytes(), NOW).unwrap();
    assert_eq!(tokens.refresh_expires_at, Some(NOW.plus(Duration::from_mins(1))), "but for what it says itself");
}

#[test]
fn a_refresh_token_that_is_kept_may_get_a_new_expiry() {
    let body = br#"{"access_token":"a","expires_in":120,"refresh_expires_in":240}"#;
    let (tokens, _) = parse_tokens(body, NOW).unwrap();
    assert!(tokens.refresh_token.is_none());
    assert_eq!(tokens.refresh_expires_at, Some(NOW.plus(Duration::from_mins(4))));
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

#[test]
fn a_service_asks_for_an_early_refresh_but_not_for_one_at_once() {
    for (json, expected) in [("60", Some(60)), ("\"60\"", Some(60)), ("0", None), ("-1", None), ("null", None)] {
        let body = format!(r#"{{"access_token":"a","refresh_in":{json}}}"#);
        let (tokens, _) = parse_tokens(body.as_bytes(), NOW).unwrap();
        assert_eq!(tokens.refresh_in, expected.map(Duration::from_secs), "refresh_in: {json}");
    }
}

#[test]
fn an_absent_null_or_empty_refresh_token_leaves_the_present_one() {
    for body in [
        r#"{"access_token":"a"}"#,
        r#"{"access_token":"a","refresh_token":null}"#,
        r#"{"access_token":"a","refresh_token":""}"#,
    ] {
        assert!(parse_tokens(body.as_bytes(), NOW).unwrap().0.refresh_token.is_none(), "{body}");
    }
}

#[test]
fn a_byte_order_mark_is_passed_over() {
    assert!(parse_tokens(b"\xef\xbb\xbf{\"access_token\":\"a\"}", NOW).is_ok());
}

#[test]
fn an_error_response_is_an_object_that_is_plain_about_its_code() {
    let rows = [
        (r#"{"error":"invalid_grant"}"#, ErrorCode::InvalidGrant),
        (r#"{"error":"invalid_grant","error_description":"expired"}"#, ErrorCode::InvalidGrant),
        (r#"{"error":"unsupported_token_type"}"#, ErrorCode::UnsupportedTokenType),
        (r#"{"error":"invalid_client"}"#, ErrorCode::Other),
        (r#"{"error":"Invalid_Grant"}"#, ErrorCode::Other),
        (r#"{"error":{"code":"invalid_grant"}}"#, ErrorCode::Other),
        (r#"{"error":"invalid_client","error":"invalid_grant"}"#, ErrorCode::Other),
        (r#"{"detail":"Invalid refresh token"}"#, ErrorCode::Absent),
        (r#"{"error":null}"#, ErrorCode::Absent),
        ("{}", ErrorCode::Absent),
        (r#"["invalid_grant"]"#, ErrorCode::Other),
        ("[null]", ErrorCode::Other),
        ("null", ErrorCode::Other),
        ("\"invalid_grant\"", ErrorCode::Other),
        ("invalid_grant", ErrorCode::Other),
        (r#"{"error":"invalid_grant"#, ErrorCode::Other),
        ("", ErrorCode::Other),
    ];
    for (body, expected) in rows {
        assert_eq!(error_code(body.as_bytes()), expected, "{body}");
    }
}

#[test]
fn no_error_repeats_the_answer() {
    for body in
        [r#"{"access_token":"CANARY\n"}"#, r#"{"access_token":"a","refresh_token":["CANARY"]}"#, "CANARY", "\"CANARY\""]
    {
        let error = parse_tokens(body.as_bytes(), NOW).unwrap_err();
        assert!(!format!("{error:?} {error}").contains("CANARY"), "{body}");
    }
}

#[derive(Debug, PartialEq)]
enum Recovered<'a> {
    Both(&'a str, &'a str),
    Refresh(&'a str),
    Nothing,
}

fn recovered(body: &[u8], check: impl FnOnce(Recovered)) {
    match recover_tokens(body, NOW) {
        Ok(tokens) => check(Recovered::Both(
            tokens.access_token.expose_secret(),
            tokens.refresh_token.as_ref().map_or("", RefreshToken::expose_secret),
        )),
        Err(Spoilt { salvaged: Some(refresh), .. }) => check(Recovered::Refresh(refresh.expose_secret())),
        Err(Spoilt { salvaged: None, .. }) => check(Recovered::Nothing),
    }
}

/// Scenario 18.
#[test]
fn a_broken_answer_yields_whole_tokens_only() {
    use Recovered::{Both, Nothing, Refresh};
    let rows = [
        // Cut off.
        (r#"{"access_token":"a","refresh_token":"r","expi"#, Both("a", "r")),
        (r#"{"access_token": "a" , "refresh_token" : "r" "#, Both("a", "r")),
        (r#"{"access_token":"a","refresh_token":"r""#, Both("a", "r")),
        (r#"{"access_token":"a","refresh_token":"r"#, Nothing),
        (r#"{"refresh_token":"r","access_token":"cut o"#, Refresh("r")),
        (r#"{"access_token":"a","refresh_token":"cut o"#, Nothing),
        (r#"{"access_token":"a","refr"#, Nothing),
        (r#"{"access_token":"a","expires_in":12"#, Nothing),
        (r#"{"access_token":"a","scope":["x","refresh_token":"r""#, Nothing),
        // Malformed.
        (r#"{"access_token":"a","refresh_token":"r",}"#, Both("a", "r")),
        (r#"{"access_token":"a","refresh_token":"r"} trailing"#, Both("a", "r")),
        (r#"{"access_token":"a","expires_in":None,"refresh_token":"r"}"#, Both("a", "r")),
        (r#"{"access_token":"a","expires_in":1e400,"refresh_token":"r"}"#, Both("a", "r")),
        (r#"{"access_token":"a" "refresh_token":"r"}"#, Nothing),
        (r#"{"access_token":"a"b","refresh_token":"r"}"#, Nothing),
        (r#"{"refresh_token":"r"s","access_token":"a"}"#, Nothing),
        ("{\"access_token\":\"a\",\"refresh_token\":\"r\ns\"}", Nothing),
        (r#"{"refresh_token":"r","access_token":"a"#, Refresh("r")),
        (r"{'access_token':'a','refresh_token':'r'}", Nothing),
        // The names elsewhere than in the outermost object.
        (r#"{"x":{"refresh_token":"no"},"refresh_token":"r","#, Refresh("r")),
        (r#"{"x":"\"refresh_token\":\"no\"","#, Nothing),
        (r#"{"x":"{\"refresh_token\":\"no\"}","refresh_token":"r","#, Refresh("r")),
        (r#"{"x":{"access_token":"no","refresh_token":"no"}"#, Nothing),
        (r#"<html>{"access_token":"a","refresh_token":"r"}"#, Nothing),
        (r#"[{"access_token":"a","refresh_token":"r"}]"#, Nothing),
        // Escapes are read, not copied.
        (r#"{"access\u005ftoken":"a\u0062","refresh_token":"r\/s","#, Both("ab", "r/s")),
        (r#"{"access_token":"a","refresh_token":"r\ud800","#, Nothing),
        // Contradictions.
        (r#"{"refresh_token":"one","refresh_token":"two","#, Nothing),
        (r#"{"access_token":"a","refresh_token":"one","refresh_token":"two"}"#, Nothing),
        (r#"{"access_token":"a","access_token":"b","refresh_token":"r"}"#, Refresh("r")),
        (r#"{"access_token":"a","refresh_token":"r","expires_in":1,"expires_in":2}"#, Refresh("r")),
        // Well-formed, and still no token response.
        (r#"{"refresh_token":"r","expires_in":120}"#, Refresh("r")),
        (r#"{"access_token":"a\r\nb","refresh_token":"r"}"#, Refresh("r")),
        (r#"{"access_token":"\u00e4","refresh_token":"r"}"#, Refresh("r")),
        (r#"{"access_token":"a","refresh_token":"r\r\ns"}"#, Nothing),
        (r#"{"refresh_token":"","access_token":1}"#, Nothing),
        ("{}", Nothing),
        ("null", Nothing),
        ("", Nothing),
        ("{", Nothing),
        ("{\"", Nothing),
    ];
    for (body, expected) in rows {
        recovered(body.as_bytes(), |found| assert_eq!(found, expected, "{body}"));
    }
}

#[test]
fn what_was_whole_of_a_broken_answer_sets_the_expiries() {
    let body = br#"{"access_token":"a","expires_in":120,"refresh_token":"r","refresh_expires_in":240,"x"#;
    let tokens = recover_tokens(body, NOW).unwrap();
    assert_eq!(tokens.access_expires_at, Some(NOW.plus(Duration::from_mins(2))));
    assert_eq!(tokens.refresh_expires_at, Some(NOW.plus(Duration::from_mins(4))));
    let cut = recover_tokens(br#"{"access_token":"a","refresh_token":"r","expires_in":12"#, NOW).unwrap();
    assert_eq!(cut.access_expires_at, None, "12 may have been the beginning of 120");
}

#[test]
fn nesting_that_no_parser_takes_hides_no_token() {
    let deep = format!(r#"{{"x":{}{},"access_token":"a","refresh_token":"r"}}"#, "[".repeat(5000), "]".repeat(5000));
    recovered(deep.as_bytes(), |found| assert_eq!(found, Recovered::Both("a", "r")));
}

/// A token as RFC 6749 has them, quotes and backslashes included, and a JSON object around two of them.
fn token() -> impl Strategy<Value = String> {
    "[!-~]{1,40}"
}

fn scalar() -> impl Strategy<Value = Value> {
    prop_oneof![
        any::<i64>().prop_map(Value::from),
        any::<bool>().prop_map(Value::from),
        Just(Value::Null),
        any::<String>().prop_map(Value::from),
    ]
}

proptest! {
    #[test]
    fn no_answer_panics(body in prop::collection::vec(any::<u8>(), 0..512)) {
        let _ = recover_tokens(&body, NOW);
        let _ = error_code(&body);
    }

    #[test]
    fn no_answer_that_begins_well_panics(rest in r#"[{}\[\]:,"\\a-e0-9 \n]{0,200}"#) {
        let _ = recover_tokens(format!(r#"{{"access_token":"a",{rest}"#).as_bytes(), NOW);
    }

    #[test]
    fn no_truncation_yields_a_shortened_token(access in token(), refresh in token(), cut in 0.0..1.0_f64) {
        let whole = serde_json::json!({
            "access_token": access, "expires_in": 120, "refresh_token": refresh, "token_type": "bearer",
        }).to_string();
        #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::cast_sign_loss)]
        let cut = (whole.len() as f64 * cut) as usize;
        recovered(&whole.as_bytes()[..cut], |found| match found {
            Recovered::Both(a, r) => assert_eq!((a, r), (access.as_str(), refresh.as_str())),
            Recovered::Refresh(r) => assert_eq!(r, refresh),
            Recovered::Nothing => {}
        });
    }

    #[test]
    fn the_scanner_and_the_parser_agree_on_whole_objects(
        members in prop::collection::btree_map(any::<String>(), scalar(), 0..20),
    ) {
        let whole = serde_json::to_vec(&members).unwrap();
        let scanned = salvage::scan(&whole).into_rest();
        prop_assert_eq!(scanned.into_iter().collect::<std::collections::BTreeMap<_, _>>(), members);
    }
}
