#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::heads::Refusal;

/// What came of a connection's bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Seen {
    Head(String),
    Data(Vec<u8>),
    Trailers(usize),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Bad {
    Head(Refusal),
    Body,
}

/// Feeds a connection's bytes in pieces and returns what came of them, data in one piece, and whether a head is next.
fn feed<'a>(pieces: impl IntoIterator<Item = &'a [u8]>) -> Result<(Vec<Seen>, bool), Bad> {
    let (mut inbound, mut seen) = (Inbound::new(), Vec::new());
    for piece in pieces {
        inbound.unread.extend_from_slice(piece);
        loop {
            if inbound.body().is_done() {
                let Some(Head { parts, .. }) = inbound.head().map_err(Bad::Head)? else { break };
                seen.push(Seen::Head(format!("{} {}", parts.method, parts.uri)));
                continue;
            }
            match inbound.frame().map_err(|_| Bad::Body)? {
                Decoded::Frame(frame) => match (frame.into_data(), seen.last_mut()) {
                    (Ok(more), Some(Seen::Data(data))) => data.extend_from_slice(&more),
                    (Ok(data), _) => seen.push(Seen::Data(data.to_vec())),
                    (Err(other), _) => seen.push(Seen::Trailers(other.into_trailers().unwrap().len())),
                },
                Decoded::More => break,
                Decoded::End => {}
            }
        }
    }
    Ok((seen, inbound.body().is_done()))
}

/// Whether bytes are requests, with nothing left to come.
fn whole(bytes: &str) -> Result<bool, Bad> {
    feed([bytes.as_bytes()]).map(|(_, is_done)| is_done)
}

#[test]
fn what_can_be_read_in_one_way_only_passes() {
    for head in [
        "GET / HTTP/1.1\r\n\r\n",
        "\r\n\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET /?q=%20 HTTP/1.0\r\n\r\n",
        "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
        "GET http://a/b HTTP/1.1\r\nHost:\r\n\r\n",
        "CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
        "POST / HTTP/1.1\r\ncontent-length:\t 3 \r\n\r\nabc",
        "POST / HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n3\r\nabc\r\n00A\r\n0123456789\r\n0\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX-Sum: 1\r\n\r\n",
        "GET / HTTP/1.1\r\nX: \u{e4}\r\n\r\n",
    ] {
        assert_eq!(whole(head), Ok(true), "{head:?}");
    }
}

#[test]
fn what_could_be_read_in_two_ways_is_refused() {
    let head = |fields: &str| format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\n");
    let chunked = |body: &str| format!("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n{body}");
    for bytes in [
        head("Content-Length: 3\r\nTransfer-Encoding: chunked"),
        head("Transfer-Encoding: chunked\r\nContent-Length: 3"),
        head("Content-Length: 3\r\nContent-Length: 3"),
        head("Content-Length: 3\r\nContent-Length: 4"),
        head("Content-Length: 3, 3"),
        head("Content-Length: +3"),
        head("Content-Length: -3"),
        head("Content-Length: 0x3"),
        head("Content-Length: 3 3"),
        head("Content-Length:"),
        head("Content-Length: 99999999999999999999"),
        head("Transfer-Encoding: identity"),
        head("Transfer-Encoding: gzip, chunked"),
        head("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
        head("Transfer-Encoding: xchunked"),
        head("Transfer-Encoding : chunked"),
        head("Content-Length : 3"),
        head("X: a\r\n folded"),
        head(" X: a"),
        head("no colon"),
        head(": no name"),
        head("X: a\rb"),
        head("X: a\nY: b"),
        head("X: a\0b"),
        head("X: a\x08b"),
        head("X\u{e9}: a"),
        "POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n".into(),
        "GET /#fragment HTTP/1.1\r\n\r\n".into(),
        "GET  / HTTP/1.1\r\n\r\n".into(),
        "GET / HTTP/1.1 \r\n\r\n".into(),
        "GET /a b HTTP/1.1\r\n\r\n".into(),
        "GET /\u{e9} HTTP/1.1\r\n\r\n".into(),
        "GET / HTTP/2.0\r\n\r\n".into(),
        "GET / http/1.1\r\n\r\n".into(),
        "G(T / HTTP/1.1\r\n\r\n".into(),
        "GET /\r\n\r\n".into(),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(),
        "GET / HTTP/1.1\n\n".into(),
        "\n\nGET / HTTP/1.1\r\n\r\n".into(),
        "\x16\x03\x01\x02\x00\x01".into(),
        chunked("3;ext=1\r\nabc\r\n0\r\n\r\n"),
        chunked("+3\r\nabc\r\n0\r\n\r\n"),
        chunked("0x3\r\nabc\r\n0\r\n\r\n"),
        chunked(" 3\r\nabc\r\n0\r\n\r\n"),
        chunked("\r\nabc\r\n0\r\n\r\n"),
        chunked("3\nabc\r\n0\r\n\r\n0123456789"),
        chunked("3\r\nabcd\r\n0\r\n\r\n"),
        chunked("3\r\nabc\n\n0\r\n\r\n"),
        chunked("fffffffffffffffff\r\nabc"),
        chunked("0\r\nbad trailer\r\n\r\n"),
    ] {
        assert!(
            matches!(whole(&bytes), Err(Bad::Head(Refusal::Malformed) | Bad::Body)),
            "{bytes:?}: {:?}",
            whole(&bytes)
        );
    }
}

#[test]
fn each_bound_has_its_refusal() {
    let fields = |count: usize| format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(count));
    let bytes = |count: usize| format!("GET / HTTP/1.1\r\nA: {}\r\n\r\n", "b".repeat(count));
    let target = |count: usize| format!("GET /{} HTTP/1.1\r\n\r\n", "a".repeat(count));
    for (name, bytes, expected) in [
        ("100 fields", fields(100), Ok(true)),
        ("101 fields", fields(101), Err(Bad::Head(Refusal::HeadTooLarge))),
        ("60 KiB", bytes(60 * 1024), Ok(true)),
        ("64 KiB", bytes(64 * 1024), Err(Bad::Head(Refusal::HeadTooLarge))),
        (
            "64 KiB without an end",
            "GET / HTTP/1.1\r\nA: ".to_owned() + &"b".repeat(64 * 1024),
            Err(Bad::Head(Refusal::HeadTooLarge)),
        ),
        ("64 KiB of empty lines", "\r\n".repeat(32 * 1024), Err(Bad::Head(Refusal::HeadTooLarge))),
        ("a target of 8 KiB", target(8 * 1024 - 1), Ok(true)),
        ("a longer target", target(8 * 1024), Err(Bad::Head(Refusal::TargetTooLong))),
        ("a target without an end", "GET /".to_owned() + &"a".repeat(9 * 1024), Err(Bad::Head(Refusal::TargetTooLong))),
    ] {
        assert_eq!(whole(&bytes), expected, "{name}");
    }
}

#[test]
fn a_body_is_never_read_as_a_request_and_the_next_request_never_as_a_body() {
    let body = "GET /b HTTP/1.1\r\nno: b\r\n\r\n";
    let bytes = format!("POST /a HTTP/1.1\r\nContent-Length: 24\r\n\r\n{}GET /c HTTP/1.1\r\n\r\n", &body[..24]);
    let (seen, is_done) = feed([bytes.as_bytes()]).unwrap();
    let expected =
        [Seen::Head("POST /a".into()), Seen::Data(body.as_bytes()[..24].to_vec()), Seen::Head("GET /c".into())];
    assert_eq!((seen.as_slice(), is_done), (&expected[..], true));
}

#[test]
fn what_nobody_reads_of_a_body_is_passed_over_where_it_has_arrived() {
    for (rest, all) in [("abc", true), ("ab", false)] {
        let mut inbound = Inbound::new();
        inbound.unread.extend_from_slice(format!("POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\n{rest}").as_bytes());
        inbound.head().unwrap().unwrap();
        assert_eq!(inbound.skip_body(), all);
        assert!(inbound.unread.is_empty());
    }
}

#[test]
fn between_requests_no_memory_is_held() {
    let mut inbound = Inbound::new();
    inbound.unread.extend_from_slice(b"POST / HTTP/1.1\r\nContent-Length: 3\r\n\r\nabc");
    inbound.head().unwrap().unwrap();
    assert!(inbound.skip_body());
    assert_eq!(inbound.unread.capacity(), 0);
}

proptest! {
    /// However the network cuts the bytes, the verdict and what comes of them are the same.
    #[test]
    fn the_cuts_of_the_network_do_not_matter(
        requests in proptest::collection::vec(prop_oneof![
            Just("GET / HTTP/1.1\r\nHost: a\r\n\r\n"),
            Just("POST / HTTP/1.1\r\nContent-Length: 5\r\n\r\nhello"),
            Just("POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nA: b\r\n\r\n"),
            Just("\r\nPOST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\n\r\r\n0\r\n\r\n"),
            Just("POST / HTTP/1.1\r\nContent-Length: 5\r\nContent-Length: 5\r\n\r\nhello"),
            Just("GET / HTTP/1.1\nHost: a\r\n\r\n"),
        ], 1..5),
        cuts in proptest::collection::vec(1..20_usize, 1..100),
    ) {
        let bytes = requests.concat().into_bytes();
        let (mut rest, mut pieces, mut cut) = (bytes.as_slice(), Vec::new(), cuts.iter().cycle());
        while !rest.is_empty() {
            let (piece, after) = rest.split_at((*cut.next().unwrap()).min(rest.len()));
            pieces.push(piece);
            rest = after;
        }
        prop_assert_eq!(feed([bytes.as_slice()]), feed(pieces));
    }

    #[test]
    fn nothing_a_peer_sends_panics(bytes in proptest::collection::vec(any::<u8>(), 0..400), chunked: bool) {
        let mut sent = if chunked { b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec() } else { Vec::new() };
        sent.extend(bytes);
        let _ = feed([sent.as_slice()]);
    }
}

#[test]
fn a_connection_goes_on_as_its_version_has_it_and_never_behind_close() {
    for (version, connection, expected) in [
        ("1.1", "", true),
        ("1.1", "Connection: close\r\n", false),
        ("1.1", "Connection: keep-alive, Close\r\n", false),
        ("1.0", "", false),
        ("1.0", "Connection: Keep-Alive\r\n", true),
        ("1.0", "Connection: keep-alive\r\nConnection: x, close\r\n", false),
    ] {
        let mut inbound = Inbound::new();
        inbound.unread.extend_from_slice(format!("GET / HTTP/{version}\r\n{connection}\r\n").as_bytes());
        assert_eq!(inbound.head().unwrap().unwrap().keeps_alive, expected, "{version} {connection:?}");
    }
}
