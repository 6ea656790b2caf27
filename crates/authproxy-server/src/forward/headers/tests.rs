#![allow(clippy::unwrap_used)]

use super::*;
use http::header::ACCESS_CONTROL_ALLOW_ORIGIN;

use crate::origin::Origins;

const COOKIE_OF_OURS: SessionCookie = SessionCookie::new(false);

fn route() -> RouteConfig {
    RouteConfig::new("/api", "http://10.0.0.9:81".parse().unwrap())
}

fn map(fields: &[(&str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in fields {
        headers.append(HeaderName::try_from(*name).unwrap(), HeaderValue::try_from(*value).unwrap());
    }
    headers
}

/// What the upstream gets of these fields, without what is always added.
fn forwarded(route: &RouteConfig, trusted: bool, fields: &[(&str, &str)]) -> Vec<(String, String)> {
    forwarded_beside(std::slice::from_ref(route), trusted, fields)
}

/// The same on the first of several routes.
fn forwarded_beside(routes: &[RouteConfig], trusted: bool, fields: &[(&str, &str)]) -> Vec<(String, String)> {
    let browsers = map(fields);
    let id = RequestId::of(&browsers);
    let upgrade = upgrade(&browsers, Version::HTTP_11);
    let authority = HeaderValue::from_static("10.0.0.9:81");
    let peer = Peer::new("[::ffff:192.0.2.7]:5".parse().unwrap(), false);
    let onward = Onward {
        route: &routes[0],
        own_names: &Names::about_the_asker(routes),
        cookie: COOKIE_OF_OURS,
        peer: &peer,
        peer_is_trusted: trusted,
        id: &id,
        version: Version::HTTP_11,
        upgrade: upgrade.as_ref(),
        host: "app.example",
        authority: &authority,
    };
    let mut headers = HeaderMap::new();
    onward.request(&browsers, None, &mut |name, value| _ = headers.append(name, value.to_header()));
    for always in ["via", "x-request-id", "traceparent"] {
        assert!(headers.remove(always).is_some(), "{always}");
    }
    let text = |(name, value): (&HeaderName, &HeaderValue)| (name.to_string(), value.to_str().unwrap().to_owned());
    let mut left: Vec<_> = headers.iter().map(text).collect();
    left.sort();
    left
}

fn with_ours(fields: &[(&str, &str)]) -> Vec<(String, String)> {
    let ours = [
        ("host", "10.0.0.9:81"),
        ("x-forwarded-for", "192.0.2.7"),
        ("x-forwarded-host", "app.example"),
        ("x-forwarded-proto", "http"),
    ];
    let mut all: Vec<_> = ours.iter().chain(fields).map(|(name, value)| ((*name).into(), (*value).into())).collect();
    all.sort();
    all
}

#[test]
fn what_only_we_may_say_is_dropped_by_every_spelling() {
    for name in [
        "x-forwarded-for",
        "x-forwarded-user",
        "x_forwarded_for",
        "forwarded",
        "x-real-ip",
        "x-original-url",
        "x-auth-request-user",
        "x-auth-request_email",
        "remote-user",
        "remote_user",
        "x-user",
        "x_user",
        "x-user-id",
        "client-cert",
        "authorization",
        "any_name",
    ] {
        let fields = [(name, "evil"), (name, "evil too"), ("accept", "*/*")];
        assert_eq!(forwarded(&route(), false, &fields), with_ours(&[("accept", "*/*")]), "{name}");
    }
}

#[test]
fn what_another_route_says_about_the_user_is_dropped_by_every_spelling_too() {
    let (mut here, mut other) = (route(), route());
    here.access = RouteAccess::Public;
    here.underscore_headers = ["x_who", "x_roles", "x_token", "api_key"].map(HeaderName::from_static).to_vec();
    other.user_header = Some(HeaderName::from_static("x-who"));
    other.token_header = Some(HeaderName::from_static("x-token"));
    other.claim_headers = vec![(HeaderName::from_static("x_roles"), "roles".into())];
    let routes = [here, other];
    for name in ["x-who", "x_who", "x-token", "x_token", "x-roles", "x_roles"] {
        assert_eq!(forwarded_beside(&routes, true, &[(name, "evil")]), with_ours(&[]), "{name}");
    }
    let honest = [("api_key", "k"), ("authorization", "Bearer mine")];
    assert_eq!(forwarded_beside(&routes, false, &honest), with_ours(&honest));
}

#[test]
fn a_trusted_gateway_is_believed_about_the_way_but_not_about_the_user() {
    let fields = [
        ("x-forwarded-for", "203.0.113.1"),
        ("x-forwarded-proto", "https"),
        ("x-forwarded-host", "www.example"),
        ("x-auth-request-user", "admin"),
    ];
    let left = forwarded(&route(), true, &fields);
    let expected = [
        ("host", "10.0.0.9:81"),
        ("x-forwarded-for", "203.0.113.1, 192.0.2.7"),
        ("x-forwarded-host", "www.example"),
        ("x-forwarded-proto", "https"),
    ];
    assert_eq!(left, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
}

#[test]
fn no_peer_takes_our_fields_away_by_naming_them() {
    let fields = [
        ("connection", "authorization, x-forwarded-for, host, x-mine, close"),
        ("x-mine", "1"),
        ("keep-alive", "timeout=5"),
        ("te", "gzip"),
        ("proxy-authorization", "Basic x"),
        ("http2-settings", "x"),
        ("upgrade", "h2c"),
        ("expect", "100-continue"),
    ];
    assert_eq!(forwarded(&route(), false, &fields), with_ours(&[]));
}

#[test]
fn trailers_and_wanted_upgrades_cross() {
    let fields = [("te", "gzip, trailers;q=0.5"), ("trailer", "checksum")];
    assert_eq!(forwarded(&route(), false, &fields), with_ours(&[("te", "trailers"), ("trailer", "checksum")]));
    let fields = [("connection", "keep-alive, Upgrade"), ("upgrade", "websocket"), ("sec-websocket-key", "k")];
    let expected = [("connection", "upgrade"), ("upgrade", "websocket"), ("sec-websocket-key", "k")];
    assert_eq!(forwarded(&route(), false, &fields), with_ours(&expected));
}

#[test]
fn our_cookie_goes_and_the_others_stay_byte_for_byte() {
    for (lines, expected) in [
        (&["a=1; session_id=secret; b=\"2\""][..], Some("a=1; b=\"2\"")),
        (&["session_id=secret"], None),
        (&["session_id=secret;session_id=other"], None),
        (&[" session_id =x; a=%20=="], Some("a=%20==")),
        (&["a=1", "session_id=x", "b=2"], Some("a=1; b=2")),
        (&["my_session_id=x"], Some("my_session_id=x")),
        (&["session_id"], None),
    ] {
        let fields: Vec<_> = lines.iter().map(|line| ("cookie", *line)).collect();
        let cookie = expected.map(|value| ("cookie", value));
        assert_eq!(forwarded(&route(), false, &fields), with_ours(cookie.as_slice()), "{lines:?}");
    }
}

#[test]
fn the_routes_own_words_come_last() {
    let mut route = route();
    route.add_request_headers = vec![(HeaderName::from_static("x-team"), HeaderValue::from_static("blue"))];
    route.remove_request_headers = vec![HeaderName::from_static("x-debug")];
    route.user_header = Some(HeaderName::from_static("x-who"));
    route.preserve_host = true;
    let fields = [("x-team", "red"), ("x-debug", "1"), ("x-who", "admin")];
    let left = forwarded(&route, false, &fields);
    assert!(left.contains(&("x-team".into(), "blue".into())) && left.contains(&("host".into(), "app.example".into())));
    assert!(!left.iter().any(|(name, _)| name == "x-debug" || name == "x-who"), "{left:?}");
}

fn answered(access: RouteAccess, origin: Option<&str>, fields: &[(&str, &str)]) -> HeaderMap {
    let mut route = route();
    route.access = access;
    let origins = Origins::new("https://app.example", &[], false).unwrap();
    let request = map(origin.map(|origin| ("origin", origin)).as_slice());
    let mut headers = map(fields);
    answer(&mut headers, &route, COOKIE_OF_OURS, Version::HTTP_11, &request, &origins);
    headers
}

#[test]
fn an_answer_to_a_session_is_never_shared() {
    for (upstream, expected) in [
        (&[][..], "private, no-cache"),
        (&["public, max-age=60"], "private, max-age=60"),
        (&["s-maxage=9", "max-age=1"], "private, max-age=1"),
        (&["no-store"], "private, no-store"),
        (&["Public"], "private, no-cache"),
        (&["private"], "private, no-cache"),
    ] {
        let fields: Vec<_> = upstream.iter().map(|value| ("cache-control", *value)).collect();
        let headers = answered(RouteAccess::Session, None, &fields);
        assert_eq!(headers[CACHE_CONTROL], expected, "{upstream:?}");
        assert_eq!(headers.get_all(CACHE_CONTROL).iter().count(), 1);
    }
    let public = answered(RouteAccess::Public, None, &[("cache-control", "public, max-age=60")]);
    assert_eq!(public[CACHE_CONTROL], "public, max-age=60");
    for name in [
        "cdn-cache-control",
        "cloudflare-cdn-cache-control",
        "netlify-cdn-cache-control",
        "surrogate-control",
        "edge-control",
        "x-accel-expires",
    ] {
        let shared = answered(RouteAccess::Session, None, &[(name, "max-age=60")]);
        assert!(!shared.contains_key(name), "{name}");
        assert_eq!(shared[CACHE_CONTROL], "private, no-cache", "{name}");
    }
    let other = answered(RouteAccess::Session, None, &[("x-dns-prefetch-control", "off")]);
    assert_eq!(other["x-dns-prefetch-control"], "off");
}

#[test]
fn an_upstream_sets_cookies_but_not_ours() {
    let theirs = ["a=1; Path=/", "session_id2=x", "=a=session_id", "=", ""];
    let ours =
        ["session_id=fixed", " session_id =fixed", "session_id", "=session_id=fixed", "= \t=session_id=fixed; Path=/"];
    let fields: Vec<_> = ours.iter().chain(&theirs).map(|cookie| ("set-cookie", *cookie)).collect();
    let headers = answered(RouteAccess::Public, None, &fields);
    let cookies: Vec<_> = headers.get_all(SET_COOKIE).iter().collect();
    assert_eq!(cookies, theirs);
}

#[test]
fn other_origins_do_not_read_what_a_session_is_answered() {
    let fields =
        [("access-control-allow-origin", "https://evil.example"), ("access-control-allow-credentials", "true")];
    let is_open =
        |origin, fields: &[_]| answered(RouteAccess::Session, origin, fields).contains_key(ACCESS_CONTROL_ALLOW_ORIGIN);
    assert!(!is_open(Some("https://evil.example"), &fields));
    assert!(is_open(Some("https://app.example"), &fields));
    assert!(!is_open(None, &[("access-control-allow-origin", "*")]));
}
