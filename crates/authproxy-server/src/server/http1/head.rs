//! The head of a request (RFC 9112, sections 3 and 5), read strictly.
//!
//! Request smuggling lives from two parsers that read the same bytes differently. Whatever leaves room for two readings
//! is refused: both `Content-Length` and `Transfer-Encoding`, either of them twice, bare CR or LF, folded lines, space
//! before a colon, a fragment in the target.

use bytes::{Bytes, BytesMut};
use http::{
    HeaderMap, HeaderValue, Method, Request, Uri, Version,
    header::{CONNECTION, CONTENT_LENGTH, EXPECT, TE, TRANSFER_ENCODING},
    request::Parts,
};

use crate::{
    ascii,
    heads::{MAX_FIELDS, MAX_HEAD, MAX_TARGET, Refusal},
    http1::{
        decoder::{Chunks, Decoder},
        fields::{self, BadFields},
    },
};

/// A request's head, and what it says of the bytes behind it.
pub(super) struct Head {
    /// Boxed: it goes through many functions.
    pub(super) parts: Box<Parts>,
    pub(super) body: Decoder,
    /// Whether the peer wants the connection to go on behind the answer (RFC 9112, section 9.3).
    pub(super) keeps_alive: bool,
    /// Whether the peer holds its body back until it is told to go on (RFC 9110, section 10.1.1).
    pub(super) expects_continue: bool,
    /// Whether the peer takes trailers (RFC 9110, section 6.5.1).
    pub(super) takes_trailers: bool,
}

/// Which fields about the connection are there. Most requests have none; that is seen at once, a search for each costs
/// more.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each says that one is there")]
struct Control {
    connection: bool,
    length: bool,
    coding: bool,
    expect: bool,
    te: bool,
}

impl Control {
    fn of(headers: &HeaderMap) -> Self {
        let mut control = Self::default();
        for name in headers.keys() {
            control.connection |= *name == CONNECTION;
            control.length |= *name == CONTENT_LENGTH;
            control.coding |= *name == TRANSFER_ENCODING;
            control.expect |= *name == EXPECT;
            control.te |= *name == TE;
        }
        control
    }
}

/// Takes a head off the front of what has arrived; `None` while it is not whole. `seen` is how much was looked at before.
pub(super) fn take(unread: &mut BytesMut, seen: usize) -> Result<Option<Head>, Refusal> {
    // Empty lines before a request line are left over from sloppy peers (RFC 9112, section 2.2).
    let start = unread.chunks_exact(2).take_while(|pair| *pair == b"\r\n").count() * 2;
    let from = start.max(seen.saturating_sub(3));
    let Some(end) = fields::end(&unread[from..]).map(|end| from + end) else {
        return incomplete(unread, start, from).map(|()| None);
    };
    if end > MAX_HEAD {
        return Err(Refusal::HeadTooLarge);
    }
    let text = unread.split_to(end).freeze();
    let mut lines = &text[start..];
    let first = fields::take_line(&mut lines)?.ok_or(Refusal::Malformed)?;
    let mut parts = request_line(&text, first)?;
    parts.headers = fields::read(&text, end - lines.len(), MAX_FIELDS)?;
    let control = Control::of(&parts.headers);
    let body = body(&parts, control)?;
    let keeps_alive = keeps_alive(&parts, control);
    let expects_continue = control.expect && expects_continue(&parts);
    let takes_trailers = control.te && takes_trailers(&parts);
    Ok(Some(Head { parts, body, keeps_alive, expects_continue, takes_trailers }))
}

/// Refuses early what will be no head, or too large a one, however it goes on. It begins at `start`; what lies before
/// `from` was looked at.
fn incomplete(unread: &[u8], start: usize, from: usize) -> Result<(), Refusal> {
    for at in memchr::memchr3_iter(0, b'\r', b'\n', &unread[from..]).map(|at| from + at) {
        let is_line_end = match unread[at] {
            b'\r' => unread.get(at + 1).is_none_or(|next| *next == b'\n'),
            b'\n' => at > 0 && unread[at - 1] == b'\r',
            _ => false,
        };
        if !is_line_end {
            return Err(Refusal::Malformed);
        }
    }
    let first_line = ascii::split(&unread[start..], b'\r').next().unwrap_or_default();
    if first_line.len() > MAX_TARGET + 64 {
        return Err(Refusal::TargetTooLong);
    }
    if unread.len() >= MAX_HEAD { Err(Refusal::HeadTooLarge) } else { Ok(()) }
}

/// Method, target and version (RFC 9112, section 3).
fn request_line(text: &Bytes, line: &[u8]) -> Result<Box<Parts>, Refusal> {
    let mut words = ascii::split(line, b' ');
    let (Some(method), Some(target), Some(version), None) = (words.next(), words.next(), words.next(), words.next())
    else {
        return Err(Refusal::Malformed);
    };
    if target.len() > MAX_TARGET {
        return Err(Refusal::TargetTooLong);
    }
    if !ascii::is_visible(target) || target.contains(&b'#') {
        return Err(Refusal::Malformed);
    }
    let mut parts = Box::new(Request::new(()).into_parts().0);
    parts.method = Method::from_bytes(method).map_err(|_| Refusal::Malformed)?;
    parts.uri = Uri::from_maybe_shared(text.slice_ref(target)).map_err(|_| Refusal::Malformed)?;
    parts.version = match version {
        b"HTTP/1.1" => Version::HTTP_11,
        b"HTTP/1.0" => Version::HTTP_10,
        _ => return Err(Refusal::Malformed),
    };
    Ok(parts)
}

/// How the body is delimited (RFC 9112, section 6.3).
fn body(parts: &Parts, control: Control) -> Result<Decoder, Refusal> {
    if !control.length && !control.coding {
        return Ok(Decoder::none());
    }
    let (length, coding) = (only(&parts.headers, &CONTENT_LENGTH)?, only(&parts.headers, &TRANSFER_ENCODING)?);
    match (length, coding) {
        (Some(length), None) => fields::decimal(length).map(Decoder::length).ok_or(Refusal::Malformed),
        (None, Some(coding))
            if parts.version == Version::HTTP_11 && coding.as_bytes().eq_ignore_ascii_case(b"chunked") =>
        {
            Ok(Decoder::chunked(Chunks::Bare))
        }
        _ => Err(Refusal::Malformed),
    }
}

/// The value of a field that may be there once.
fn only<'a>(headers: &'a HeaderMap, name: &http::HeaderName) -> Result<Option<&'a HeaderValue>, Refusal> {
    let mut values = headers.get_all(name).iter();
    match (values.next(), values.next()) {
        (_, Some(_)) => Err(Refusal::Malformed),
        (value, None) => Ok(value),
    }
}

fn keeps_alive(parts: &Parts, control: Control) -> bool {
    let wants = |option| control.connection && fields::wants(&parts.headers, option);
    !wants("close") && (parts.version == Version::HTTP_11 || wants("keep-alive"))
}

fn expects_continue(parts: &Parts) -> bool {
    let expects = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(b"100-continue");
    parts.version == Version::HTTP_11 && parts.headers.get(EXPECT).is_some_and(expects)
}

fn takes_trailers(parts: &Parts) -> bool {
    parts.headers.get_all(TE).iter().any(|value| fields::lists(value, "trailers"))
}

impl From<BadFields> for Refusal {
    fn from(bad: BadFields) -> Self {
        match bad {
            BadFields::Malformed => Self::Malformed,
            BadFields::TooMany => Self::HeadTooLarge,
        }
    }
}
