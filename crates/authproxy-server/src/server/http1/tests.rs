#![allow(clippy::unwrap_used)]

use std::{
    future::pending,
    sync::{Arc, Mutex},
    time::Duration,
};

use http::HeaderValue;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    sync::Notify,
    task::JoinHandle,
};

use super::*;
use crate::body::Body;

const SECOND: Duration = Duration::from_secs(1);
const PATIENCE: Patience = Patience { head: SECOND, idle: SECOND, write: SECOND };
const UPGRADE: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n\r\n";

/// Everything around one connection whose requests are answered by a switch of protocols, when `go` says so.
struct Switching {
    peer: DuplexStream,
    upstream: DuplexStream,
    asked: Arc<Notify>,
    go: Arc<Notify>,
    draining: CancellationToken,
    serving: JoinHandle<()>,
}

fn switching() -> Switching {
    let ((peer, io), (upstream, far)) = (duplex(1024), duplex(1024));
    let far = Mutex::new(Some(far));
    let (asked, go, draining) = (Arc::new(Notify::new()), Arc::new(Notify::new()), CancellationToken::new());
    let (was_asked, may_go, drained) = (asked.clone(), go.clone(), draining.clone());
    let serving = tokio::spawn(async move {
        serve(io, PATIENCE, drained, |_, _, _| {
            let upstream = far.lock().unwrap().take().expect("one request");
            let (asked, go) = (was_asked.clone(), may_go.clone());
            async move {
                asked.notify_one();
                go.notified().await;
                let mut response = Response::new(Body::whole(""));
                *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
                response.headers_mut().insert("connection", HeaderValue::from_static("upgrade"));
                response.headers_mut().insert("upgrade", HeaderValue::from_static("echo"));
                response.extensions_mut().insert(Tunnel::new(upstream, 60 * SECOND, pending()));
                response
            }
        })
        .await;
    });
    Switching { peer, upstream, asked, go, draining, serving }
}

async fn read_head(peer: &mut DuplexStream) -> String {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\n") {
        bytes.push(peer.read_u8().await.unwrap());
    }
    String::from_utf8(bytes).unwrap().to_lowercase()
}

#[tokio::test(start_paused = true)]
async fn after_a_switch_no_byte_is_judged_or_timed_as_a_request() {
    let mut it = switching();
    it.peer.write_all(UPGRADE).await.unwrap();
    it.go.notify_one();
    let head = read_head(&mut it.peer).await;
    assert!(head.starts_with("http/1.1 101 "), "{head}");
    assert!(head.contains("\r\nupgrade: echo\r\n") && head.contains("\r\nconnection: upgrade\r\n"), "{head}");
    let no_request = b"\0\r\n\r \n\nGET / HTTP/1.1\r\n\r\n";
    it.peer.write_all(no_request).await.unwrap();
    let mut seen = vec![0; no_request.len()];
    it.upstream.read_exact(&mut seen).await.unwrap();
    assert_eq!(seen, no_request);
    tokio::time::sleep(30 * SECOND).await;
    it.upstream.write_all(b"late answer").await.unwrap();
    it.upstream.shutdown().await.unwrap();
    let mut seen = Vec::new();
    it.peer.read_to_end(&mut seen).await.unwrap();
    assert_eq!(seen, b"late answer");
    drop(it.peer);
    it.serving.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn what_comes_before_the_switch_is_neither_lost_nor_a_request() {
    let mut it = switching();
    let smuggled = b"GET /second HTTP/1.1\r\nHost: a\r\n\r\n";
    it.peer.write_all(&[UPGRADE, smuggled].concat()).await.unwrap();
    it.asked.notified().await;
    it.peer.write_all(b"and more").await.unwrap();
    it.go.notify_one();
    read_head(&mut it.peer).await;
    it.peer.shutdown().await.unwrap();
    let mut seen = Vec::new();
    it.upstream.read_to_end(&mut seen).await.unwrap();
    assert_eq!(seen, [smuggled.as_slice(), b"and more"].concat());
}

#[tokio::test(start_paused = true)]
async fn a_drain_does_not_end_a_tunnel_nor_a_switch_under_way() {
    let mut it = switching();
    it.peer.write_all(UPGRADE).await.unwrap();
    it.asked.notified().await;
    it.draining.cancel();
    tokio::task::yield_now().await;
    it.go.notify_one();
    let head = read_head(&mut it.peer).await;
    assert!(head.contains("\r\nconnection: upgrade"), "{head}");
    it.peer.write_all(b"x").await.unwrap();
    it.upstream.read_exact(&mut [0]).await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn a_switch_in_the_middle_of_a_body_closes_the_connection() {
    let mut it = switching();
    it.peer.write_all(b"GET / HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: echo\r\n").await.unwrap();
    it.peer.write_all(b"Content-Length: 5\r\n\r\nab").await.unwrap();
    it.go.notify_one();
    read_head(&mut it.peer).await;
    let mut seen = Vec::new();
    it.upstream.read_to_end(&mut seen).await.unwrap();
    assert_eq!(seen, b"", "nothing of the body is tunnelled");
    it.peer.read_to_end(&mut seen).await.unwrap();
    assert_eq!(seen, b"");
}
