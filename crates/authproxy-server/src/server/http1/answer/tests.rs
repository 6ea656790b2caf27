#![allow(clippy::unwrap_used)]

use http::{HeaderValue, Response};

use super::*;

const ASKED: Asked = Asked { is_head: false, version: Version::HTTP_11, keeps_alive: true, takes_trailers: true };

/// What is queued.
fn text(out: &Outgoing) -> String {
    String::from_utf8([&out.bytes[out.written..], &out.piece, out.tail].concat()).unwrap()
}

/// What is written of an answer with these fields; whether the connection goes on.
fn written(status: u16, fields: &[(&'static str, &'static str)], body: &'static str, asked: Asked) -> (String, bool) {
    let mut answer = Response::builder().status(status);
    for (name, value) in fields {
        answer = answer.header(*name, HeaderValue::from_static(value));
    }
    let (parts, body) = answer.body(Body::whole(body)).unwrap().into_parts();
    let mut out = Outgoing::new(BytesMut::new(), &parts, &body, asked, false);
    if !out.has_ended() {
        let Body::Whole(full) = body else { unreachable!() };
        let data = futures_util::FutureExt::now_or_never(http_body_util::BodyExt::collect(full)).unwrap().unwrap();
        out.push(Some(Frame::data(data.to_bytes()))).unwrap();
    }
    assert!(out.has_ended());
    (text(&out), out.keeps_alive)
}

#[test]
fn a_body_at_hand_is_delimited_by_its_length() {
    let head = Asked { is_head: true, ..ASKED };
    for (status, fields, body, asked, expected) in [
        (200, &[][..], "abc", ASKED, "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc"),
        (
            200,
            &[("content-length", "9"), ("transfer-encoding", "chunked")],
            "abc",
            ASKED,
            "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc",
        ),
        (404, &[("a", "b")], "", ASKED, "HTTP/1.1 404 Not Found\r\na: b\r\ncontent-length: 0\r\n\r\n"),
        (204, &[("content-length", "0")], "", ASKED, "HTTP/1.1 204 No Content\r\n\r\n"),
        (304, &[("content-length", "9")], "", ASKED, "HTTP/1.1 304 Not Modified\r\ncontent-length: 9\r\n\r\n"),
        (200, &[], "abc", head, "HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n"),
        (200, &[("content-length", "9")], "", head, "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\n"),
        (200, &[], "", head, "HTTP/1.1 200 OK\r\n\r\n"),
        (
            101,
            &[("connection", "upgrade")],
            "",
            ASKED,
            "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\n\r\n",
        ),
        (299, &[], "", ASKED, "HTTP/1.1 299 \r\ncontent-length: 0\r\n\r\n"),
    ] {
        assert_eq!(written(status, fields, body, asked), (expected.into(), true));
    }
}

#[test]
fn whoever_asks_for_the_end_gets_it_said() {
    let old = Asked { version: Version::HTTP_10, ..ASKED };
    let closing = Asked { keeps_alive: false, ..ASKED };
    for (fields, asked, expected) in [
        (&[][..], closing, ("HTTP/1.1 200 OK\r\ncontent-length: 1\r\nconnection: close\r\n\r\nx", false)),
        (
            &[("connection", "close")],
            ASKED,
            ("HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: 1\r\n\r\nx", false),
        ),
        (&[], old, ("HTTP/1.0 200 OK\r\ncontent-length: 1\r\nconnection: keep-alive\r\n\r\nx", true)),
        (
            &[],
            Asked { keeps_alive: false, ..old },
            ("HTTP/1.0 200 OK\r\ncontent-length: 1\r\nconnection: close\r\n\r\nx", false),
        ),
    ] {
        assert_eq!(written(200, fields, "x", asked), (expected.0.into(), expected.1));
    }
}

/// An answer whose body has no known length, with nothing queued.
fn streamed(delimiter: Delimiter) -> Outgoing {
    let (parts, body) = Response::new(Body::whole("")).into_parts();
    let mut out = Outgoing::new(BytesMut::new(), &parts, &body, ASKED, false);
    out.advance(out.bytes.len());
    (out.delimiter, out.has_ended) = (delimiter, false);
    out
}

fn data(bytes: impl Into<Bytes>) -> Frame<Bytes> {
    Frame::data(bytes.into())
}

#[test]
fn a_body_without_a_length_goes_in_chunks_and_a_large_piece_is_not_copied() {
    let mut trailers = HeaderMap::new();
    trailers.insert("x-sum", HeaderValue::from_static("1"));
    for (with_trailers, end) in [(true, "0\r\nx-sum: 1\r\n\r\n"), (false, "0\r\n\r\n")] {
        let mut out = streamed(Delimiter::Chunks { with_trailers });
        out.push(Some(data(""))).unwrap();
        assert!(out.is_empty(), "an empty chunk would be the last one");
        out.push(Some(data("hello, world"))).unwrap();
        assert_eq!(text(&out), "c\r\nhello, world\r\n");
        assert!(out.has_room());
        out.push(Some(data(vec![b'x'; COPIED + 1]))).unwrap();
        assert!(!out.has_room());
        let all = text(&out);
        for step in [1, 20, COPIED - 10, 5] {
            out.advance(step);
        }
        assert_eq!(text(&out), all[1 + 20 + (COPIED - 10) + 5..]);
        out.advance(text(&out).len());
        assert!(out.is_empty() && out.has_room());
        out.push(Some(Frame::trailers(trailers.clone()))).unwrap();
        out.push(None).unwrap();
        assert_eq!((text(&out).as_str(), out.has_ended()), (end, true));
    }
}

#[test]
fn a_body_is_never_longer_or_shorter_than_its_head_says() {
    for parts in
        [vec![Some(data("abcd"))], vec![Some(data("ab")), Some(data("cd"))], vec![Some(data("ab")), None], vec![None]]
    {
        let mut out = streamed(Delimiter::Length(3));
        let outcome = parts.into_iter().try_for_each(|part| out.push(part));
        assert_eq!((outcome, out.has_ended() && outcome.is_ok()), (Err(WrongLength), false));
        assert!(text(&out).len() <= 3);
    }
}
