//! Connections that change their protocol.

use authproxy_testing::{Answer, Play, Step};

use super::{
    client::{Client, Reply},
    site::Site,
};
use crate::harness::Ask;

/// A page's request for a WebSocket; the key and what has to be made of it are RFC 6455's.
pub(super) fn websocket(site: &Site, path: &str) -> Ask {
    Ask::get(path)
        .cookie(&site.cookie)
        .header("connection", "keep-alive, Upgrade")
        .header("upgrade", "websocket")
        .header("sec-websocket-version", "13")
        .header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ==")
        .header("sec-fetch-site", "same-origin")
        .header("origin", &format!("http://{}", site.proxy.address))
}

pub(super) async fn open(site: &Site, path: &str) -> (Client, Reply) {
    site.upstream.on(path, Play::websocket_echo());
    let mut connection = site.connect().await;
    connection.send(websocket(site, path).bytes()).await;
    let head = connection.head().await;
    (connection, head)
}

#[tokio::test]
async fn a_websocket_echoes_through_the_tunnel() {
    let site = Site::start().await;
    let (mut connection, head) = open(&site, "/api/ws").await;
    assert_eq!((head.status, head.header("upgrade")), (101, Some("websocket")));
    assert_eq!(head.header("connection").map(str::to_ascii_lowercase).as_deref(), Some("upgrade"));
    assert_eq!(head.header("sec-websocket-accept"), Some("s3pPLMBiTxaQ9kYGzzhZRbK+xOo="));
    for frame in
        [&b"\x81\x85\x37\xfa\x21\x3d\x7f\x9f\x4d\x51\x58"[..], b"\x89\x00", b"GET / HTTP/1.1\r\n\r\n", &vec![0; 70_000]]
    {
        connection.send(frame).await;
        assert_eq!(connection.exactly(frame.len()).await.unwrap(), frame);
    }
    let request = site.received("/api/ws");
    assert_eq!(request.header("upgrade"), Some("websocket"));
    assert_eq!(request.header("connection").map(str::to_ascii_lowercase).as_deref(), Some("upgrade"));
    assert_eq!(request.header("sec-websocket-key"), Some("dGhlIHNhbXBsZSBub25jZQ=="));
    assert_eq!(request.header_values("authorization").len(), 1);
    assert!(!request.contains(site.cookie.split_once('=').unwrap().1));
    site.assert_serves().await;
    drop(connection);
    site.upstream.until_open_connections(1).await;
    site.assert_serves().await;
    assert_eq!(site.count(), 3, "nothing in the tunnel was a request");
}

#[tokio::test]
async fn what_is_sent_with_the_handshake_is_the_tunnels() {
    let site = Site::start().await;
    site.upstream.on("/api/ws", Play::websocket_echo());
    let mut connection = site.connect().await;
    let early = b"GET /api/smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    connection.send([websocket(&site, "/api/ws").bytes(), early.to_vec()].concat()).await;
    assert_eq!(connection.head().await.status, 101);
    assert_eq!(connection.exactly(early.len()).await.unwrap(), early);
    assert!(site.upstream.requests_of("/api/smuggled").is_empty());
}

#[tokio::test]
async fn what_the_upstream_says_with_its_101_is_not_lost() {
    let site = Site::start().await;
    let accepted = "HTTP/1.1 101 Switching Protocols\r\nupgrade: tea\r\nconnection: upgrade\r\n\r\nfirst";
    site.upstream.on("/api/tea", Play::of([Step::Write(accepted.into()), Step::Echo]));
    let mut connection = site.connect().await;
    let ask = site.get("/api/tea").header("connection", "upgrade").header("upgrade", "tea");
    connection.send(ask.header("sec-fetch-site", "same-origin").bytes()).await;
    assert_eq!((connection.head().await.status, connection.exactly(5).await.unwrap()), (101, b"first".to_vec()));
    connection.send("milk").await;
    assert_eq!(connection.exactly(4).await.unwrap(), b"milk");
}

#[tokio::test]
async fn a_refused_upgrade_is_an_answer_like_any_other() {
    let site = Site::start().await;
    site.upstream.on("/api/ws", Play::answer(Answer::json(426, "\"no\"")));
    let mut connection = site.connect().await;
    let reply = connection.ask(&websocket(&site, "/api/ws")).await;
    assert_eq!((reply.status, reply.text()), (426, "\"no\""));
    site.assert_serves().await;
}

#[tokio::test]
async fn an_upgrade_that_nobody_asked_for_is_no_answer() {
    let site = Site::start().await;
    let accepted = "HTTP/1.1 101 Switching Protocols\r\nupgrade: tea\r\nconnection: upgrade\r\n\r\n";
    site.upstream.on("/api/tea", Play::of([Step::Write(accepted.into()), Step::Echo]));
    for ask in [site.get("/api/tea"), site.get("/api/tea").header("upgrade", "tea")] {
        let mut connection = site.connect().await;
        let reply = connection.ask(&ask).await;
        assert_eq!(reply.status, 502);
        site.assert_serves().await;
    }
}

#[tokio::test]
async fn a_websocket_from_another_site_reaches_no_upstream() {
    let site = Site::start().await;
    site.upstream.on("/api/ws", Play::websocket_echo());
    let handshake = |origin: Option<&str>, fetch_site: Option<&str>| {
        let ask =
            Ask::get("/api/ws").cookie(&site.cookie).header("connection", "Upgrade").header("upgrade", "websocket");
        let ask = origin.into_iter().fold(ask, |ask, origin| ask.header("origin", origin));
        fetch_site.into_iter().fold(ask, |ask, from| ask.header("sec-fetch-site", from))
    };
    for (origin, fetch_site) in [
        (Some("https://evil.example"), None),
        (Some("null"), None),
        (Some("https://evil.example"), Some("cross-site")),
        (None, Some("cross-site")),
        (None, Some("same-site")),
        (None, None),
    ] {
        let reply = site.ask(&handshake(origin, fetch_site)).await;
        assert_eq!(reply.status, 403, "{origin:?} {fetch_site:?}");
    }
    assert_eq!(
        site.ask(&Ask::get("/api/ws").header("connection", "Upgrade").header("upgrade", "websocket")).await.status,
        401
    );
    assert_eq!(site.count(), 0);
    site.assert_serves().await;
}

#[tokio::test]
async fn an_upgrade_with_a_body_tunnels_nothing_of_it() {
    let site = Site::start().await;
    site.upstream.on("/api/ws", Play::websocket_echo());
    let smuggled = "GET /api/smuggled HTTP/1.1\r\nHost: a\r\n\r\n";
    let mut connection = site.connect().await;
    connection.send(websocket(&site, "/api/ws").body(smuggled).bytes()).await;
    let reply = connection.head().await;
    assert!(reply.status == 101 || reply.status >= 400, "{reply:?}");
    assert!(site.upstream.requests_of("/api/smuggled").is_empty());
    site.assert_serves().await;
}
