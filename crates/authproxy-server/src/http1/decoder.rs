//! Where a message's body ends, and what of the bytes belongs to it (RFC 9112, sections 6 and 7).

use bytes::{Buf, Bytes, BytesMut};
use http::HeaderMap;
use http_body::{Frame, SizeHint};

use super::fields;

/// The most bytes of all trailers, and the most of them.
const MAX_TRAILERS: usize = 16 * 1024;
const MAX_TRAILER_FIELDS: usize = 100;

/// How far a body has come.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Decoder(State);

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// So many bytes are still to come.
    Length(u64),
    ChunkSize(Chunks),
    /// So many bytes of a chunk are still to come.
    Chunk(Chunks, u64),
    /// The CRLF behind a chunk.
    ChunkEnd(Chunks),
    Trailers,
    /// It ends with the connection.
    UntilClosed,
    Done,
    /// What came was no body: nothing behind it means anything.
    Failed(BadBody),
}

/// Which lines may stand before a chunk.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Chunks {
    /// A size and nothing else: what the peer of a request has no need for, and smugglers use.
    Bare,
    /// With extensions, which are skipped (RFC 9112, section 7.1.1).
    Extended,
}

impl Chunks {
    /// The most bytes of a line.
    fn longest_line(self) -> usize {
        match self {
            Self::Bare => 16,
            Self::Extended => 4 * 1024,
        }
    }
}

/// Why bytes are no body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum BadBody {
    #[error("a chunk that is none")]
    Chunk,
    #[error("trailers that are none")]
    Trailers,
}

/// What came of the bytes at hand.
#[derive(Debug)]
pub(crate) enum Decoded {
    Frame(Frame<Bytes>),
    /// More must be read.
    More,
    End,
}

impl Decoder {
    /// No body.
    pub(crate) fn none() -> Self {
        Self(State::Done)
    }

    /// A body of so many bytes.
    pub(crate) fn length(length: u64) -> Self {
        Self(if length == 0 { State::Done } else { State::Length(length) })
    }

    /// A body in chunks.
    pub(crate) fn chunked(chunks: Chunks) -> Self {
        Self(State::ChunkSize(chunks))
    }

    /// A body that ends with its connection.
    pub(crate) fn until_closed() -> Self {
        Self(State::UntilClosed)
    }

    pub(crate) fn is_done(&self) -> bool {
        self.0 == State::Done
    }

    /// Whether the connection's end is this body's end too.
    pub(crate) fn ends_with_connection(&self) -> bool {
        matches!(self.0, State::UntilClosed | State::Done)
    }

    /// Bytes that will certainly come, before anything else.
    pub(crate) fn certain(&self) -> u64 {
        match self.0 {
            State::Length(left) | State::Chunk(_, left) => left,
            _ => 0,
        }
    }

    pub(crate) fn size_hint(&self) -> SizeHint {
        match self.0 {
            State::Length(left) => SizeHint::with_exact(left),
            State::Done => SizeHint::with_exact(0),
            _ => SizeHint::default(),
        }
    }

    /// Takes the next part of the body off the front of what was read.
    ///
    /// # Errors
    ///
    /// [`BadBody`], and from then on the same again.
    pub(crate) fn advance(&mut self, unread: &mut BytesMut) -> Result<Decoded, BadBody> {
        let decoded = self.next(unread);
        if let Err(bad) = decoded {
            self.0 = State::Failed(bad);
        }
        decoded
    }

    fn next(&mut self, unread: &mut BytesMut) -> Result<Decoded, BadBody> {
        loop {
            match self.0 {
                State::Done => return Ok(Decoded::End),
                State::Failed(bad) => return Err(bad),
                _ if unread.is_empty() => return Ok(Decoded::More),
                State::UntilClosed => return Ok(data(unread.split().freeze())),
                State::Length(left) => {
                    let taken = take(unread, left);
                    let left = left - taken.len() as u64;
                    self.0 = if left == 0 { State::Done } else { State::Length(left) };
                    return Ok(data(taken));
                }
                State::Chunk(chunks, left) => {
                    let taken = take(unread, left);
                    let left = left - taken.len() as u64;
                    self.0 = if left == 0 { State::ChunkEnd(chunks) } else { State::Chunk(chunks, left) };
                    return Ok(data(taken));
                }
                State::ChunkEnd(chunks) => match unread[..] {
                    [b'\r', b'\n', ..] => {
                        unread.advance(2);
                        self.0 = State::ChunkSize(chunks);
                    }
                    [b'\r'] => return Ok(Decoded::More),
                    _ => return Err(BadBody::Chunk),
                },
                State::ChunkSize(chunks) => {
                    let Some(line) = line(unread, chunks.longest_line()).ok_or(BadBody::Chunk)? else {
                        return Ok(Decoded::More);
                    };
                    self.0 = match chunk_size(&line, chunks)? {
                        0 => State::Trailers,
                        size => State::Chunk(chunks, size),
                    };
                }
                State::Trailers => {
                    let Some(trailers) = trailers(unread)? else { return Ok(Decoded::More) };
                    self.0 = State::Done;
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

/// RFC 9112, section 7.1: hexadecimal digits, and perhaps extensions that nobody needs.
fn chunk_size(line: &[u8], chunks: Chunks) -> Result<u64, BadBody> {
    let digits = match chunks {
        Chunks::Bare => line,
        Chunks::Extended => line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii_end(),
    };
    // `from_str_radix` would take a sign.
    if digits.is_empty() || digits.len() > 15 || !digits.iter().all(u8::is_ascii_hexdigit) {
        return Err(BadBody::Chunk);
    }
    let digits = str::from_utf8(digits).map_err(|_| BadBody::Chunk)?;
    u64::from_str_radix(digits, 16).map_err(|_| BadBody::Chunk)
}

/// The fields behind the last chunk, with the empty line; `None` while they are not whole.
fn trailers(unread: &mut BytesMut) -> Result<Option<HeaderMap>, BadBody> {
    let end = match &unread[..] {
        [b'\r', b'\n', ..] => Some(2),
        lines => fields::end(lines),
    };
    match end {
        Some(end) if end <= MAX_TRAILERS => {
            let text = unread.split_to(end).freeze();
            fields::read(&text, 0, MAX_TRAILER_FIELDS).map(Some).map_err(|_| BadBody::Trailers)
        }
        None if unread.len() < MAX_TRAILERS => Ok(None),
        _ => Err(BadBody::Trailers),
    }
}

#[cfg(test)]
mod tests;
