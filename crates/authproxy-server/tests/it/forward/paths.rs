//! Which route a path leads to, and which path its upstream gets (cases 6 and 7 of the edge).

use authproxy_server::config::{RouteAccess, RouteConfig};
use authproxy_testing::{Answer, FakeUpstream, Play};

use super::{client::Client, site::Site};
use crate::harness::{Ask, Proxy};

/// `/` is for everyone, `/admin` and `/api/admin` are for those with a session: each on an upstream of its own.
struct Guarded {
    open: FakeUpstream,
    protected: FakeUpstream,
    proxy: Proxy,
}

impl Guarded {
    async fn start() -> Self {
        let (open, protected) = (FakeUpstream::start().await, FakeUpstream::start().await);
        let (open_url, protected_url) = (open.url(), protected.url());
        let proxy = Proxy::with(|config| {
            let mut all = RouteConfig::new("/", open_url.parse().unwrap());
            all.access = RouteAccess::Public;
            config.route = vec![
                all,
                RouteConfig::new("/admin", protected_url.parse().unwrap()),
                RouteConfig::new("/api/admin", protected_url.parse().unwrap()),
            ];
        })
        .await;
        Self { open, protected, proxy }
    }

    async fn status(&self, target: &str) -> u16 {
        let mut connection = Client::open(self.proxy.address).await;
        connection.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        connection.reply().await.status
    }
}

/// What an upstream may make of a path: every escape undone, time and again, and the rest tidied up.
fn as_lenient_upstreams_read(path: &str) -> String {
    let mut bytes = path.as_bytes().to_vec();
    for _ in 0..3 {
        let mut once = Vec::new();
        let mut at = 0;
        while at < bytes.len() {
            let escaped = std::str::from_utf8(&bytes[at..]).ok().and_then(|rest| rest.get(1..3));
            let byte = escaped.filter(|_| bytes[at] == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok());
            once.push(byte.unwrap_or(bytes[at]));
            at += if byte.is_some() { 3 } else { 1 };
        }
        bytes = once;
    }
    let text = String::from_utf8_lossy(&bytes).replace('\\', "/").to_lowercase();
    let mut segments = Vec::new();
    for segment in text.split('\0').next().unwrap().split('/').map(|segment| segment.split(';').next().unwrap()) {
        match segment {
            "" | "." => {}
            ".." => drop(segments.pop()),
            name => segments.push(name),
        }
    }
    format!("/{}", segments.join("/"))
}

#[tokio::test]
async fn there_is_no_way_round_a_protected_prefix() {
    let site = Guarded::start().await;
    for target in [
        "/admin",
        "/admin/",
        "/admin/x",
        "/admin?x=/open",
        "/api/admin/x",
        "//admin",
        "///admin/x",
        "/./admin",
        "/x/../admin",
        "/x/..//admin",
        "/%2e/admin",
        "/x/%2e%2e/admin",
        "/x/%2E%2E%2Fadmin",
        "/x/.%2e/admin",
        "/x/..%2fadmin",
        "/x%2f..%2fadmin",
        "/x/..%5cadmin",
        "/%5cadmin",
        "/%2fadmin",
        "/%2Fadmin/x",
        "/admin%2fx",
        "/admin%5cx",
        "/admin%00",
        "/%00/admin",
        "/admin%0a",
        "/admin;x",
        "/admin;x=1/y",
        "/;/admin",
        "/;x/admin",
        "/x/..;/admin",
        "/x/..;a=b/admin",
        "/x/%2e%2e;/admin",
        "/Admin",
        "/ADMIN/x",
        "/%61dmin",
        "/%41dmin",
        "/adm%69n/x",
        "/%2561dmin",
        "/%25%36%31dmin",
        "/%252e%252e/admin",
        "/x/%252e%252e/admin",
        "/%252fadmin",
        "/%c0%afadmin",
        "/x/%c0%ae%c0%ae/admin",
        "/x/%e0%80%ae%e0%80%ae/admin",
        "/%f0%80%80%afadmin",
        "/%u002fadmin",
        "/%u0061dmin",
        "/api//admin",
        "/api/./admin",
        "/api/x/../admin",
        "/api/%61dmin",
        "/api%2fadmin",
        "/api%5cadmin",
        "/api;v=1/admin",
        "/api/;/admin",
        "/API/admin",
        "/api/Admin/x",
        "/api/admin%3bx",
        "/api/admin%23",
        "/api/admin%3f",
        "http://a//admin",
        "http://a/x/../admin",
        "http://a/%61dmin",
    ] {
        let status = site.status(target).await;
        assert!([400, 401].contains(&status), "{target}: {status}");
    }
    assert!(site.protected.requests().is_empty());
    for request in site.open.requests() {
        let read = as_lenient_upstreams_read(request.path());
        assert!(!read.starts_with("/admin") && !read.starts_with("/api/admin"), "{}", request.target());
    }
    let cookie = site.proxy.log_in().await;
    assert_eq!(site.proxy.ask(&Ask::get("/admin/x").cookie(&cookie)).await.status, 200);
    assert_eq!(site.protected.requests().len(), 1);
    assert_eq!(site.status("/administrator").await, 200);
    assert_eq!(site.status("/x/admin").await, 200);
}

#[tokio::test]
async fn ambiguous_paths_are_400_and_nobody_sees_them() {
    let site = Guarded::start().await;
    for target in [
        "/a/../b",
        "/a/..",
        "/a/./b",
        "/a/%2e%2e/b",
        "/a/..;/b",
        "/a%5c..%5cb",
        "/a%00b",
        "/a%0d%0ab",
        "/%c0%ae%c0%ae/b",
        "/a%",
        "/a%2",
        "/a%zz",
        "/%fe%ff",
    ] {
        let mut connection = Client::open(site.proxy.address).await;
        connection.send(format!("GET {target} HTTP/1.1\r\nHost: a\r\n\r\n")).await;
        let reply = connection.reply().await;
        assert_eq!((reply.status, reply.detail().as_str()), (400, "Ambiguous path"), "{target}");
        connection.send("GET /good HTTP/1.1\r\nHost: a\r\n\r\n").await;
        assert_eq!(connection.reply().await.status, 200, "the same connection serves on");
    }
    assert!(site.open.requests().iter().all(|request| request.path() == "/good"));
}

#[tokio::test]
async fn the_upstream_gets_the_canonical_path_and_the_query_byte_for_byte() {
    let site = Site::start().await;
    let mut connection = site.connect().await;
    for (target, expected) in [
        ("/api", "/api"),
        ("/api/", "/api/"),
        ("/api?", "/api?"),
        ("/api/a%2Fb", "/api/a%2Fb"),
        ("/api/a%2fb", "/api/a%2Fb"),
        ("/api/%7euser", "/api/~user"),
        ("/api/caf%c3%a9", "/api/caf%C3%A9"),
        ("/api/a%20b+c", "/api/a%20b+c"),
        ("/api/100%25", "/api/100%25"),
        ("/%61pi/x", "/api/x"),
        ("/api/x//y", "/api/x//y"),
        ("/api/x;v=1/y", "/api/x;v=1/y"),
        ("/api/q?a=b&a=%2f%2F&&=;../..//%00%zz%", "/api/q?a=b&a=%2f%2F&&=;../..//%00%zz%"),
        ("/api/q?http://evil.example/../admin?x", "/api/q?http://evil.example/../admin?x"),
        ("/api/q?%2e%2e=%c0%ae&x=%u0041", "/api/q?%2e%2e=%c0%ae&x=%u0041"),
    ] {
        assert_eq!(connection.ask(&site.get(target)).await.status, 200, "{target}");
        assert_eq!(site.upstream.requests().last().unwrap().target(), expected, "{target}");
    }
    site.assert_serves_on(&mut connection).await;
    site.assert_serves().await;
}

#[tokio::test]
async fn a_rewrite_makes_neither_a_host_nor_a_way_up() {
    let upstream = FakeUpstream::start().await;
    let (url, base) = (upstream.url(), format!("{}/base", upstream.url()));
    let proxy = Proxy::with(|config| {
        let route = |prefix: &str, url: &str, strip, rewrite: Option<&str>| {
            let mut route = RouteConfig::new(prefix, url.parse().unwrap());
            (route.strip_prefix, route.rewrite_prefix) = (strip, rewrite.map(str::to_owned));
            route.access = RouteAccess::Public;
            route
        };
        config.route = vec![
            route("/strip", &url, true, None),
            route("/rewrite", &url, false, Some("/v2")),
            route("/root", &url, false, Some("/")),
            route("/base", &base, true, None),
        ];
    })
    .await;
    for (target, expected) in [
        ("/strip", Some("/")),
        ("/strip/", Some("/")),
        ("/strip?q", Some("/?q")),
        ("/strip/a/b?q=/../", Some("/a/b?q=/../")),
        ("/rewrite", Some("/v2")),
        ("/rewrite/a", Some("/v2/a")),
        ("/root/a", Some("/a")),
        ("/root", Some("/")),
        ("/base/a", Some("/base/a")),
        ("/strip//evil.example", None),
        ("/strip//evil.example/%2e%2e", None),
        ("/strip/%2fevil.example", None),
        ("/strip/%5cevil.example", None),
        ("/strip/%5c%5cevil.example", None),
        ("/strip/..", None),
        ("/strip/%2e%2e/a", None),
        ("/strip..", Some("404")),
        ("/root//evil.example", None),
        ("/base/../a", None),
        ("/base/..%2fa", None),
    ] {
        let before = upstream.requests().len();
        let status = proxy.ask(&Ask::get(target)).await.status;
        let got: Vec<_> = upstream.requests()[before..].iter().map(|request| request.target().to_owned()).collect();
        match expected {
            Some("404") => assert_eq!((status, got.len()), (404, 0), "{target}"),
            Some(expected) => assert_eq!((status, got), (200, vec![expected.to_owned()]), "{target}"),
            None => {
                let harmless = |target: &String| {
                    let read = as_lenient_upstreams_read(target);
                    !target.starts_with("//")
                        && !target.starts_with("/\\")
                        && !read.contains("..")
                        && !target.to_lowercase().starts_with("/%2f")
                        && !target.to_lowercase().starts_with("/%5c")
                };
                assert!(status == 400 || got.iter().all(harmless), "{target}: {status} {got:?}");
            }
        }
    }
}

#[tokio::test]
async fn a_redirect_is_passed_on_and_never_followed() {
    let elsewhere = FakeUpstream::start().await;
    let site = Site::start().await;
    let mut connection = site.connect().await;
    for status in [301, 302, 303, 307, 308] {
        for location in [format!("{}/steal", elsewhere.url()), "/api/next".into(), "//evil.example/".into()] {
            site.upstream.on("/api/r", Play::answer(Answer::json(status, "{}").with_header("location", &location)));
            let reply = connection.ask(&site.get("/api/r")).await;
            assert_eq!((reply.status, reply.header("location")), (status, Some(location.as_str())));
        }
    }
    assert_eq!(elsewhere.connections(), 0);
    assert!(site.upstream.requests_of("/api/next").is_empty());
    assert!(site.upstream.requests().iter().all(|request| request.path() == "/api/r"));
    site.assert_serves_on(&mut connection).await;
}

#[tokio::test]
async fn no_target_leads_to_an_upstream_that_is_not_configured() {
    let elsewhere = FakeUpstream::start().await;
    let site = Site::start().await;
    let addr = elsewhere.addr();
    for head in [
        format!("GET http://{addr}/api/x HTTP/1.1\r\nHost: {addr}\r\n"),
        format!("GET /api/x HTTP/1.1\r\nHost: {addr}\r\n"),
        format!("GET /api/http://{addr}/ HTTP/1.1\r\nHost: a\r\n"),
        format!(
            "GET /api/x?url=http://{addr}/ HTTP/1.1\r\nHost: a\r\nX-Forwarded-Host: {addr}\r\nX-Original-Url: http://{addr}/\r\n"
        ),
        format!("GET /api//{addr}/ HTTP/1.1\r\nHost: a\r\n"),
    ] {
        let mut connection = site.connect().await;
        connection.send(format!("{head}Cookie: {}\r\n\r\n", site.cookie)).await;
        assert!([200, 400].contains(&connection.reply().await.status), "{head}");
    }
    assert_eq!(elsewhere.connections(), 0);
    site.assert_serves().await;
}

#[tokio::test]
async fn our_own_endpoints_come_before_routes() {
    let upstream = FakeUpstream::start().await;
    let url = upstream.url();
    let proxy = Proxy::with(|config| {
        let mut all = RouteConfig::new("/", url.parse().unwrap());
        all.access = RouteAccess::Public;
        config.route = vec![all];
    })
    .await;
    let cookie = proxy.log_in().await;
    assert_eq!(proxy.ask(&Ask::get("/session").cookie(&cookie)).await.status, 200);
    assert_eq!(proxy.ask(&Ask::new("PUT", "/session").cookie(&cookie)).await.status, 405);
    for target in ["/%73ession", "//session", "/session/", "/session;x", "/Session", "/x/../login", "/%6cogin"] {
        proxy.ask(&Ask::get(target).cookie(&cookie)).await;
    }
    let secret = cookie.split_once('=').unwrap().1;
    assert!(upstream.requests().iter().all(|request| !request.contains(secret) && request.path() != "/session"));
    assert_eq!(proxy.ask(&Ask::get("/page")).await.status, 200);
}
