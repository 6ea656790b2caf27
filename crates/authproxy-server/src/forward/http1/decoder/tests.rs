#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::forward::http1::head;

/// The head of an answer and how its body is delimited, with the bytes behind the head.
fn decoder(method: &Method, text: &str) -> (Result<Decoder, Malformed>, BytesMut) {
    let mut unread = BytesMut::from(text);
    let head = head::parse(&mut unread).unwrap().unwrap();
    (Decoder::of(&head, method), unread)
}

/// A body's data, its trailers, and what is left behind its end.
type Whole = (Vec<u8>, Option<HeaderMap>, Vec<u8>);

/// All that comes of a body whose bytes arrive in these pieces.
fn decoded(head: &str, pieces: &[&[u8]]) -> Result<Whole, Malformed> {
    let (decoder, mut unread) = decoder(&Method::GET, head);
    let mut decoder = decoder?;
    let (mut data, mut trailers) = (Vec::new(), None);
    for piece in pieces {
        unread.extend_from_slice(piece);
        while let Decoded::Frame(frame) = decoder.advance(&mut unread)? {
            match frame.into_data() {
                Ok(bytes) => data.extend_from_slice(&bytes),
                Err(frame) => trailers = frame.into_trailers().ok(),
            }
        }
    }
    assert!(decoder.is_done(), "{head}: {decoder:?}");
    Ok((data, trailers, unread.to_vec()))
}

const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

#[test]
fn a_body_is_delimited_in_exactly_one_way() {
    let of = |head: &str| decoder(&Method::GET, &format!("HTTP/1.1 {head}\r\n\r\n")).0.map(|decoder| decoder.state);
    for (head, state) in [
        ("200 OK\r\ncontent-length: 5", State::Length(5)),
        ("200 OK\r\ncontent-length: 0", State::Done),
        ("200 OK\r\ntransfer-encoding: Chunked", State::ChunkSize),
        ("200 OK", State::UntilClosed),
        ("204 No Content", State::Done),
        ("304 Not Modified\r\ncontent-length: 9", State::Done),
        ("101 Switching Protocols", State::Done),
    ] {
        assert_eq!(of(head), Ok(state), "{head}");
    }
    for (head, error) in [
        ("200 OK\r\ncontent-length: 5\r\ncontent-length: 5", Malformed::Length),
        ("200 OK\r\ncontent-length: 5, 5", Malformed::Length),
        ("200 OK\r\ncontent-length: +5", Malformed::Length),
        ("200 OK\r\ncontent-length: -1", Malformed::Length),
        ("200 OK\r\ncontent-length:", Malformed::Length),
        ("200 OK\r\ncontent-length: 99999999999999999999", Malformed::Length),
        ("200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked", Malformed::Length),
        ("204 No\r\ncontent-length: 5\r\ntransfer-encoding: chunked", Malformed::Length),
        ("200 OK\r\ntransfer-encoding: chunked\r\ntransfer-encoding: chunked", Malformed::Length),
        ("200 OK\r\ntransfer-encoding: gzip, chunked", Malformed::Coding),
        ("200 OK\r\ntransfer-encoding: identity", Malformed::Coding),
    ] {
        assert_eq!(of(head), Err(error), "{head}");
    }
    let old = decoder(&Method::GET, "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").0;
    assert_eq!(old, Err(Malformed::Coding), "HTTP/1.0 has no chunks");
    let head = decoder(&Method::HEAD, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n").0;
    assert_eq!(head.map(|decoder| decoder.state), Ok(State::Done));
}

#[test]
fn a_connection_goes_on_only_where_both_sides_know_it() {
    let keeps = |text: &str| decoder(&Method::GET, text).0.unwrap().keeps_alive;
    assert!(keeps("HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\n"));
    assert!(keeps("HTTP/1.1 204 No Content\r\nconnection: keep-alive\r\n\r\n"));
    for closing in [
        "HTTP/1.1 200 OK\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\nconnection: Close\r\n\r\n",
        "HTTP/1.1 200 OK\r\ncontent-length: 1\r\nconnection: x, close\r\n\r\n",
        "HTTP/1.0 200 OK\r\ncontent-length: 1\r\n\r\n",
    ] {
        assert!(!keeps(closing), "{closing}");
    }
}

#[test]
fn chunks_and_trailers_are_taken_apart_and_what_follows_stays() {
    let body = b"3\r\nabc\r\nA ;name=\"x\"\r\n0123456789\r\n0\r\nx-sum: 1\r\n\r\nHTTP/1.1";
    let (data, trailers, rest) = decoded(CHUNKED, &[body]).unwrap();
    assert_eq!((data.as_slice(), rest.as_slice()), (&b"abc0123456789"[..], &b"HTTP/1.1"[..]));
    assert_eq!(trailers.unwrap()["x-sum"], "1");
    let pieces: Vec<&[u8]> = body.chunks(1).take(body.len() - 8).collect();
    let (data, trailers, _) = decoded(CHUNKED, &pieces).unwrap();
    assert_eq!((data.as_slice(), trailers.unwrap().len()), (&b"abc0123456789"[..], 1));
}

#[test]
fn chunks_that_could_be_read_otherwise_are_malformed() {
    for body in [
        "\r\n",
        "x\r\n",
        "+3\r\nabc\r\n",
        "-1\r\n",
        "0x3\r\nabc\r\n",
        " 3\r\nabc\r\n",
        "3\nabc\n",
        "3\r\nabcd\r\n",
        "3\r\nabc\n0\r\n\r\n",
        "3\r\nabc\rx",
        "1000000000000000\r\n",
    ] {
        assert_eq!(decoded(CHUNKED, &[body.as_bytes()]).unwrap_err(), Malformed::Chunk, "{body:?}");
    }
    let endless = "1".repeat(MAX_CHUNK_LINE + 1);
    assert_eq!(decoded(CHUNKED, &[endless.as_bytes()]).unwrap_err(), Malformed::Chunk);
    for trailers in ["0\r\nno colon\r\n\r\n", "0\r\na b: c\r\n\r\n", &format!("0\r\nx: {}", "y".repeat(MAX_TRAILERS))] {
        assert_eq!(decoded(CHUNKED, &[trailers.as_bytes()]).unwrap_err(), Malformed::Trailers, "{trailers:?}");
    }
}

proptest! {
    #[test]
    fn however_a_body_is_cut_the_same_comes_of_it(
        chunks in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..40), 0..6),
        cuts in prop::collection::vec(1_usize..30, 1..40),
    ) {
        let mut wire = Vec::new();
        for chunk in &chunks {
            wire.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
            wire.extend_from_slice(chunk);
            wire.extend_from_slice(b"\r\n");
        }
        wire.extend_from_slice(b"0\r\n\r\n");
        let (mut pieces, mut rest) = (Vec::new(), wire.as_slice());
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, behind) = rest.split_at((*cut).min(rest.len()));
            pieces.push(piece);
            rest = behind;
        }
        let (data, trailers, left) = decoded(CHUNKED, &pieces).unwrap();
        prop_assert_eq!(data, chunks.concat());
        prop_assert!(trailers.is_none() && left.is_empty());
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200), chunked: bool) {
        let head = if chunked { CHUNKED } else { "HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n" };
        let (decoder, mut unread) = decoder(&Method::GET, head);
        unread.extend_from_slice(&bytes);
        let mut decoder = decoder.unwrap();
        while let Ok(Decoded::Frame(_)) = decoder.advance(&mut unread) {}
        let _ = head::parse(&mut BytesMut::from(&bytes[..]));
    }
}
