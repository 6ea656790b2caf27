//! What of an upstream's answer reaches the browser, and how whole (cases 12 and 16 of the edge).

use authproxy_testing::{Answer, CutPoint, Play};

use super::site::Site;
use crate::harness::Ask;

#[tokio::test]
async fn answers_of_a_session_are_never_for_a_shared_cache() {
    let site = Site::start().await;
    let mut connection = site.connect().await;
    for control in [
        None,
        Some("public"),
        Some("public, max-age=31536000, immutable"),
        Some("s-maxage=600"),
        Some("PUBLIC , S-MaxAge = 600"),
        Some("max-age=600, proxy-revalidate"),
        Some("private=\"set-cookie\", max-age=60"),
        Some("no-store"),
        Some("no-cache"),
        Some("public=\"x, y\", s-maxage=\"60\""),
        Some(""),
    ] {
        for status in [200, 203, 301, 404, 500] {
            let mut answer = Answer::json(status, "{}").with_header("expires", "Thu, 31 Dec 2099 23:59:59 GMT");
            for name in ["surrogate-control", "cdn-cache-control", "cloudflare-cdn-cache-control"] {
                answer = answer.with_header(name, "max-age=600");
            }
            if let Some(control) = control {
                answer = answer.with_header("cache-control", control).with_header("cache-control", "public");
            }
            for path in ["/api/c", "/bearer/c"] {
                site.upstream.on(path, Play::answer(answer.clone()));
                let reply = connection.ask(&site.get(path).header("authorization", "Bearer a")).await;
                assert_eq!(reply.status, status);
                assert_private(&reply.values("cache-control"), control);
                for name in ["surrogate-control", "cdn-cache-control", "cloudflare-cdn-cache-control"] {
                    assert_eq!(reply.header(name), None, "{name}");
                }
            }
        }
    }
    site.assert_serves_on(&mut connection).await;
    site.assert_serves().await;
}

/// Directives as a cache reads them (RFC 9111, section 5.2).
fn assert_private(values: &[&str], said: Option<&str>) {
    let all = values.join(",").to_ascii_lowercase();
    let names: Vec<_> = all.split(',').map(|item| item.split('=').next().unwrap().trim()).collect();
    assert!(names.contains(&"private") || names.contains(&"no-store"), "{said:?}: {all}");
    for shared in ["public", "s-maxage", "proxy-revalidate"] {
        assert!(!names.contains(&shared), "{said:?}: {all}");
    }
    // A `private` with a list of fields lets the rest be shared (section 5.2.2.7).
    assert!(!all.contains("private="), "{said:?}: {all}");
}

#[tokio::test]
async fn errors_of_ours_on_session_routes_are_not_cacheable_either() {
    let site = Site::start().await;
    site.upstream.on("/api/c", Play::cut(CutPoint::BeforeHead));
    for ask in [site.get("/api/c"), Ask::get("/api/c"), Ask::get("/api/c").cookie("session_id=junk")] {
        let reply = site.ask(&ask).await;
        assert!([401, 502].contains(&reply.status));
        assert_private(&reply.values("cache-control"), None);
        assert_eq!(reply.header("x-content-type-options"), Some("nosniff"));
    }
}

#[tokio::test]
async fn a_public_route_may_be_cached_as_its_upstream_says() {
    let site = Site::start().await;
    site.upstream
        .on("/open/c", Play::answer(Answer::json(200, "{}").with_header("cache-control", "public, max-age=60")));
    for ask in [Ask::get("/open/c"), site.get("/open/c")] {
        assert_eq!(site.ask(&ask).await.header("cache-control"), Some("public, max-age=60"));
    }
}

#[tokio::test]
async fn other_origins_cannot_read_what_a_session_answers() {
    let site = Site::start().await;
    for (allow, credentials) in [("*", "true"), ("https://evil.example", "true"), ("null", "true")] {
        let answer = Answer::json(200, "{}")
            .with_header("access-control-allow-origin", allow)
            .with_header("access-control-allow-credentials", credentials);
        site.upstream.on("/api/c", Play::answer(answer));
        let reply = site.ask(&site.get("/api/c").header("origin", "https://evil.example")).await;
        assert_eq!(reply.header("access-control-allow-credentials"), None, "{allow}");
        assert_eq!(reply.header("access-control-allow-origin"), None, "{allow}");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_never_looks_complete() {
    let site = Site::start().await;
    for at in CutPoint::ALL {
        for play in [Play::cut(at), Play::reset(at)] {
            for path in ["/api/c", "/open/c"] {
                site.upstream.next(path, play.clone());
                let mut connection = site.connect().await;
                let reply = connection.ask(&site.get(path)).await;
                match at {
                    CutPoint::BeforeHead | CutPoint::InHead => assert_eq!(reply.status, 502, "{at:?}"),
                    _ if reply.status == 502 => {}
                    _ => {
                        assert!(!reply.is_complete, "{at:?}: {reply:?}");
                        assert!("0123456789".as_bytes().starts_with(&reply.body), "{at:?}: {reply:?}");
                        assert_eq!(connection.closed().await, b"", "nothing follows");
                    }
                }
                site.assert_serves().await;
            }
        }
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_told_to_old_peers_too() {
    let site = Site::start().await;
    site.upstream.next("/open/c", Play::cut(CutPoint::BeforeLastChunk));
    let mut connection = site.connect().await;
    connection.send("GET /open/c HTTP/1.0\r\nHost: a\r\n\r\n").await;
    let head = connection.head().await;
    // Without chunks the end of the connection is the end of the body: only a reset tells that it is none.
    if head.status == 200 && head.header("content-length").is_none() {
        assert!(connection.exactly(11).await.is_err_and(|error| error.kind() == std::io::ErrorKind::ConnectionReset));
    }
    site.assert_serves().await;
}

#[tokio::test]
async fn headers_of_one_hop_stay_there_and_the_rest_of_an_answer_crosses() {
    let site = Site::start().await;
    let answer = Answer::new(418, "text/plain", "short and stout")
        .with_header("connection", "x-hop, keep-alive")
        .with_header("x-hop", "gone")
        .with_header("keep-alive", "timeout=5")
        .with_header("proxy-authenticate", "Basic")
        .with_header("upgrade", "h2c")
        .with_header("x-end", "a")
        .with_header("x-end", "b")
        .with_header("content-encoding", "br")
        .with_header("etag", "W/\"1\"")
        .with_header("vary", "accept, accept-encoding");
    site.upstream.on("/api/a", Play::answer(answer));
    let mut connection = site.connect().await;
    let reply = connection.ask(&site.get("/api/a")).await;
    assert_eq!((reply.status, reply.text()), (418, "short and stout"));
    for name in ["x-hop", "keep-alive", "proxy-authenticate", "upgrade"] {
        assert_eq!(reply.header(name), None, "{name}");
    }
    assert_eq!(reply.values("x-end"), ["a", "b"]);
    assert_eq!(reply.header("content-encoding"), Some("br"), "compressed bodies are not touched");
    assert_eq!((reply.header("etag"), reply.header("vary")), (Some("W/\"1\""), Some("accept, accept-encoding")));
    site.assert_serves_on(&mut connection).await;
}
