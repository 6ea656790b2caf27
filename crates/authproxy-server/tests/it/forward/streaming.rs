//! Bodies on their way: as they come, as fast as the other end takes them, and whole. (A gibibyte each way in flat memory
//! is the black box's.)

use authproxy_testing::{Answer, EventStream, Gate, Pattern, Play, Step, Tally, Tallying};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    time::{Duration, timeout},
};

use super::{client::PATIENCE, site::Site};
use crate::harness::Ask;

const MIB: u64 = 1024 * 1024;

#[tokio::test]
async fn an_event_arrives_before_the_next_is_sent() {
    let site = Site::start().await;
    let events = EventStream::new();
    site.upstream.on("/api/events", Play::events(&events));
    let mut connection = site.connect().await;
    connection.send(site.get("/api/events").header("accept", "text/event-stream").bytes()).await;
    let mut head = connection.head().await;
    assert_eq!((head.status, head.header("content-type")), (200, Some("text/event-stream")));
    for number in 0..20 {
        events.send(&number.to_string());
        let event = connection.chunk(&mut head).await.unwrap().unwrap();
        assert_eq!(event, format!("data: {number}\n\n").as_bytes());
    }
    events.end();
    assert_eq!(connection.chunk(&mut head).await.unwrap(), None);
    site.assert_serves_on(&mut connection).await;
}

#[tokio::test]
async fn a_reader_who_hangs_up_ends_the_stream_at_the_upstream() {
    let site = Site::start().await;
    let events = EventStream::new();
    site.upstream.on("/api/events", Play::events(&events));
    let mut connection = site.connect().await;
    connection.send(site.get("/api/events").bytes()).await;
    connection.head().await;
    events.until_listeners(1).await;
    drop(connection);
    events.until_listeners(0).await;
    site.assert_serves().await;
}

#[tokio::test]
async fn a_caller_who_hangs_up_while_the_upstream_thinks_ends_the_request_there() {
    let site = Site::start().await;
    site.upstream.on("/api/long", Play::never());
    let mut connection = site.connect().await;
    connection.send(site.get("/api/long").bytes()).await;
    site.upstream.until_requests("/api/long", 1).await;
    drop(connection);
    site.upstream.until_open_connections(0).await;
    site.assert_serves().await;
}

#[tokio::test]
async fn the_first_half_of_a_body_arrives_while_the_second_is_held() {
    let site = Site::start().await;
    let gate = Gate::new();
    site.upstream.on("/api/slow", Play::held_in_body(&gate, &Answer::json(200, "0123456789")));
    let mut connection = site.connect().await;
    connection.send(site.get("/api/slow").bytes()).await;
    let head = connection.head().await;
    assert_eq!(head.header("content-length"), Some("10"));
    assert_eq!(connection.exactly(5).await.unwrap(), b"01234");
    gate.release();
    assert_eq!(connection.exactly(5).await.unwrap(), b"56789");
    site.assert_serves_on(&mut connection).await;
}

#[tokio::test]
async fn a_request_body_reaches_the_upstream_while_it_is_still_being_sent() {
    let site = Site::start().await;
    let mut connection = site.connect().await;
    let head = format!(
        "POST /api/up HTTP/1.1\r\nHost: a\r\nCookie: {}\r\nSec-Fetch-Site: same-origin\r\nTransfer-Encoding: chunked\r\n\r\n",
        site.cookie
    );
    connection.send(head).await;
    for count in 1..=5 {
        connection.send(format!("5\r\npart{count}\r\n")).await;
        let arrived = timeout(PATIENCE, site.upstream.until_body_bytes(count * 5)).await;
        arrived.expect("the part arrives before the next is sent");
    }
    connection.send("0\r\n\r\n").await;
    assert_eq!(connection.reply().await.status, 200);
    assert_eq!(site.received("/api/up").body(), b"part1part2part3part4part5");
    site.assert_serves_on(&mut connection).await;
}

#[tokio::test]
async fn large_bodies_arrive_byte_for_byte_both_ways_and_framed_as_they_were() {
    const LENGTH: u64 = 9 * MIB + 12_345;
    let site = Site::start().await;
    site.upstream.on("/api/down", Play::download(LENGTH));
    for chunked in [false, true] {
        let mut connection = site.connect().await;
        let framing =
            if chunked { "Transfer-Encoding: chunked".to_owned() } else { format!("Content-Length: {LENGTH}") };
        let fields = format!("Host: a\r\nCookie: {}\r\nSec-Fetch-Site: same-origin\r\n{framing}", site.cookie);
        connection.send(format!("PUT /api/up HTTP/1.1\r\n{fields}\r\n\r\n")).await;
        let mut pattern = Pattern::new(LENGTH);
        while let Some(block) = pattern.next_block() {
            if chunked {
                connection.send(format!("{:x}\r\n", block.len())).await;
            }
            connection.send(block).await;
            if chunked {
                connection.send("\r\n").await;
            }
        }
        if chunked {
            connection.send("0\r\n\r\n").await;
        }
        assert_eq!(connection.reply().await.status, 200);
        let requests = site.upstream.requests_of("/api/up");
        let request = requests.last().unwrap();
        assert!(request.is_complete);
        assert_eq!(request.tally, Tally::of_pattern(LENGTH));
        assert_eq!(request.header("content-length").is_some(), !chunked);

        let reply = connection.ask(&site.get("/api/down")).await;
        assert_eq!(reply.header("content-length"), Some(LENGTH.to_string().as_str()));
        assert_eq!(Tally::of(&reply.body), Tally::of_pattern(LENGTH));
        site.assert_serves_on(&mut connection).await;
    }
}

#[tokio::test]
async fn a_reader_that_does_not_read_stalls_the_upstream() {
    const LENGTH: u64 = 256 * MIB;
    let site = Site::with_routes(|route| route.idle_timeout = Duration::from_secs(60)).await;
    site.upstream.on("/api/down", Play::download(LENGTH));
    let mut connection = site.connect().await;
    connection.send(site.get("/api/down").bytes()).await;
    site.upstream.until_stalled(1).await;
    let stalled_at = site.upstream.filled();
    assert!(stalled_at < 32 * MIB, "{stalled_at} bytes are somewhere in between");
    site.assert_serves().await;

    let head = connection.head().await;
    assert_eq!(head.header("content-length"), Some(LENGTH.to_string().as_str()));
    let (mut tallying, mut buffer) = (Tallying::default(), vec![0; 64 * 1024]);
    let first = connection.buffered();
    tallying.add(&first);
    while tallying.length() < LENGTH {
        let count = connection.stream.read(&mut buffer).await.unwrap();
        assert!(count > 0);
        tallying.add(&buffer[..count]);
    }
    assert_eq!(tallying.tally(), Tally::of_pattern(LENGTH));
}

#[tokio::test]
async fn an_upstream_that_does_not_read_stalls_the_sender() {
    const LENGTH: u64 = 128 * MIB;
    let site = Site::with_routes(|route| route.body_limit = LENGTH).await;
    let gate = Gate::new();
    site.upstream.on("/api/up", Play::early(Answer::json(200, "{}")).held(&gate));
    let mut connection = site.connect().await;
    let fields =
        format!("Host: a\r\nCookie: {}\r\nSec-Fetch-Site: same-origin\r\nContent-Length: {LENGTH}", site.cookie);
    connection.send(format!("PUT /api/up HTTP/1.1\r\n{fields}\r\n\r\n")).await;
    gate.arrived().await;
    let mut sent = 0;
    let stalled = timeout(Duration::from_secs(1), async {
        let block = vec![b'x'; 64 * 1024];
        while sent < LENGTH {
            sent += connection.stream.write(&block).await.unwrap() as u64;
        }
    });
    assert!(stalled.await.is_err() && sent < 64 * MIB, "{sent} bytes went somewhere");
    site.assert_serves().await;
}

#[tokio::test]
async fn trailers_cross_in_both_directions() {
    let site = Site::start().await;
    let answer = Answer::json(200, "{}").with_header("trailer", "x-sum");
    site.upstream.on("/api/t", Play::chunked(answer, &[("x-sum", "abc")]));
    let mut connection = site.connect().await;
    let fields = format!("Host: a\r\nCookie: {}\r\nSec-Fetch-Site: same-origin\r\nTE: trailers", site.cookie);
    let body = "Trailer: x-up\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\nx-up: 1\r\n\r\n";
    connection.send(format!("POST /api/t HTTP/1.1\r\n{fields}\r\n{body}")).await;
    let reply = connection.reply().await;
    assert_eq!(reply.trailers, [("x-sum".to_owned(), "abc".to_owned())]);
    let request = site.received("/api/t");
    assert_eq!((request.header("te"), request.header("connection")), (Some("trailers"), Some("te")));
    assert!(request.raw_body.ends_with(b"0\r\nx-up: 1\r\n\r\n"), "{:?}", String::from_utf8_lossy(&request.raw_body));
    site.assert_serves_on(&mut connection).await;
}

#[tokio::test]
async fn trailers_cannot_say_what_headers_may_not() {
    let site = Site::start().await;
    let mut connection = site.connect().await;
    let fields = format!("Host: a\r\nCookie: {}\r\nSec-Fetch-Site: same-origin\r\nTE: trailers", site.cookie);
    let names = "authorization, x-forwarded-user, x_forwarded_user, cookie, content-length, x-good";
    let trailers = "authorization: Bearer forged\r\nx-forwarded-user: forged\r\nx_forwarded_user: forged\r\n\
                    cookie: forged\r\ncontent-length: 3\r\nx-good: 1\r\n";
    let body = format!("Trailer: {names}\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n{trailers}\r\n");
    connection.send(format!("POST /api/t HTTP/1.1\r\n{fields}\r\n{body}")).await;
    let reply = connection.reply().await;
    assert!([200, 400].contains(&reply.status), "{reply:?}");
    for request in site.upstream.requests_of("/api/t") {
        let body = String::from_utf8_lossy(&request.raw_body).into_owned();
        assert!(!body.contains("forged") && !body.to_lowercase().contains("content-length"), "{body}");
    }
    site.assert_serves().await;
}

#[tokio::test]
async fn trailers_do_not_bring_back_what_a_route_replaces_or_takes_away() {
    let site = Site::with_routes(|route| {
        route.add_request_headers = vec![("x-internal-key".parse().unwrap(), "ours".parse().unwrap())];
        route.remove_request_headers = vec!["x-debug-role".parse().unwrap()];
    })
    .await;
    for path in ["/api/t", "/open/t"] {
        let mut connection = site.connect().await;
        let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\nCookie: {}\r\nSec-Fetch-Site: same-origin", site.cookie);
        let names = ["x-internal-key", "x_internal_key", "x-debug-role", "x-request-id", "traceparent", "tracestate"];
        let trailers: String = names.map(|name| format!("{name}: forged\r\n")).concat();
        let body = format!("Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n{trailers}x-good: 1\r\n\r\n");
        connection.send(format!("{head}\r\n{body}")).await;
        assert_eq!(connection.reply().await.status, 200, "{path}");
        let request = site.received(path);
        let text = String::from_utf8_lossy(&request.raw_body).into_owned();
        assert!(text.ends_with("\r\n0\r\nx-good: 1\r\n\r\n"), "{path}: {text}");
    }
}

#[tokio::test]
async fn ranges_validators_and_head_are_the_upstreams_affair() {
    let site = Site::start().await;
    let mut connection = site.connect().await;
    let partial = Answer::new(206, "text/plain", "23").with_header("content-range", "bytes 2-3/10");
    site.upstream.on("/api/range", Play::answer(partial.with_header("etag", "\"1\"")));
    let reply = connection.ask(&site.get("/api/range").header("range", "bytes=2-3").header("if-range", "\"1\"")).await;
    assert_eq!((reply.status, reply.text(), reply.header("content-range")), (206, "23", Some("bytes 2-3/10")));
    assert_eq!(site.received("/api/range").header("range"), Some("bytes=2-3"));
    assert_eq!(site.received("/api/range").header("if-range"), Some("\"1\""));

    let same = "HTTP/1.1 304 Not Modified\r\netag: \"1\"\r\ncontent-length: 10\r\n\r\n";
    site.upstream.on("/api/etag", Play::reading([Step::Write(same.into())]));
    let reply = connection.ask(&site.get("/api/etag").header("if-none-match", "\"1\"")).await;
    assert_eq!((reply.status, reply.header("etag"), reply.body.len()), (304, Some("\"1\""), 0));
    assert_eq!(site.received("/api/etag").header("if-none-match"), Some("\"1\""));

    site.upstream.on("/api/head", Play::answer(Answer::json(200, "0123456789")));
    let reply = connection.ask(&Ask::new("HEAD", "/api/head").cookie(&site.cookie)).await;
    assert_eq!((reply.status, reply.header("content-length"), reply.body.len()), (200, Some("10"), 0));
    assert_eq!(site.received("/api/head").method(), "HEAD");

    let none = "HTTP/1.1 204 No Content\r\nx-kind: none\r\n\r\n";
    site.upstream.on("/api/none", Play::reading([Step::Write(none.into())]));
    let reply = connection
        .ask(&Ask::new("DELETE", "/api/none").cookie(&site.cookie).header("sec-fetch-site", "same-origin"))
        .await;
    assert_eq!((reply.status, reply.header("x-kind"), reply.header("content-length")), (204, Some("none"), None));
    site.assert_serves_on(&mut connection).await;
    assert_eq!(site.upstream.connections(), 1, "none of these costs a connection");
}

#[tokio::test]
async fn an_answer_until_the_connections_end_is_whole() {
    let site = Site::start().await;
    site.upstream.on("/api/old", Play::until_close(Answer::new(200, "text/plain", "all of it")));
    let mut connection = site.connect().await;
    let reply = connection.ask(&site.get("/api/old")).await;
    assert_eq!((reply.text(), reply.is_complete), ("all of it", true));
    site.assert_serves_on(&mut connection).await;
}

#[tokio::test]
async fn informational_answers_are_not_the_answer() {
    let site = Site::start().await;
    let mut connection = site.connect().await;
    for (status, name, value) in
        [(100, "x-kind", "continue"), (103, "link", "</style.css>; rel=preload"), (102, "x-a", "b")]
    {
        site.upstream
            .next("/api/i", Play::answer(Answer::json(200, "\"final\"")).with_informational(status, name, value));
        connection.send(site.get("/api/i").bytes()).await;
        let reply = connection.reply().await;
        assert_eq!((reply.status, reply.text(), reply.header(name)), (200, "\"final\"", None), "{status}");
        site.assert_serves_on(&mut connection).await;
    }
}

#[tokio::test]
async fn an_early_hint_reaches_the_browser() {
    let site = Site::start().await;
    let gate = Gate::new();
    let play =
        Play::answer(Answer::json(200, "{}")).held(&gate).with_informational(103, "link", "</style.css>; rel=preload");
    site.upstream.on("/api/i", play);
    let mut connection = site.connect().await;
    connection.send(site.get("/api/i").bytes()).await;
    gate.arrived().await;
    let hint = timeout(Duration::from_secs(2), connection.head()).await.expect("the hint comes before the answer");
    assert_eq!((hint.status, hint.header("link")), (103, Some("</style.css>; rel=preload")));
    gate.open();
    assert_eq!(connection.reply().await.status, 200);
}

#[tokio::test]
async fn who_waits_for_100_continue_gets_it_when_the_body_is_wanted() {
    let site = Site::start().await;
    let mut connection = site.connect().await;
    let fields = format!("Host: a\r\nCookie: {}\r\nSec-Fetch-Site: same-origin\r\nExpect: 100-continue", site.cookie);
    connection.send(format!("POST /api/e HTTP/1.1\r\n{fields}\r\nContent-Length: 200000\r\n\r\n")).await;
    assert_eq!(connection.head().await.status, 100);
    connection.send("x".repeat(200_000)).await;
    assert_eq!(connection.reply().await.status, 200);
    assert_eq!(site.received("/api/e").tally.length, 200_000);

    let mut connection = site.connect().await;
    connection.send("POST /api/e HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 200000\r\n\r\n").await;
    assert_eq!(connection.reply().await.status, 401, "whoever is refused need not send");
    assert_eq!(site.upstream.requests_of("/api/e").len(), 1);
}
