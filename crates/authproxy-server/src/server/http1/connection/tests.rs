#![allow(clippy::unwrap_used)]

use std::time::Duration;

use http_body_util::BodyExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt, DuplexStream, duplex},
    task::JoinHandle,
    time::{advance, sleep, timeout},
};

use super::*;

const SECOND: Duration = Duration::from_secs(1);
const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const PATIENCE: Patience = Patience { head: Duration::from_secs(10), idle: Duration::from_secs(75), write: SECOND };

/// Serves one connection whose answers take `delay` and have `length` bytes; returns the peer's end, and when and
/// why the connection ended.
fn serve(delay: Duration, length: usize) -> (DuplexStream, JoinHandle<(Duration, Option<Refusal>)>) {
    let (peer, io) = duplex(1024);
    let serving = tokio::spawn(async move {
        let began = Instant::now();
        let mut connection = Connection::new(io, PATIENCE);
        let refusal = loop {
            let head = match connection.next(|_| Poll::Pending).await {
                Next::Request(head) => head,
                Next::Nothing => break None,
                Next::Refused(refusal) => break Some(refusal),
            };
            let asked = Asked::of(&head);
            if connection.answered(sleep(delay), |_| Poll::Pending).await.is_err() {
                break None;
            }
            let answer = http::Response::new(()).into_parts().0;
            let sent = connection.send(&answer, Body::whole(vec![b'x'; length]), asked, false).await;
            if sent.is_err() {
                break None;
            }
        };
        (began.elapsed(), refusal)
    });
    (peer, serving)
}

async fn read_answer(peer: &mut DuplexStream) {
    let mut bytes = Vec::new();
    while !bytes.ends_with(b"\r\n\r\nx") {
        assert!(peer.read_buf(&mut bytes).await.unwrap() > 0);
    }
}

#[tokio::test(start_paused = true)]
async fn a_byte_now_and_then_buys_a_head_no_time() {
    let (mut peer, serving) = serve(Duration::ZERO, 1);
    sleep(5 * SECOND).await;
    for byte in b"GET / HTTP/1.1\r\n".iter().cycle() {
        if peer.write_all(&[*byte]).await.is_err() {
            break;
        }
        sleep(SECOND).await;
    }
    let (elapsed, refusal) = serving.await.unwrap();
    assert_eq!((elapsed.as_secs(), refusal), (15, Some(Refusal::HeadTooSlow)));
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_never_speaks_is_given_no_more_than_a_head_and_no_word() {
    let (_peer, serving) = serve(Duration::ZERO, 1);
    let (elapsed, refusal) = serving.await.unwrap();
    assert_eq!((elapsed.as_secs(), refusal), (10, None));
}

#[tokio::test(start_paused = true)]
async fn idle_is_not_slow() {
    let (mut peer, serving) = serve(Duration::ZERO, 1);
    for _ in 0..3 {
        peer.write_all(REQUEST).await.unwrap();
        read_answer(&mut peer).await;
        sleep(60 * SECOND).await;
    }
    let (elapsed, refusal) = serving.await.unwrap();
    assert_eq!((elapsed.as_secs(), refusal), (2 * 60 + 75, None));
}

#[tokio::test(start_paused = true)]
async fn an_empty_line_behind_a_request_begins_no_head() {
    let (mut peer, serving) = serve(Duration::ZERO, 1);
    for _ in 0..3 {
        peer.write_all(REQUEST).await.unwrap();
        read_answer(&mut peer).await;
        peer.write_all(b"\r\n").await.unwrap();
        sleep(60 * SECOND).await;
    }
    let (elapsed, refusal) = serving.await.unwrap();
    assert_eq!((elapsed.as_secs(), refusal), (2 * 60 + 75, None));
}

#[tokio::test(start_paused = true)]
async fn while_it_is_owed_an_answer_a_peer_may_be_silent() {
    let (mut peer, serving) = serve(1000 * SECOND, 1);
    peer.write_all(REQUEST).await.unwrap();
    read_answer(&mut peer).await;
    let (elapsed, refusal) = serving.await.unwrap();
    assert_eq!((elapsed.as_secs(), refusal), (1075, None));
}

#[tokio::test(start_paused = true)]
async fn a_bad_request_behind_a_good_one_does_not_take_its_answer_along() {
    let (mut peer, serving) = serve(SECOND, 1);
    peer.write_all(&[REQUEST, b"bad\r\n\r\n"].concat()).await.unwrap();
    read_answer(&mut peer).await;
    let (elapsed, refusal) = serving.await.unwrap();
    assert_eq!((elapsed.as_secs(), refusal), (1, Some(Refusal::Malformed)));
}

#[tokio::test(start_paused = true)]
async fn pipelined_requests_are_answered_although_the_second_came_early() {
    let (mut peer, _serving) = serve(SECOND, 1);
    peer.write_all(&REQUEST.repeat(3)).await.unwrap();
    for _ in 0..3 {
        read_answer(&mut peer).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_hangs_up_while_it_waits_ends_the_connection() {
    let (mut peer, serving) = serve(1000 * SECOND, 1);
    peer.write_all(REQUEST).await.unwrap();
    sleep(SECOND).await;
    drop(peer);
    assert_eq!(serving.await.unwrap().0.as_secs(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_stops_reading_is_cut_off_and_a_slow_one_is_not() {
    let (mut peer, serving) = serve(Duration::ZERO, 100 * 1024);
    peer.write_all(REQUEST).await.unwrap();
    let mut bytes = [0; 512];
    for _ in 0..50 {
        sleep(SECOND / 2).await;
        peer.read_exact(&mut bytes).await.unwrap();
    }
    assert!(!serving.is_finished());
    let stopped = Instant::now();
    assert_eq!(serving.await.unwrap().1, None, "nothing may be written into the middle of an answer");
    assert_eq!(stopped.elapsed().as_secs(), 1);
    advance(Duration::ZERO).await;
}

#[tokio::test(start_paused = true)]
async fn answers_before_the_answer_do_not_pile_up_before_a_peer_that_does_not_read() {
    let (_peer, io) = duplex(1024);
    let mut connection = Connection::new(io, PATIENCE);
    let interim = connection.interim();
    let mut fields = http::HeaderMap::new();
    fields.insert("link", http::HeaderValue::try_from("x".repeat(1000)).unwrap());
    let flood = async {
        loop {
            (0..20).for_each(|_| interim.send(http::StatusCode::EARLY_HINTS, &fields));
            sleep(SECOND / 100).await;
        }
    };
    let outcome: Result<(), _> = connection.answered(flood, |_| Poll::Pending).await;
    assert!(matches!(outcome, Err(BrokenAnswer::Peer(_))));
    assert!(connection.early.len() < 20_000, "{} bytes wait", connection.early.len());
}

/// Serves one connection whose bodies are read by tasks of their own, each answered `delay` after its end.
fn serve_bodies(delay: Duration) -> (DuplexStream, JoinHandle<Duration>) {
    let (peer, io) = duplex(1024);
    let serving = tokio::spawn(async move {
        let began = Instant::now();
        let mut connection = Connection::new(io, PATIENCE);
        while let Next::Request(head) = connection.next(|_| Poll::Pending).await {
            let asked = Asked::of(&head);
            let body = connection.body(head.expects_continue);
            let reading = tokio::spawn(async move {
                body.collect().await.unwrap();
                sleep(delay).await;
            });
            if connection.answered(reading, |_| Poll::Pending).await.is_err() {
                break;
            }
            let answer = http::Response::new(()).into_parts().0;
            assert!(connection.send(&answer, Body::whole("x"), asked, false).await.unwrap());
            assert!(connection.has_read_all());
        }
        began.elapsed()
    });
    (peer, serving)
}

const HELD_BACK: &[u8] = b"POST / HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n";
const CONTINUE: &[u8] = b"HTTP/1.1 100 Continue\r\n\r\n";

#[tokio::test(start_paused = true)]
async fn whoever_reads_a_body_every_one_that_is_held_back_is_asked_for() {
    let (mut peer, _serving) = serve_bodies(Duration::ZERO);
    for number in 0..3 {
        peer.write_all(HELD_BACK).await.unwrap();
        let mut early = [0; CONTINUE.len()];
        let asked_for = timeout(SECOND, peer.read_exact(&mut early)).await;
        assert!(asked_for.is_ok(), "body {number} was asked for");
        assert_eq!(early, CONTINUE);
        peer.write_all(b"x").await.unwrap();
        read_answer(&mut peer).await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_hangs_up_behind_a_body_that_was_held_back_ends_the_connection() {
    let (mut peer, serving) = serve_bodies(1000 * SECOND);
    peer.write_all(HELD_BACK).await.unwrap();
    peer.read_exact(&mut [0; CONTINUE.len()]).await.unwrap();
    peer.write_all(b"x").await.unwrap();
    sleep(SECOND).await;
    drop(peer);
    assert_eq!(serving.await.unwrap().as_secs(), 1);
}
