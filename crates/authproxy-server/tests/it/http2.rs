//! HTTP/2 from a peer that keeps to the rules, and from others.

mod uploads;

use std::{sync::Arc, time::Duration};

use authproxy_server::config::{RouteAccess, RouteConfig};
use authproxy_testing::{EventStream, FakeUpstream, Play};
use bytes::Bytes;
use h2::Reason;
use http::Request;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    sync::Notify,
    time::timeout,
};
use tokio_rustls::client::TlsStream;

use crate::{
    auth_service::Instead,
    harness::Proxy,
    secure::{Certified, Http2, read},
};

const SHORT: Duration = Duration::from_millis(200);
/// Only a failing test waits for so long.
const PATIENCE: Duration = Duration::from_secs(20);
/// What h2 and browsers begin with.
const WINDOW: u32 = 65_535;

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
const DATA: u8 = 0x0;
const HEADERS: u8 = 0x1;
const RST_STREAM: u8 = 0x3;
const SETTINGS: u8 = 0x4;
const GOAWAY: u8 = 0x7;
const CONTINUATION: u8 = 0x9;

fn get(path: &str) -> Request<()> {
    Request::get(format!("https://localhost{path}")).body(()).unwrap()
}

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// The block of `GET https://a/session`, by HPACK's static table.
fn head() -> Vec<u8> {
    [&[0x82, 0x87, 0x04, 8], &b"/session"[..], &[0x01, 1, b'a']].concat()
}

/// Reads frames until one of these kinds comes; nothing when the connection ends before.
async fn until(stream: &mut TlsStream<TcpStream>, kinds: &[u8]) -> Option<(u8, Vec<u8>)> {
    let frames = async {
        loop {
            let mut header = [0; 9];
            stream.read_exact(&mut header).await.ok()?;
            let mut payload = vec![0; usize::from(header[1]) << 8 | usize::from(header[2])];
            stream.read_exact(&mut payload).await.ok()?;
            if kinds.contains(&header[3]) {
                return Some((header[3], payload));
            }
        }
    };
    timeout(PATIENCE, frames).await.expect("the connection goes on or ends in time")
}

/// Others are served as if nothing had happened.
async fn assert_well(certified: &Certified, proxy: &Proxy) {
    let mut other = certified.http2(proxy.address, WINDOW).await;
    assert_eq!(other.ask(get("/session")).await.unwrap().status, 401);
}

async fn session(proxy: &Proxy, peer: &mut Http2) -> String {
    let request = Request::post("https://localhost/login")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(())
        .unwrap();
    let mut requests = peer.requests.clone().ready().await.unwrap();
    let (answer, mut body) = requests.send_request(request, false).unwrap();
    body.send_data(Bytes::from_static(b"username=a%40example.com&password=password123"), true).unwrap();
    let answer = read(answer.await.unwrap()).await.unwrap();
    assert_eq!(answer.status, 200, "{}", proxy.address);
    answer.headers["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned()
}

#[tokio::test]
async fn a_cookie_in_crumbs_is_one_cookie() {
    let certified = Certified::new("crumbs");
    let proxy = certified.proxy(|_| {}).await;
    let mut peer = certified.http2(proxy.address, WINDOW).await;
    let cookie = session(&proxy, &mut peer).await;
    let with = |crumbs: &[&str]| {
        let mut request = get("/protected-auto");
        for crumb in crumbs {
            request.headers_mut().append("cookie", crumb.parse().unwrap());
        }
        request
    };
    let other = format!("{}x", &cookie[..cookie.len() - 1]);
    for (crumbs, status) in [
        (&["theme=dark", &cookie, "lang=en"][..], 200),
        (&[cookie.as_str(), &cookie], 200),
        (&[cookie.as_str(), &other], 400),
        (&["theme=dark", "lang=en"], 401),
    ] {
        assert_eq!(peer.ask(with(crumbs)).await.unwrap().status, status, "{} crumbs", crumbs.len());
    }
    let many: Vec<_> = (0..150).map(|index| format!("c{index}=x")).chain([cookie.clone()]).collect();
    let many: Vec<_> = many.iter().map(String::as_str).collect();
    assert_eq!(peer.ask(with(&many)).await.unwrap().status, 200);
}

#[tokio::test]
async fn each_bound_has_its_status_and_costs_nobody_else_anything() {
    let certified = Certified::new("bounds");
    let proxy = certified.proxy(|_| {}).await;
    let mut peer = certified.http2(proxy.address, WINDOW).await;
    let with = |fields: usize, length: usize| {
        let mut request = get("/session");
        for index in 0..fields {
            let name: http::HeaderName = format!("x-{index}").parse().unwrap();
            request.headers_mut().insert(name, "y".repeat(length).parse().unwrap());
        }
        request
    };
    let long = get(&format!("/session?{}", "q".repeat(8 * 1024)));
    let wrong_host = |host: &str| {
        let mut request = get("/session");
        request.headers_mut().insert("host", host.parse().unwrap());
        request
    };
    let method = |name: &str| Request::builder().method(name).uri("https://localhost/session").body(()).unwrap();
    for (request, status) in [
        (with(90, 10), 401),
        (with(101, 10), 431),
        (with(4, 17 * 1024), 431),
        (long, 414),
        (wrong_host("localhost"), 401),
        (wrong_host("other.example"), 400),
        (method("BREW"), 501),
        (method("TRACE"), 405),
        (method("DELETE"), 405),
    ] {
        let answer = peer.ask(request).await.unwrap();
        assert_eq!(answer.status, status);
        assert!(!answer.headers.contains_key("connection"));
    }
    assert!(!peer.ended.is_finished(), "the connection is still good");
    assert!(!proxy.service.received_anything());
}

#[tokio::test]
async fn fields_of_a_connection_end_their_stream_and_reach_nobody() {
    let certified = Certified::new("fields");
    let proxy = certified.proxy(|_| {}).await;
    let field = |name: &str, value: &str| {
        let (name, value) = (name.as_bytes(), value.as_bytes());
        let lengths = [u8::try_from(name.len()).unwrap(), u8::try_from(value.len()).unwrap()];
        [&[0x00, lengths[0]], name, &[lengths[1]], value].concat()
    };
    for (fields, refused_by) in [
        (field("x", "y"), HEADERS), // answered
        (field("connection", "keep-alive"), RST_STREAM),
        (field("transfer-encoding", "chunked"), RST_STREAM),
        (field("upgrade", "websocket"), RST_STREAM),
        (field("te", "gzip"), RST_STREAM),
        (field(":protocol", "websocket"), RST_STREAM),
        (field("Upper", "case"), GOAWAY),
        (field("x", "a\r\nb: c"), GOAWAY),
    ] {
        let mut peer = certified.connect(proxy.address, &["h2"]).await;
        let request = frame(HEADERS, 0x5, 1, &[head(), fields.clone()].concat());
        peer.write_all(&[PREFACE, &frame(SETTINGS, 0, 0, b""), &request].concat()).await.unwrap();
        let (kind, _) = until(&mut peer, &[HEADERS, RST_STREAM, GOAWAY]).await.expect("an answer of some kind");
        assert_eq!(kind, refused_by, "{:?}", String::from_utf8_lossy(&fields));
    }
    assert_well(&certified, &proxy).await;
}

#[tokio::test]
async fn a_drain_lets_streams_finish_and_takes_no_more() {
    let certified = Certified::new("drain");
    let mut proxy = certified.proxy(|_| {}).await;
    let notify = Arc::new(Notify::new());
    proxy.service.next("/protected", Instead::Wait(notify.clone()));
    let mut busy = certified.http2(proxy.address, WINDOW).await;
    let idle = certified.http2(proxy.address, WINDOW).await;
    let mut request = get("/protected");
    request.headers_mut().insert("authorization", "Bearer a".parse().unwrap());
    let mut requests = busy.requests.clone().ready().await.unwrap();
    let (answer, _) = requests.send_request(request, true).unwrap();
    proxy.service.until_received("/protected", 1).await;
    proxy.stop();
    idle.ended.await.unwrap().unwrap();
    while busy.ask(get("/session")).await.is_ok() {}
    notify.notify_one();
    assert_eq!(read(answer.await.unwrap()).await.unwrap().status, 401);
    busy.ended.await.unwrap().unwrap();
    assert_eq!(proxy.stopped().await.connections_cut, 0);
}

#[tokio::test]
async fn what_does_not_end_is_cut_off_at_the_deadline() {
    let certified = Certified::new("cut");
    let proxy = certified
        .proxy(|config| {
            config.limits.drain_timeout = SHORT;
            config.limits.request_timeout = Duration::from_secs(60);
        })
        .await;
    proxy.service.always("/protected", Instead::Hang);
    let busy = certified.http2(proxy.address, WINDOW).await;
    let mut request = get("/protected");
    request.headers_mut().insert("authorization", "Bearer a".parse().unwrap());
    let mut requests = busy.requests.clone().ready().await.unwrap();
    let (answer, _) = requests.send_request(request, true).unwrap();
    proxy.service.until_received("/protected", 1).await;
    assert_eq!(proxy.stopped().await.connections_cut, 1);
    assert!(answer.await.is_err());
}

#[tokio::test]
async fn an_idle_connection_is_told_to_go() {
    let certified = Certified::new("idle");
    let proxy = certified.proxy(|config| config.limits.idle_timeout = SHORT).await;
    let silent = certified.http2(proxy.address, WINDOW).await;
    let mut used = certified.http2(proxy.address, WINDOW).await;
    assert_eq!(used.ask(get("/session")).await.unwrap().status, 401);
    for peer in [silent, used] {
        timeout(PATIENCE, peer.ended).await.unwrap().unwrap().unwrap();
    }
}

#[tokio::test]
async fn a_peer_that_dawdles_inside_a_frame_or_a_head_is_closed_in_time() {
    let certified = Certified::new("dawdle");
    let proxy = certified.proxy(|config| config.limits.header_timeout = SHORT).await;
    // Each has had an answer: now only the idle timeout, which is far longer, would close it.
    let served = [PREFACE, &frame(SETTINGS, 0, 0, b""), &frame(HEADERS, 0x5, 1, &head())].concat();
    for begun in [
        frame(SETTINGS, 0, 0, b"")[..4].to_vec(),
        frame(HEADERS, 0x5, 3, &head())[..12].to_vec(),
        frame(HEADERS, 0x1, 3, &head()),
        [frame(HEADERS, 0x1, 3, &head()), frame(CONTINUATION, 0, 3, b"")].concat(),
    ] {
        let mut peer = certified.connect(proxy.address, &["h2"]).await;
        peer.write_all(&served).await.unwrap();
        assert!(until(&mut peer, &[DATA]).await.is_some(), "an answer");
        peer.write_all(&begun).await.unwrap();
        let mut seen = Vec::new();
        let ended = timeout(PATIENCE, peer.read_to_end(&mut seen)).await;
        assert!(ended.is_ok(), "still open after {} bytes", begun.len());
    }
    let mut peer = certified.connect(proxy.address, &["h2"]).await;
    peer.write_all(&PREFACE[..10]).await.unwrap();
    assert!(timeout(PATIENCE, peer.read_to_end(&mut Vec::new())).await.is_ok(), "still open in the preface");
    assert_well(&certified, &proxy).await;
}

#[tokio::test]
async fn a_peer_without_a_window_loses_its_stream_and_not_its_connection() {
    let certified = Certified::new("window");
    let proxy = certified.proxy(|config| config.limits.body_timeout = SHORT).await;
    for window in [0, 1, 20_000] {
        let mut peer = certified.http2(proxy.address, window).await;
        let mut requests = peer.requests.clone().ready().await.unwrap();
        let (answer, _) = requests.send_request(get("/docs/swagger-ui-bundle.js"), true).unwrap();
        let mut body = answer.await.unwrap().into_body();
        let reset = timeout(PATIENCE, async {
            loop {
                match body.data().await {
                    Some(Ok(_)) => {}
                    Some(Err(error)) => return error.reason(),
                    None => panic!("all of it arrived"),
                }
            }
        });
        assert_eq!(reset.await.unwrap(), Some(Reason::CANCEL), "window of {window}");
        let head = Request::head("https://localhost/session").body(()).unwrap();
        let answer = peer.ask(head).await.expect("the connection is still good, and HEAD needs no window");
        assert_eq!((answer.status, answer.body.len()), (401, 0));
        assert!(answer.headers.contains_key("content-length"));
    }
}

#[tokio::test]
async fn an_answer_that_waits_in_the_last_piece_goes_with_the_idle_connection() {
    let certified = Certified::new("last");
    let proxy = certified
        .proxy(|config| {
            config.limits.idle_timeout = SHORT;
            config.limits.header_timeout = SHORT;
            config.limits.connections = 1;
        })
        .await;
    let peer = certified.http2(proxy.address, 1).await;
    let mut requests = peer.requests.clone().ready().await.unwrap();
    let (answer, _) = requests.send_request(get("/session"), true).unwrap();
    let answer = answer.await.unwrap();
    assert_eq!(answer.status(), 401);
    // It has one byte's room, never makes more, and answers every ping.
    drop(timeout(PATIENCE, peer.ended).await.unwrap());
    let mut body = answer.into_body();
    assert_eq!(body.data().await.unwrap().unwrap().len(), 1);
    assert!(body.data().await.unwrap().is_err(), "the rest is not made to look complete");
}

#[tokio::test]
async fn large_answers_arrive_whole_and_by_turns() {
    let certified = Certified::new("large");
    let proxy = certified.proxy(|_| {}).await;
    let mut peer = certified.http2(proxy.address, WINDOW).await;
    let mut requests = peer.requests.clone().ready().await.unwrap();
    let asked: Vec<_> =
        (0..4).map(|_| requests.send_request(get("/docs/swagger-ui-bundle.js"), true).unwrap().0).collect();
    let mut lengths = Vec::new();
    for answer in asked.into_iter().map(|answer| tokio::spawn(async { read(answer.await?).await })).collect::<Vec<_>>()
    {
        let answer = answer.await.unwrap().unwrap();
        assert_eq!(answer.headers["content-length"], answer.body.len().to_string());
        lengths.push(answer.body.len());
    }
    assert!(lengths[0] > 1_000_000 && lengths.iter().all(|length| *length == lengths[0]), "{lengths:?}");
    assert_eq!(peer.ask(get("/session")).await.unwrap().status, 401);
}

#[tokio::test]
async fn each_piece_of_a_stream_arrives_before_the_next_is_made() {
    let (certified, upstream, stream) = (Certified::new("pieces"), FakeUpstream::start().await, EventStream::new());
    upstream.on("/open/events", Play::events(&stream));
    let url = upstream.url();
    let proxy = certified
        .proxy(|config| {
            let mut route = RouteConfig::new("/open", url.parse().unwrap());
            route.access = RouteAccess::Public;
            config.route = vec![route];
        })
        .await;
    let peer = certified.http2(proxy.address, WINDOW).await;
    let mut requests = peer.requests.clone().ready().await.unwrap();
    let (answer, _) = requests.send_request(get("/open/events"), true).unwrap();
    let mut body = timeout(PATIENCE, answer).await.unwrap().unwrap().into_body();
    // h2 keeps small frames for a flush, larger ones it flushes by itself.
    for length in [1, 255, 256, 300, 5_000, 20_000, 2] {
        let text = "x".repeat(length);
        stream.send(&text);
        let (event, mut arrived) = (format!("data: {text}\n\n"), Vec::new());
        while arrived.len() < event.len() {
            let piece = timeout(PATIENCE, body.data()).await.unwrap().unwrap().unwrap();
            body.flow_control().release_capacity(piece.len()).unwrap();
            arrived.extend_from_slice(&piece);
        }
        assert_eq!(arrived, event.as_bytes());
    }
}

#[tokio::test]
async fn floods_end_their_connection() {
    let certified = Certified::new("floods");
    let proxy = certified.proxy(|_| {}).await;
    let settings = frame(SETTINGS, 0, 0, b"");
    let opened = |flags| frame(HEADERS, flags, 1, &head());
    let post = [&[0x83, 0x87, 0x04, 7], &b"/logout"[..], &[0x01, 1, b'a']].concat();
    let resets: Vec<u8> = (0..20_000u32)
        .flat_map(|index| {
            let stream = 2 * index + 1;
            [frame(HEADERS, 0x5, stream, &head()), frame(RST_STREAM, 0, stream, &[0, 0, 0, 8])].concat()
        })
        .collect();
    let field = [&[0x00, 1], &b"x"[..], &[100], &[b'y'; 100]].concat();
    for (what, bytes) in [
        ("rapid resets", resets),
        ("continuations", [opened(0x1), frame(CONTINUATION, 0, 1, &field.repeat(100)).repeat(2000)].concat()),
        ("empty continuations", [opened(0x1), frame(CONTINUATION, 0, 1, b"").repeat(100_000)].concat()),
        ("empty data", [frame(HEADERS, 0x4, 1, &post), frame(DATA, 0, 1, b"").repeat(100_000)].concat()),
    ] {
        let peer = certified.connect(proxy.address, &["h2"]).await;
        let (mut reading, mut writing) = tokio::io::split(peer);
        let flood = [PREFACE, &settings, &bytes].concat();
        let write = async {
            let _ = writing.write_all(&flood).await;
            let _ = writing.flush().await;
        };
        let mut seen = Vec::new();
        let read = reading.read_to_end(&mut seen);
        let ended = timeout(PATIENCE, async { tokio::join!(write, read) }).await;
        assert!(ended.is_ok(), "{what}: still open");
    }
    assert_well(&certified, &proxy).await;
    assert!(!proxy.service.received_anything());
}
