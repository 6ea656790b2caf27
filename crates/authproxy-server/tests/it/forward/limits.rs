//! What a request's body may cost.

use authproxy_testing::{Answer, FakeUpstream, Play};
use bytes::Bytes;
use h2::Reason;
use http::Request;
use tokio::time::Duration;

use super::site::{Site, routes};
use crate::secure::Certified;

const LIMIT: u64 = 300_000;

fn upload(site: &Site, framing: &str) -> String {
    format!(
        "POST /api/up HTTP/1.1\r\nHost: a\r\nCookie: {}\r\nSec-Fetch-Site: same-origin\r\n{framing}\r\n\r\n",
        site.cookie
    )
}

#[tokio::test]
async fn a_body_over_the_cap_is_413_before_or_while_it_comes() {
    let site = Site::with_routes(|route| route.body_limit = LIMIT).await;
    let mut connection = site.connect().await;
    connection.send(upload(&site, &format!("Content-Length: {}", LIMIT + 1))).await;
    assert_eq!(connection.reply().await.status, 413);
    assert_eq!(site.count(), 0, "it was refused by its word alone");

    let mut connection = site.connect().await;
    connection.send(upload(&site, "Transfer-Encoding: chunked")).await;
    for _ in 0..5 {
        connection.send(format!("10000\r\n{}\r\n", "x".repeat(0x10000))).await;
    }
    assert_eq!(connection.reply().await.status, 413);
    assert!(site.upstream.requests_of("/api/up").iter().all(|request| !request.is_complete), "never a whole request");
    site.assert_serves().await;
}

#[tokio::test]
async fn a_body_that_just_fits_arrives() {
    let site = Site::with_routes(|route| route.body_limit = LIMIT).await;
    let reply = site.ask(&site.post("/api/up", &"x".repeat(usize::try_from(LIMIT).unwrap()))).await;
    assert_eq!(reply.status, 200);
    assert_eq!(site.received("/api/up").tally.length, LIMIT);
}

#[tokio::test]
async fn a_body_that_stops_is_408_and_the_upstream_never_sees_a_whole_request() {
    let site = Site::with_routes(|route| route.idle_timeout = Duration::from_millis(300)).await;
    for (framing, begin) in [
        ("Content-Length: 200000", "x".repeat(100_000)),
        ("Content-Length: 10", "12345".into()),
        ("Transfer-Encoding: chunked", "5\r\n12345\r\n".into()),
    ] {
        let mut connection = site.connect().await;
        connection.send(upload(&site, framing)).await;
        connection.send(begin).await;
        assert_eq!(connection.reply().await.status, 408, "{framing}");
        assert!(site.upstream.requests_of("/api/up").iter().all(|request| !request.is_complete), "{framing}");
        site.assert_serves().await;
    }
}

#[tokio::test]
async fn a_body_that_breaks_off_never_looks_complete_to_the_upstream() {
    let site = Site::start().await;
    for (framing, begin) in [
        ("Content-Length: 200000", "x".repeat(100_000)),
        ("Transfer-Encoding: chunked", "5\r\n12345\r\n".into()),
        ("Transfer-Encoding: chunked", format!("20000\r\n{}", "x".repeat(100_000))),
    ] {
        let mut connection = site.connect().await;
        connection.send(upload(&site, framing)).await;
        connection.send(begin).await;
        drop(connection);
        site.upstream.until_open_connections(0).await;
        assert!(site.upstream.requests_of("/api/up").iter().all(|request| !request.is_complete), "{framing}");
        site.assert_serves().await;
        site.upstream.refuse_connections().await;
        site.upstream.accept_connections().await;
    }
}

#[tokio::test]
async fn a_body_whose_stream_is_reset_never_looks_complete_to_the_upstream_either() {
    const HALF: Bytes = Bytes::from_static(b"half of it");
    let (upstream, certified) = (FakeUpstream::start().await, Certified::new("reset_body"));
    let proxy = certified.proxy(|config| config.route = routes(&upstream.url())).await;
    let mut seen = 0;
    for reason in [Reason::NO_ERROR, Reason::CANCEL, Reason::INTERNAL_ERROR] {
        for length in [None, Some("200000")] {
            let requests = certified.http2(proxy.address, 65_535).await.requests;
            let mut request = Request::post("https://localhost/open/up");
            if let Some(length) = length {
                request = request.header("content-length", length);
            }
            let (answer, mut body) =
                requests.ready().await.unwrap().send_request(request.body(()).unwrap(), false).unwrap();
            body.send_data(HALF, false).unwrap();
            seen += HALF.len() as u64;
            upstream.until_body_bytes(seen).await;
            body.send_reset(reason);
            upstream.until_open_connections(0).await;
            assert!(upstream.requests_of("/open/up").iter().all(|request| !request.is_complete), "{reason} {length:?}");
            drop(answer);
        }
    }
}

#[tokio::test]
async fn a_malformed_chunk_ends_the_request_at_the_upstream_too() {
    let site = Site::start().await;
    for chunks in
        ["5\r\n12345\r\n5;ext=1\r\n12345\r\n0\r\n\r\n", "5\r\n123456\r\n0\r\n\r\n", "5\r\n12345\r\nx\r\n", "-5\r\n"]
    {
        let mut connection = site.connect().await;
        connection.send(upload(&site, "Transfer-Encoding: chunked")).await;
        connection.send(chunks).await;
        let status = connection.closed_or_answered().await;
        assert!(status.is_none_or(|status| status == 400), "{chunks:?}: {status:?}");
        assert!(site.upstream.requests_of("/api/up").iter().all(|request| !request.is_complete), "{chunks:?}");
        site.assert_serves().await;
    }
}

#[tokio::test]
async fn methods_that_a_route_does_not_serve_reach_no_upstream() {
    let site = Site::with_routes(|route| route.methods = vec!["GET".parse().unwrap()]).await;
    site.upstream.on("/api/m", Play::answer(Answer::json(200, "{}")));
    let reply = site.ask(&site.post("/api/m", "x")).await;
    assert_eq!((reply.status, reply.header("allow").is_some_and(|allow| allow.contains("GET"))), (405, true));
    assert_eq!(site.count(), 0);
    site.assert_serves().await;
}
