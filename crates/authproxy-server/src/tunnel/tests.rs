#![allow(clippy::unwrap_used)]

use std::future::pending;

use tokio::{
    io::{AsyncReadExt, DuplexStream, duplex},
    sync::oneshot,
    task::JoinHandle,
    time::sleep,
};

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const IDLE: Duration = Duration::from_secs(60);

/// A tunnel that runs: the peer's far end, the upstream's far end, and when it ended.
fn tunnel(
    early: &'static [u8],
    ended: impl Future<Output = ()> + Send + 'static,
) -> (DuplexStream, DuplexStream, JoinHandle<Duration>) {
    let ((peer, near), (upstream, far)) = (duplex(1024), duplex(1024));
    let tunnel = Tunnel::new(far, IDLE, ended);
    let running = tokio::spawn(async move {
        let began = Instant::now();
        tunnel.run(near, Bytes::from_static(early)).await;
        began.elapsed()
    });
    (peer, upstream, running)
}

async fn read_to_end(io: &mut DuplexStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    io.read_to_end(&mut bytes).await.unwrap();
    bytes
}

#[tokio::test(start_paused = true)]
async fn what_the_peer_sent_early_comes_first_and_half_closes_are_passed_on() {
    let (mut peer, mut upstream, running) = tunnel(b"early ", pending());
    peer.write_all(b"late").await.unwrap();
    peer.shutdown().await.unwrap();
    assert_eq!(read_to_end(&mut upstream).await, b"early late");
    upstream.write_all(b"answer").await.unwrap();
    upstream.shutdown().await.unwrap();
    assert_eq!(read_to_end(&mut peer).await, b"answer");
    assert_eq!(running.await.unwrap(), Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn an_upstream_may_be_done_before_its_peer() {
    let (mut peer, mut upstream, running) = tunnel(b"", pending());
    upstream.shutdown().await.unwrap();
    assert_eq!(read_to_end(&mut peer).await, b"");
    peer.write_all(b"still here").await.unwrap();
    peer.shutdown().await.unwrap();
    assert_eq!(read_to_end(&mut upstream).await, b"still here");
    running.await.unwrap();
}

#[tokio::test(start_paused = true)]
async fn either_direction_keeps_it_alive_and_silence_ends_it() {
    let (mut peer, mut upstream, running) = tunnel(b"", pending());
    for turn in 0..10 {
        sleep(59 * SECOND).await;
        let (from, to) = if turn % 2 == 0 { (&mut peer, &mut upstream) } else { (&mut upstream, &mut peer) };
        from.write_all(b"x").await.unwrap();
        to.read_exact(&mut [0]).await.unwrap();
    }
    assert_eq!(running.await.unwrap(), 10 * (59 * SECOND) + IDLE);
    assert_eq!((read_to_end(&mut peer).await.len(), read_to_end(&mut upstream).await.len()), (0, 0));
}

#[tokio::test(start_paused = true)]
async fn silence_behind_a_half_close_ends_it_too() {
    let (mut peer, mut upstream, running) = tunnel(b"", pending());
    peer.shutdown().await.unwrap();
    assert_eq!(read_to_end(&mut upstream).await, b"");
    assert_eq!(running.await.unwrap(), IDLE);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_read_holds_up_its_upstream_and_nothing_grows() {
    let (peer, mut upstream, running) = tunnel(b"", pending());
    let mut written = 0;
    while let Ok(count) = upstream.write(&[b'x'; 4096]).await {
        written += count;
        assert!(written <= BUFFER + 2 * 1024 + 4096, "{written} bytes were taken");
    }
    assert_eq!(running.await.unwrap(), IDLE);
    drop(peer);
}

#[tokio::test(start_paused = true)]
async fn it_ends_from_outside_and_says_goodbye() {
    let (end, ended) = oneshot::channel::<()>();
    let (mut peer, mut upstream, running) = tunnel(b"", async { drop(ended.await) });
    peer.write_all(b"x").await.unwrap();
    upstream.read_exact(&mut [0]).await.unwrap();
    sleep(SECOND).await;
    end.send(()).unwrap();
    assert_eq!(read_to_end(&mut peer).await, b"");
    assert_eq!(read_to_end(&mut upstream).await, b"");
    assert_eq!(running.await.unwrap(), SECOND);
}

#[tokio::test(start_paused = true)]
async fn what_waits_for_the_end_is_dropped_with_the_tunnel() {
    let (alive, mut dropped) = oneshot::channel::<()>();
    let ended = async move {
        let _alive = alive;
        pending::<()>().await;
    };
    let (peer, upstream, running) = tunnel(b"", ended);
    assert!(dropped.try_recv() == Err(oneshot::error::TryRecvError::Empty));
    drop((peer, upstream));
    running.await.unwrap();
    assert!(dropped.await.is_err());
}
