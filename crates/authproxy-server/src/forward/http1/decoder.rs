//! Where an answer's body ends, and what of the bytes belongs to it (RFC 9112, sections 6 and 7).

use bytes::{Buf, Bytes, BytesMut};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Response, StatusCode, Version,
    header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING},
};
use http_body::{Frame, SizeHint};

use super::Malformed;

/// The most bytes of a chunk's size line, with its extensions, and of all trailers.
const MAX_CHUNK_LINE: usize = 4 * 1024;
const MAX_TRAILERS: usize = 16 * 1024;
const MAX_TRAILER_FIELDS: usize = 100;

/// How far a body has come.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Decoder {
    state: State,
    /// Whether the connection may carry another exchange afterwards.
    pub(super) keeps_alive: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// So many bytes are still to come.
    Length(u64),
    ChunkSize,
    /// So many bytes of a chunk are still to come.
    Chunk(u64),
    /// The CRLF behind a chunk.
    ChunkEnd,
    Trailers,
    /// It ends with the connection.
    UntilClosed,
    Done,
}

/// What came of the bytes at hand.
#[derive(Debug)]
pub(super) enum Decoded {
    Frame(Frame<Bytes>),
    /// More must be read.
    More,
    End,
}

impl Decoder {
    /// How the body behind this head is delimited (RFC 9112, section 6.3).
    pub(super) fn of(head: &Response<()>, method: &Method) -> Result<Self, Malformed> {
        let (status, headers, version) = (head.status(), head.headers(), head.version());
        let keeps_alive = version == Version::HTTP_11 && !closes(headers);
        let mut lengths = headers.get_all(CONTENT_LENGTH).iter();
        let mut codings = headers.get_all(TRANSFER_ENCODING).iter();
        let (length, coding) = (lengths.next().map(decimal).transpose()?, codings.next());
        if lengths.next().is_some() || codings.next().is_some() || (length.is_some() && coding.is_some()) {
            return Err(Malformed::Length);
        }
        let has_none = *method == Method::HEAD
            || status.is_informational()
            || [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&status);
        let state = match (length, coding) {
            _ if has_none => State::Done,
            (None, Some(coding)) => {
                // What is coded in another way could not be passed on: `Transfer-Encoding` stays on this connection.
                let is_chunked = coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked");
                if !is_chunked || version != Version::HTTP_11 {
                    return Err(Malformed::Coding);
                }
                State::ChunkSize
            }
            (Some(0), _) => State::Done,
            (Some(length), _) => State::Length(length),
            (None, None) => State::UntilClosed,
        };
        Ok(Self { state, keeps_alive: keeps_alive && state != State::UntilClosed })
    }

    pub(super) fn is_done(&self) -> bool {
        self.state == State::Done
    }

    /// Whether the connection's end is this body's end too.
    pub(super) fn ends_with_connection(&self) -> bool {
        matches!(self.state, State::UntilClosed | State::Done)
    }

    /// Bytes that will certainly come, before anything else.
    pub(super) fn certain(&self) -> u64 {
        match self.state {
            State::Length(left) | State::Chunk(left) => left,
            _ => 0,
        }
    }

    pub(super) fn size_hint(&self) -> SizeHint {
        match self.state {
            State::Length(left) => SizeHint::with_exact(left),
            State::Done => SizeHint::with_exact(0),
            _ => SizeHint::default(),
        }
    }

    /// Takes the next part of the body off the front of what was read.
    pub(super) fn advance(&mut self, unread: &mut BytesMut) -> Result<Decoded, Malformed> {
        loop {
            match self.state {
                State::Done => return Ok(Decoded::End),
                _ if unread.is_empty() => return Ok(Decoded::More),
                State::UntilClosed => return Ok(data(unread.split().freeze())),
                State::Length(left) => {
                    let taken = take(unread, left);
                    let left = left - taken.len() as u64;
                    self.state = if left == 0 { State::Done } else { State::Length(left) };
                    return Ok(data(taken));
                }
                State::Chunk(left) => {
                    let taken = take(unread, left);
                    let left = left - taken.len() as u64;
                    self.state = if left == 0 { State::ChunkEnd } else { State::Chunk(left) };
                    return Ok(data(taken));
                }
                State::ChunkEnd => match unread[..] {
                    [b'\r', b'\n', ..] => {
                        unread.advance(2);
                        self.state = State::ChunkSize;
                    }
                    [b'\r'] => return Ok(Decoded::More),
                    _ => return Err(Malformed::Chunk),
                },
                State::ChunkSize => {
                    let Some(line) = line(unread, MAX_CHUNK_LINE).ok_or(Malformed::Chunk)? else {
                        return Ok(Decoded::More);
                    };
                    self.state = match chunk_size(&line)? {
                        0 => State::Trailers,
                        size => State::Chunk(size),
                    };
                }
                State::Trailers => {
                    let Some(trailers) = trailers(unread)? else { return Ok(Decoded::More) };
                    self.state = State::Done;
                    if !trailers.is_empty() {
                        return Ok(Decoded::Frame(Frame::trailers(trailers)));
                    }
                }
            }
        }
    }
}

fn data(bytes: Bytes) -> Decoded {
    Decoded::Frame(Frame::data(bytes))
}

/// At most `left` bytes; all that there are, without a copy.
fn take(unread: &mut BytesMut, left: u64) -> Bytes {
    match usize::try_from(left) {
        Ok(left) if left < unread.len() => unread.split_to(left).freeze(),
        _ => unread.split().freeze(),
    }
}

/// A line without its CRLF; `Some(None)` while it is not whole, `None` when it is too long or ends otherwise.
#[allow(clippy::option_option, reason = "not yet, and never")]
fn line(unread: &mut BytesMut, limit: usize) -> Option<Option<BytesMut>> {
    match memchr::memchr(b'\n', unread) {
        Some(end) if end > limit || end == 0 || unread[end - 1] != b'\r' => None,
        Some(end) => {
            let mut line = unread.split_to(end + 1);
            line.truncate(end - 1);
            Some(Some(line))
        }
        None if unread.len() > limit => None,
        None => Some(None),
    }
}

/// RFC 9112, section 7.1: hexadecimal digits, and extensions that nobody needs.
fn chunk_size(line: &[u8]) -> Result<u64, Malformed> {
    let digits = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii_end();
    // `from_str_radix` would take a sign.
    if digits.is_empty() || digits.len() > 15 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(Malformed::Chunk);
    }
    let digits = str::from_utf8(digits).map_err(|_| Malformed::Chunk)?;
    u64::from_str_radix(digits, 16).map_err(|_| Malformed::Chunk)
}

/// The fields behind the last chunk, with the empty line; `None` while they are not whole.
fn trailers(unread: &mut BytesMut) -> Result<Option<HeaderMap>, Malformed> {
    let mut fields = [httparse::EMPTY_HEADER; MAX_TRAILER_FIELDS];
    match httparse::parse_headers(unread, &mut fields) {
        Ok(httparse::Status::Complete((end, fields))) => {
            let mut trailers = HeaderMap::with_capacity(fields.len());
            for field in fields {
                let name = HeaderName::from_bytes(field.name.as_bytes()).map_err(|_| Malformed::Trailers)?;
                let value = HeaderValue::from_bytes(field.value).map_err(|_| Malformed::Trailers)?;
                trailers.append(name, value);
            }
            unread.advance(end);
            Ok(Some(trailers))
        }
        Ok(httparse::Status::Partial) if unread.len() <= MAX_TRAILERS => Ok(None),
        _ => Err(Malformed::Trailers),
    }
}

/// RFC 9110, section 8.6: digits only; no sign, no list.
fn decimal(value: &HeaderValue) -> Result<u64, Malformed> {
    let digits = value.as_bytes();
    if digits.is_empty() || digits.len() > 18 || !digits.iter().all(u8::is_ascii_digit) {
        return Err(Malformed::Length);
    }
    Ok(digits.iter().fold(0, |number, digit| number * 10 + u64::from(digit - b'0')))
}

/// Whether the upstream ends the connection behind this answer (RFC 9112, section 9.3).
fn closes(headers: &HeaderMap) -> bool {
    let options = headers.get_all(CONNECTION).iter().flat_map(|value| value.as_bytes().split(|byte| *byte == b','));
    options.map(<[u8]>::trim_ascii).any(|option| option.eq_ignore_ascii_case(b"close"))
}

#[cfg(test)]
mod tests;
