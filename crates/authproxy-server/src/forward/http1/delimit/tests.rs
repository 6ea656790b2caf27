#![allow(clippy::unwrap_used)]

use bytes::BytesMut;

use super::*;
use crate::forward::http1::head;

fn rest_of(method: &Method, text: &str) -> Result<Rest, Malformed> {
    rest(&head::parse(&mut BytesMut::from(text)).unwrap().unwrap(), method)
}

#[test]
fn a_body_is_delimited_in_exactly_one_way() {
    let of = |head: &str| rest_of(&Method::GET, &format!("HTTP/1.1 {head}\r\n\r\n")).map(|rest| rest.body);
    for (head, state) in [
        ("200 OK\r\ncontent-length: 5", Decoder::length(5)),
        ("200 OK\r\ncontent-length: 0", Decoder::none()),
        ("200 OK\r\ntransfer-encoding: Chunked", Decoder::chunked(Chunks::Extended)),
        ("200 OK", Decoder::until_closed()),
        ("204 No Content", Decoder::none()),
        ("304 Not Modified\r\ncontent-length: 9", Decoder::none()),
        ("101 Switching Protocols", Decoder::none()),
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
    let old = rest_of(&Method::GET, "HTTP/1.0 200 OK\r\ntransfer-encoding: chunked\r\n\r\n");
    assert_eq!(old, Err(Malformed::Coding), "HTTP/1.0 has no chunks");
    let head = rest_of(&Method::HEAD, "HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\n");
    assert_eq!(head.map(|rest| rest.body), Ok(Decoder::none()));
}

#[test]
fn a_connection_goes_on_only_where_both_sides_know_it() {
    let keeps = |text: &str| rest_of(&Method::GET, text).unwrap().keeps_alive;
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
