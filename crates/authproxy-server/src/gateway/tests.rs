#![allow(clippy::unwrap_used)]

use super::*;

type Headers<'a> = &'a [(&'static str, &'a str)];

fn headers(lines: Headers<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in lines {
        headers.append(*name, HeaderValue::from_str(value).unwrap());
    }
    headers
}

fn effect(is_trusted: bool, method: &str, path: &str, lines: Headers<'_>) -> Effect {
    let (method, uri, headers) = (method.parse().unwrap(), path.parse().unwrap(), headers(lines));
    Original::new(&method, &uri, &headers, is_trusted).effect()
}

#[test]
fn the_strictest_method_that_is_named_counts() {
    use Effect::{MayChange, Reads, Untold};
    let below = "/auth/verify/api/x?y";
    let table: [(&str, &str, Headers<'_>, Effect); 17] = [
        ("GET", PATH, &[("x-forwarded-method", "GET")], Reads),
        ("GET", PATH, &[("x-forwarded-method", "HEAD")], Reads),
        ("GET", PATH, &[("x-original-method", "OPTIONS")], Reads),
        ("GET", below, &[], Reads),
        ("HEAD", below, &[], Reads),
        ("GET", PATH, &[], Untold),
        ("GET", "/auth/verify?x", &[], Untold),
        ("POST", below, &[], MayChange),
        ("POST", below, &[("x-forwarded-method", "GET")], MayChange),
        ("GET", PATH, &[("x-forwarded-method", "DELETE")], MayChange),
        ("GET", PATH, &[("x-original-method", "POST"), ("x-forwarded-method", "GET")], MayChange),
        ("GET", PATH, &[("x-forwarded-method", "GET"), ("x-forwarded-method", "POST")], MayChange),
        ("GET", PATH, &[("x-forwarded-method", "GET, GET")], MayChange),
        ("GET", PATH, &[("x-forwarded-method", "get")], MayChange),
        ("GET", PATH, &[("x-forwarded-method", "")], MayChange),
        ("GET", PATH, &[("x-forwarded-method", "GET"), ("sec-websocket-key", "x")], MayChange),
        ("GET", below, &[("upgrade", "websocket")], MayChange),
    ];
    for (method, path, lines, expected) in table {
        assert_eq!(effect(true, method, path, lines), expected, "{method} {path} {lines:?}");
    }
}

#[test]
fn only_a_trusted_gateway_is_believed() {
    assert_eq!(effect(false, "GET", PATH, &[("x-forwarded-method", "POST")]), Effect::Reads);
    assert_eq!(effect(false, "POST", PATH, &[("x-forwarded-method", "GET")]), Effect::MayChange);
    assert_eq!(effect(false, "GET", PATH, &[("upgrade", "websocket")]), Effect::MayChange);
    let uri = PATH.parse().unwrap();
    let headers = headers(&TOLD);
    let original = Original::new(&Method::GET, &uri, &headers, false);
    assert_eq!(original.return_address(&origins()), None);
}

#[test]
fn a_person_who_waits_for_a_page_is_told_from_a_program() {
    let is_navigation = |method: &str, path: &str, lines: Headers<'_>| {
        let (method, uri, headers) = (method.parse().unwrap(), path.parse().unwrap(), headers(lines));
        Original::new(&method, &uri, &headers, true).is_navigation()
    };
    let get = ("x-forwarded-method", "GET");
    assert!(is_navigation("GET", PATH, &[get, ("sec-fetch-mode", "navigate")]));
    assert!(is_navigation("GET", PATH, &[get, ("accept", "text/html,*/*;q=0.8")]));
    assert!(is_navigation("GET", "/auth/verify/x", &[("accept", "text/html")]));
    assert!(!is_navigation("GET", PATH, &[get, ("sec-fetch-mode", "cors"), ("accept", "text/html")]));
    assert!(!is_navigation("GET", PATH, &[get, ("accept", "application/json")]));
    assert!(!is_navigation("GET", PATH, &[("x-forwarded-method", "POST"), ("sec-fetch-mode", "navigate")]));
    assert!(!is_navigation("POST", "/auth/verify/x", &[("sec-fetch-mode", "navigate")]));
    assert!(!is_navigation("GET", PATH, &[("sec-fetch-mode", "navigate")]), "the method is not told");
    assert!(!is_navigation("GET", PATH, &[("x-original-method", "GET"), ("sec-fetch-mode", "navigate")]), "nginx");
}

const TOLD: [(&str, &str); 3] =
    [("x-forwarded-proto", "https"), ("x-forwarded-host", "app.example"), ("x-forwarded-uri", "/a?b=c")];

fn origins() -> Origins {
    let allowed = ["https://admin.example:8443".to_owned()];
    Origins::new("https://app.example", &allowed, false).unwrap()
}

fn return_address(path: &str, lines: Headers<'_>) -> Option<String> {
    let (uri, headers) = (path.parse().unwrap(), headers(lines));
    Original::new(&Method::GET, &uri, &headers, true).return_address(&origins())
}

#[test]
fn a_browser_returns_to_our_own_origins_only() {
    let with = |name: &'static str, value: &str| {
        let mut lines = TOLD.map(|(name, value)| (name, value.to_owned())).to_vec();
        lines.retain(|(other, _)| *other != name);
        lines.push((name, value.to_owned()));
        let lines: Vec<_> = lines.iter().map(|(name, value)| (*name, value.as_str())).collect();
        return_address(PATH, &lines)
    };
    assert_eq!(return_address(PATH, &TOLD).as_deref(), Some("/a?b=c"));
    assert_eq!(with("x-forwarded-host", "APP.example").as_deref(), Some("/a?b=c"));
    assert_eq!(with("x-forwarded-host", "admin.example:8443").as_deref(), Some("https://admin.example:8443/a?b=c"));
    let long = format!("/{}", "a".repeat(LONGEST_RETURN));
    for (name, value) in [
        ("x-forwarded-host", "evil.example"),
        ("x-forwarded-host", "app.example.evil.example"),
        ("x-forwarded-host", "app.example, evil.example"),
        ("x-forwarded-host", "admin.example"),
        ("x-forwarded-host", ""),
        ("x-forwarded-proto", "http"),
        ("x-forwarded-proto", "https,http"),
        ("x-forwarded-uri", "//evil.example/"),
        ("x-forwarded-uri", "/\\evil.example/"),
        ("x-forwarded-uri", "https://evil.example/"),
        ("x-forwarded-uri", "a"),
        ("x-forwarded-uri", ""),
        ("x-forwarded-uri", "/a b"),
        ("x-forwarded-uri", "/\u{fc}"),
        ("x-forwarded-uri", &long),
    ] {
        assert_eq!(with(name, value), None, "{name}: {value}");
    }
    let twice = [TOLD.as_slice(), &[("x-forwarded-host", "app.example")]].concat();
    assert_eq!(return_address(PATH, &twice), None);
}

#[test]
fn behind_envoy_the_original_address_is_the_path_below_ours() {
    let told = [("x-forwarded-proto", "https"), ("host", "app.example")];
    assert_eq!(return_address("/auth/verify/a?b=c", &told).as_deref(), Some("/a?b=c"));
    assert_eq!(return_address("/auth/verify", &told), None);
    assert_eq!(return_address("/auth/verify?b", &told), None);
    assert_eq!(return_address("/auth/verify//evil.example", &told), None);
    assert_eq!(return_address("/auth/verify/a", &[("x-forwarded-proto", "https"), ("host", "evil.example")]), None);
}
