//! Where requests begin and end on a connection (RFC 9112), read strictly and before hyper reads them.
//!
//! Request smuggling lives from two parsers that read the same bytes differently. Whatever leaves room for two
//! readings is refused here: both `Content-Length` and `Transfer-Encoding`, either of them twice, bare CR or LF,
//! folded lines, space before a colon, chunk extensions, a fragment in the target. hyper gets whole heads only, so
//! the bounds on a head's size and time are ours as well. Pure: no I/O, no clock.

use std::{iter, mem};

/// The most header fields of a request.
pub(crate) const MAX_FIELDS: usize = 100;
/// The most bytes of a head.
const MAX_HEAD: usize = 64 * 1024;
/// The most bytes of a request target.
pub(crate) const MAX_TARGET: usize = 8 * 1024;
/// The most bytes of a chunk's size line, and of the fields after the last chunk.
const MAX_CHUNK_LINE: usize = 18;
const MAX_TRAILER: usize = 8 * 1024;

/// Why a connection's bytes are not read any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Not HTTP/1.x, or ambiguous.
    Malformed,
    /// The request target is too long.
    TargetTooLong,
    /// The head has too many fields or bytes.
    HeadTooLarge,
    /// The head did not arrive in time.
    HeadTooSlow,
}

/// Follows the requests on one connection.
#[derive(Debug, Default)]
pub(crate) struct Framing {
    state: State,
    /// How much of an incomplete head was looked at already.
    scanned: usize,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum State {
    #[default]
    Head,
    /// So many bytes of a body with a `Content-Length` are still to come.
    Body(u64),
    ChunkSize,
    /// So many bytes of a chunk are still to come, with the CRLF behind it.
    Chunk(u64),
    Trailer,
}

impl Framing {
    /// Whether the next byte begins a new request.
    pub(crate) fn between_requests(&self) -> bool {
        self.state == State::Head
    }

    /// How many bytes at the front of `buffer` may be passed on; 0 when more must arrive before that is known.
    ///
    /// The buffer must begin where the last call's answer ended.
    pub(crate) fn advance(&mut self, buffer: &[u8]) -> Result<usize, Refusal> {
        match self.state {
            _ if buffer.is_empty() => Ok(0),
            State::Head => self.head(buffer),
            State::Body(left) => {
                let taken = clamp(left, buffer.len());
                let left = left - taken as u64;
                self.state = if left == 0 { State::Head } else { State::Body(left) };
                Ok(taken)
            }
            State::ChunkSize => self.chunk_size(buffer),
            State::Chunk(left) => self.chunk(left, buffer),
            State::Trailer => self.trailer(buffer),
        }
    }

    fn head(&mut self, buffer: &[u8]) -> Result<usize, Refusal> {
        // Empty lines before a request line are left over from sloppy peers (RFC 9112, section 2.2).
        let start = buffer.chunks_exact(2).take_while(|pair| *pair == b"\r\n").count() * 2;
        // Most heads arrive whole and are read at once. Of others the end is looked for first, and only in what is new:
        // bytes that come one by one are not read again each time.
        let seen = mem::replace(&mut self.scanned, buffer.len());
        let mut head = if seen == 0 { read_head(&buffer[start..])? } else { None };
        if head.is_none() && end_of_lines(buffer, start.max(seen.saturating_sub(3)))?.is_some() {
            head = read_head(&buffer[start..])?;
        }
        let Some((state, length)) = head else {
            let first_line = buffer[start..].split(|byte| *byte == b'\r').next().unwrap_or_default();
            if first_line.len() > MAX_TARGET + 64 {
                return Err(Refusal::TargetTooLong);
            }
            return if buffer.len() >= MAX_HEAD { Err(Refusal::HeadTooLarge) } else { Ok(0) };
        };
        if start + length > MAX_HEAD {
            return Err(Refusal::HeadTooLarge);
        }
        self.state = state;
        self.scanned = 0;
        Ok(start + length)
    }

    fn chunk_size(&mut self, buffer: &[u8]) -> Result<usize, Refusal> {
        let Some(end) = buffer.windows(2).position(|pair| pair == b"\r\n") else {
            return if buffer.len() >= MAX_CHUNK_LINE { Err(Refusal::Malformed) } else { Ok(0) };
        };
        let digits = std::str::from_utf8(&buffer[..end]).map_err(|_| Refusal::Malformed)?;
        // `from_str_radix` takes a sign; a chunk size has none, and an extension is no digit.
        if digits.is_empty() || digits.len() > 15 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
            return Err(Refusal::Malformed);
        }
        let size = u64::from_str_radix(digits, 16).map_err(|_| Refusal::Malformed)?;
        self.state = if size == 0 { State::Trailer } else { State::Chunk(size + 2) };
        Ok(end + 2)
    }

    fn chunk(&mut self, left: u64, buffer: &[u8]) -> Result<usize, Refusal> {
        let taken = clamp(left, buffer.len());
        for (offset, byte) in buffer[..taken].iter().enumerate().skip(clamp(left.saturating_sub(2), taken)) {
            let expected = if left - offset as u64 == 2 { b'\r' } else { b'\n' };
            if *byte != expected {
                return Err(Refusal::Malformed);
            }
        }
        let left = left - taken as u64;
        self.state = if left == 0 { State::ChunkSize } else { State::Chunk(left) };
        Ok(taken)
    }

    fn trailer(&mut self, buffer: &[u8]) -> Result<usize, Refusal> {
        if buffer.starts_with(b"\r\n") {
            self.state = State::Head;
            return Ok(2);
        }
        let Some(end) = end_of_lines(buffer, 0)? else {
            return if buffer.len() >= MAX_TRAILER { Err(Refusal::Malformed) } else { Ok(0) };
        };
        let mut lines = &buffer[..end + 2];
        while let Some(line) = take_line(&mut lines)? {
            field(line)?;
        }
        self.state = State::Head;
        Ok(end + 4)
    }
}

fn clamp(left: u64, available: usize) -> usize {
    usize::try_from(left).unwrap_or(usize::MAX).min(available)
}

/// Where the first empty line's CRLF CRLF begins, looking from `from`. Bare CR, bare LF and NUL are refused.
fn end_of_lines(buffer: &[u8], from: usize) -> Result<Option<usize>, Refusal> {
    for at in memchr::memchr3_iter(0, b'\r', b'\n', &buffer[from..]).map(|at| from + at) {
        match buffer[at] {
            b'\r' if buffer.get(at + 1).is_some_and(|next| *next != b'\n') => return Err(Refusal::Malformed),
            b'\r' if buffer[at..].starts_with(b"\r\n\r\n") => return Ok(Some(at)),
            b'\r' => {}
            b'\n' if at > 0 && buffer[at - 1] == b'\r' => {}
            _ => return Err(Refusal::Malformed),
        }
    }
    Ok(None)
}

/// The pieces between `separator`s, like `slice::split`, found many bytes at a time.
pub(crate) fn split(bytes: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut rest = Some(bytes);
    iter::from_fn(move || {
        let bytes = rest?;
        let end = memchr::memchr(separator, bytes);
        rest = end.map(|end| &bytes[end + 1..]);
        Some(&bytes[..end.unwrap_or(bytes.len())])
    })
}

/// Takes a line off the front, without its CRLF; `None` when it has no end yet. Bare LF is refused here, bare CR and NUL
/// by whoever reads the line.
fn take_line<'a>(lines: &mut &'a [u8]) -> Result<Option<&'a [u8]>, Refusal> {
    let Some(end) = memchr::memchr(b'\n', lines) else { return Ok(None) };
    let (line, rest) = lines.split_at(end + 1);
    *lines = rest;
    line.strip_suffix(b"\r\n").map(Some).ok_or(Refusal::Malformed)
}

/// Reads the head that `bytes` begin with, and says what follows it, and after how many bytes; `None` when it has no end.
fn read_head(bytes: &[u8]) -> Result<Option<(State, usize)>, Refusal> {
    let mut lines = bytes;
    let Some(first) = take_line(&mut lines)? else { return Ok(None) };
    let is_1_1 = request_line(first)?;
    let mut length: Option<u64> = None;
    let mut chunked = false;
    for fields in 0.. {
        let Some(line) = take_line(&mut lines)? else { return Ok(None) };
        if line.is_empty() {
            break;
        }
        if fields == MAX_FIELDS {
            return Err(Refusal::HeadTooLarge);
        }
        let (name, value) = field(line)?;
        if name.eq_ignore_ascii_case(b"content-length") {
            if length.replace(decimal(value)?).is_some() {
                return Err(Refusal::Malformed);
            }
        } else if name.eq_ignore_ascii_case(b"transfer-encoding") {
            if chunked || !is_1_1 || !value.eq_ignore_ascii_case(b"chunked") {
                return Err(Refusal::Malformed);
            }
            chunked = true;
        }
    }
    let state = match (chunked, length) {
        (true, Some(_)) => return Err(Refusal::Malformed),
        (true, None) => State::ChunkSize,
        (false, Some(length @ 1..)) => State::Body(length),
        (false, _) => State::Head,
    };
    Ok(Some((state, bytes.len() - lines.len())))
}

/// Checks a request line; true for HTTP/1.1, false for HTTP/1.0.
fn request_line(line: &[u8]) -> Result<bool, Refusal> {
    let mut parts = split(line, b' ');
    let (Some(method), Some(target), Some(version), None) = (parts.next(), parts.next(), parts.next(), parts.next())
    else {
        return Err(Refusal::Malformed);
    };
    if target.len() > MAX_TARGET {
        return Err(Refusal::TargetTooLong);
    }
    if method.is_empty() || !method.iter().all(|byte| is_token(*byte)) || !is_target(target) {
        return Err(Refusal::Malformed);
    }
    match version {
        b"HTTP/1.1" => Ok(true),
        b"HTTP/1.0" => Ok(false),
        _ => Err(Refusal::Malformed),
    }
}

/// Whether hyper takes a request target. It would answer another by itself, without a body.
fn is_target(target: &[u8]) -> bool {
    if is_plain_path(target) {
        return true;
    }
    let is_clean = !target.is_empty() && target.iter().all(|byte| (0x21..=0x7e).contains(byte) && *byte != b'#');
    is_clean && http::Uri::try_from(target).is_ok()
}

/// Whether a target is a path and a query of the commonest characters, which need no parser.
fn is_plain_path(target: &[u8]) -> bool {
    const PLAIN: [bool; 256] = alphanumeric_or(b"/-._~%?=&+");
    target.first() == Some(&b'/') && target.iter().all(|byte| PLAIN[usize::from(*byte)])
}

/// A field's name and its value without the space around it. A folded line begins with space, which no name does.
fn field(line: &[u8]) -> Result<(&[u8], &[u8]), Refusal> {
    let colon =
        line.iter().position(|byte| !is_token(*byte)).filter(|at| line[*at] == b':').ok_or(Refusal::Malformed)?;
    let (name, value) = (&line[..colon], &line[colon + 1..]);
    let printable = |byte: u8| byte == b'\t' || (byte >= 0x20 && byte != 0x7f);
    // Not cut short at the first bad byte, so that many are looked at together.
    let is_printable = value.iter().fold(true, |so_far, byte| so_far & printable(*byte));
    if name.is_empty() || !is_printable {
        return Err(Refusal::Malformed);
    }
    Ok((name, value.trim_ascii()))
}

/// RFC 9110, section 8.6: digits only; no sign, no list.
fn decimal(value: &[u8]) -> Result<u64, Refusal> {
    let text = std::str::from_utf8(value).map_err(|_| Refusal::Malformed)?;
    if text.is_empty() || text.len() > 18 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(Refusal::Malformed);
    }
    text.parse().map_err(|_| Refusal::Malformed)
}

/// RFC 9110, section 5.6.2.
fn is_token(byte: u8) -> bool {
    const TOKEN: [bool; 256] = alphanumeric_or(b"!#$%&'*+-.^_`|~");
    TOKEN[usize::from(byte)]
}

/// Which bytes are letters, digits or one of `marks`. To be looked up: every byte of every target and name is.
pub(crate) const fn alphanumeric_or(marks: &[u8]) -> [bool; 256] {
    let (mut table, mut byte) = ([false; 256], 0_u8);
    while byte < 128 {
        table[byte as usize] = byte.is_ascii_alphanumeric();
        byte += 1;
    }
    let mut at = 0;
    while at < marks.len() {
        table[marks[at] as usize] = true;
        at += 1;
    }
    table
}

#[cfg(test)]
mod tests;
