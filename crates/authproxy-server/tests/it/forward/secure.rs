//! Upstreams behind TLS and on Unix sockets.

use std::{path::PathBuf, sync::Arc};

use authproxy_server::config::Config;
use authproxy_testing::{Answer, FakeUpstream, Play, Protocol};
use bytes::Bytes;
use h2::Reason;
use http::Response;
use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    pki_types::{PrivateKeyDer, pem::PemObject},
};
use tokio::{net::TcpListener, sync::Notify, time::Duration};
use tokio_rustls::TlsAcceptor;

use super::{
    client::Client,
    site::{Site, routes},
    upgrades,
};
use crate::{
    harness::{Ask, Proxy},
    secure::Certified,
};

/// A file of this test's own.
fn file(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(name)
}

impl Site {
    /// A PEM file with some authority.
    pub(super) async fn authority(name: &str) -> PathBuf {
        let file = file(&format!("{name}.pem"));
        FakeUpstream::with_tls(&[Protocol::Http1]).await.write_authority(&file).unwrap();
        file
    }

    async fn behind_tls(name: &str, protocols: &[Protocol]) -> Self {
        Self::behind_tls_with(name, protocols, |_| {}).await
    }

    async fn behind_tls_with(name: &str, protocols: &[Protocol], change: impl FnOnce(&mut Config)) -> Self {
        let upstream = FakeUpstream::with_tls(protocols).await;
        let ca = file(&format!("{name}.pem"));
        upstream.write_authority(&ca).unwrap();
        Self::on_one_thread(upstream, |config| {
            config.route.iter_mut().for_each(|route| route.upstream_ca = Some(ca.clone()));
            change(config);
        })
        .await
    }
}

#[tokio::test]
async fn an_https_upstream_is_spoken_to_in_the_protocol_that_it_offers() {
    for (name, protocols, line, host) in [
        ("both", &[Protocol::Http2, Protocol::Http1][..], "POST /api/x?a=%2F HTTP/2\r\n", true),
        ("h1", &[Protocol::Http1], "POST /api/x?a=%2F HTTP/1.1\r\n", true),
    ] {
        let site = Site::behind_tls(name, protocols).await;
        let reply = site.ask(&site.post("/api/x?a=%2F", "order")).await;
        assert_eq!(reply.status, 200);
        let request = site.received("/api/x");
        assert!(request.head.starts_with(line.as_bytes()), "{}", String::from_utf8_lossy(&request.head));
        assert_eq!(request.header("host").is_some(), host);
        assert_eq!(request.header_values("host"), [site.upstream.url().strip_prefix("https://").unwrap()]);
        assert_eq!(request.body(), b"order");
        assert_eq!(request.header("authorization"), Some("Bearer CANARY-token-a1"));
        assert!(!request.contains(site.cookie.split_once('=').unwrap().1));
        for _ in 0..5 {
            site.assert_serves().await;
        }
        assert_eq!(site.upstream.connections(), 1);
    }
}

#[tokio::test]
async fn trailers_and_large_bodies_cross_over_http2() {
    let site = Site::behind_tls("h2_bodies", &[Protocol::Http2]).await;
    let large: String = "0123456789abcdef".repeat(128 * 1024);
    let answer = Answer::new(200, "text/plain", large.clone()).with_header("trailer", "x-sum");
    site.upstream.on("/api/large", Play::chunked(answer, &[("x-sum", "1")]));
    let mut connection = site.connect().await;
    let reply = connection.ask(&site.post("/api/large", &large).header("te", "trailers")).await;
    assert_eq!((reply.status, reply.is_complete, reply.text() == large), (200, true, true));
    assert_eq!(reply.trailers, [("x-sum".to_owned(), "1".to_owned())]);
    assert_eq!(site.received("/api/large").tally.length, large.len() as u64);
    site.assert_serves_on(&mut connection).await;
}

#[tokio::test]
async fn many_requests_share_one_http2_connection_and_none_gets_anothers_answer() {
    let site = Site::behind_tls("h2_shared", &[Protocol::Http2]).await;
    let mut connections = Vec::new();
    for number in 0..50 {
        let path = format!("/api/{number}");
        site.upstream.on(&path, Play::answer(Answer::json(200, number.to_string())));
        let mut connection = site.connect().await;
        connection.send(site.get(&path).bytes()).await;
        connections.push(connection);
    }
    for (number, connection) in connections.iter_mut().enumerate() {
        assert_eq!(connection.reply().await.text(), number.to_string());
    }
}

#[tokio::test]
async fn who_does_not_read_holds_up_nobody_else_of_an_http2_connection() {
    let site = Site::behind_tls_with("h2_readers", &[Protocol::Http2], |config| {
        config.limits.body_timeout = Duration::from_secs(60); // for as long they may stand still
    })
    .await;
    // More than what a machine keeps between the proxy and a reader.
    let large = Answer::new(200, "text/plain", "x".repeat(32 * 1024 * 1024));
    site.upstream.on("/open/large", Play::answer(large));
    site.upstream.on("/open/other", Play::answer(Answer::new(200, "text/plain", "y".repeat(300_000))));
    let mut readers = Vec::new();
    for _ in 0..4 {
        let mut reader = site.connect().await;
        reader.send(Ask::get("/open/large").bytes()).await;
        assert_eq!(reader.head().await.status, 200);
        readers.push(reader);
    }
    // The upstream sends by turns: until this is through, each reader has been sent as much, or can take no more.
    for _ in 0..20 {
        let reply = site.ask(&Ask::get("/open/other")).await;
        assert_eq!((reply.status, reply.body.len()), (200, 300_000));
    }
    assert_eq!(site.upstream.connections(), 1);
}

#[tokio::test]
async fn a_reset_stream_is_502_and_its_connection_serves_on() {
    let site = Site::behind_tls("h2_reset", &[Protocol::Http2]).await;
    site.assert_serves().await;
    site.upstream.on("/api/reset", Play::reading([authproxy_testing::Step::Reset]));
    let reply = site.ask(&site.get("/api/reset")).await;
    assert_eq!((reply.status, site.upstream.requests_of("/api/reset").len()), (502, 1));
    site.assert_serves().await;
}

/// An upstream that answers over HTTP/2, and for this reason ends its first answer's stream early once `cut` says so.
async fn cutting_short(certified: &Certified, reason: Reason, cut: Arc<Notify>) -> String {
    let key = PrivateKeyDer::from_pem_file(&certified.key).unwrap();
    let mut config = ServerConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certified.der.clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec()];
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        let (stream, _) = listener.accept().await.unwrap();
        let stream = TlsAcceptor::from(Arc::new(config)).accept(stream).await.unwrap();
        let mut connection = h2::server::handshake(stream).await.unwrap();
        while let Some(Ok((_, mut answer))) = connection.accept().await {
            let mut body = answer.send_response(Response::new(()), false).unwrap();
            body.send_data(Bytes::from_static(b"half"), false).unwrap();
            let cut = cut.clone();
            tokio::spawn(async move {
                cut.notified().await;
                body.send_reset(reason);
            });
        }
    });
    format!("https://localhost:{port}")
}

#[tokio::test]
async fn an_answer_whose_stream_is_reset_never_looks_complete() {
    let certified = Certified::new("cut_answer");
    for reason in [Reason::NO_ERROR, Reason::CANCEL, Reason::INTERNAL_ERROR] {
        let cut = Arc::new(Notify::new());
        let url = cutting_short(&certified, reason, cut.clone()).await;
        let proxy = Proxy::with(|config| {
            config.route = routes(&url);
            config.route.iter_mut().for_each(|route| route.upstream_ca = Some(certified.cert.clone()));
        })
        .await;
        let mut connection = Client::open(proxy.address).await;
        connection.send(Ask::get("/open/x").bytes()).await;
        let mut head = connection.head().await;
        assert_eq!(head.status, 200);
        assert_eq!(connection.chunk(&mut head).await.unwrap().unwrap(), b"half");
        cut.notify_one();
        assert!(connection.chunk(&mut head).await.is_err(), "{reason}: it has no last chunk");
    }
}

#[tokio::test]
async fn a_websocket_goes_over_http1_although_the_upstream_prefers_http2() {
    let site = Site::behind_tls("wss", &[Protocol::Http2, Protocol::Http1]).await;
    site.assert_serves().await;
    let (mut connection, head) = upgrades::open(&site, "/api/ws").await;
    assert_eq!(head.status, 101);
    connection.send("hello").await;
    assert_eq!(connection.exactly(5).await.unwrap(), b"hello");
}

#[tokio::test]
async fn an_upstream_that_cannot_show_who_it_is_gets_nothing() {
    let upstream = FakeUpstream::with_tls(&[Protocol::Http1]).await;
    let other = Site::authority("other_authority").await;
    let url = upstream.url();
    let proxy = Proxy::with(|config| {
        config.route = routes(&url);
        config.route.iter_mut().for_each(|route| route.upstream_ca = Some(other.clone()));
    })
    .await;
    let cookie = proxy.log_in().await;
    let answer = proxy.ask(&Ask::get("/api/x").cookie(&cookie)).await;
    assert_eq!((answer.status, answer.detail()), (502, "No secure connection to the upstream".into()));
    assert!(upstream.requests().is_empty());
    assert_eq!(proxy.ask(&Ask::get("/session").cookie(&cookie)).await.status, 200);
}

#[tokio::test]
async fn an_upstream_that_speaks_no_tls_gets_nothing_either() {
    let plain = FakeUpstream::start().await;
    let ca = Site::authority("plain").await;
    let url = format!("https://localhost:{}", plain.addr().port());
    let proxy = Proxy::with(|config| {
        config.route = routes(&url);
        for route in &mut config.route {
            (route.upstream_ca, route.connect_timeout) = (Some(ca.clone()), Duration::from_secs(1));
        }
    })
    .await;
    let cookie = proxy.log_in().await;
    assert!([502, 504].contains(&proxy.ask(&Ask::get("/api/x").cookie(&cookie)).await.status));
    assert!(plain.requests().is_empty());
}

#[tokio::test]
async fn an_upstream_may_be_a_unix_socket() {
    let upstream = FakeUpstream::on_unix_socket(file("forward.sock")).await.unwrap();
    let site = Site::of(upstream, |_| {}).await;
    let mut connection = site.connect().await;
    assert_eq!(connection.ask(&site.post("/api/x", "order")).await.status, 200);
    let request = site.received("/api/x");
    assert_eq!((request.header("host"), request.body()), (Some("localhost"), b"order".to_vec()));
    site.assert_serves_on(&mut connection).await;
    let (mut tunnel, head) = upgrades::open(&site, "/api/ws").await;
    assert_eq!(head.status, 101);
    tunnel.send("hello").await;
    assert_eq!(tunnel.exactly(5).await.unwrap(), b"hello");
    site.upstream.refuse_connections().await;
    assert_eq!(connection.ask(&site.get("/api/x")).await.status, 502);
    site.upstream.accept_connections().await;
    site.assert_serves_on(&mut connection).await;
}
