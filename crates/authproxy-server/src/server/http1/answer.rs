//! An answer as it is written (RFC 9112, sections 4 and 6).

use std::{
    fmt,
    future::poll_fn,
    io::{self, Write as _},
    pin::Pin,
    task::{Context, Poll},
};

use bytes::{Buf as _, Bytes, BytesMut};
use http::{
    HeaderMap, Method, StatusCode, Version,
    header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING},
    response,
};
use http_body::{Body as _, Frame};
use hyper::ext::ReasonPhrase;
use tokio::io::{AsyncWrite, AsyncWriteExt as _};

use super::head::Head;
use crate::{body::Body, http1::fields};

/// Room for the head of most answers, and a small body.
const USUAL: usize = 2 * 1024;
/// Up to how many bytes a piece of a body is copied, so that it goes out together with what is before it.
const COPIED: usize = 16 * 1024;

/// What of a request decides how it is answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Asked {
    is_head: bool,
    version: Version,
    keeps_alive: bool,
    takes_trailers: bool,
}

impl Asked {
    pub(super) fn of(head: &Head) -> Self {
        Self {
            is_head: head.parts.method == Method::HEAD,
            version: head.parts.version,
            keeps_alive: head.keeps_alive,
            takes_trailers: head.takes_trailers,
        }
    }

    /// Where no request could be read.
    pub(super) fn by_nobody() -> Self {
        Self { is_head: false, version: Version::HTTP_11, keeps_alive: false, takes_trailers: false }
    }
}

/// How a body is delimited.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Delimiter {
    /// So many bytes are still to come.
    Length(u64),
    Chunks {
        with_trailers: bool,
    },
    /// Nothing: it ends with the connection. Only HTTP/1.0 has to do with that.
    End,
}

/// An answer on its way: what is to be written next, in this order.
pub(super) struct Outgoing {
    bytes: Vec<u8>,
    /// How many of them are out.
    written: usize,
    /// A piece of the body that is too large to be copied, and what stands behind it.
    piece: Bytes,
    tail: &'static [u8],
    delimiter: Delimiter,
    has_ended: bool,
    /// Whether the connection goes on behind it.
    pub(super) keeps_alive: bool,
}

impl Outgoing {
    /// An answer's head, behind the bytes that must go `before` it. With `is_last` nothing is read any more behind it.
    pub(super) fn new(before: BytesMut, answer: &response::Parts, body: &Body, asked: Asked, is_last: bool) -> Self {
        let status = answer.status;
        let has_body = !asked.is_head
            && !status.is_informational()
            && ![StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&status);
        let (delimiter, has_ended) = match body.size_hint().exact() {
            _ if !has_body => (Delimiter::Length(0), true),
            Some(length) => (Delimiter::Length(length), length == 0),
            None if asked.version == Version::HTTP_11 => {
                (Delimiter::Chunks { with_trailers: asked.takes_trailers }, false)
            }
            None => (Delimiter::End, false),
        };
        let keeps_alive = asked.keeps_alive && !is_last && delimiter != Delimiter::End;
        let (written, piece, tail) = (0, Bytes::new(), &b""[..]);
        let mut out = Self { bytes: Vec::from(before), written, piece, tail, delimiter, has_ended, keeps_alive };
        out.bytes.reserve(USUAL);
        out.status_line(answer, asked.version);
        let says_connection = out.fields(&answer.headers);
        if has_body {
            match delimiter {
                Delimiter::Length(length) => out.content_length(length),
                Delimiter::Chunks { .. } => out.bytes.extend_from_slice(b"transfer-encoding: chunked\r\n"),
                Delimiter::End => {}
            }
        } else if asked.is_head || status == StatusCode::NOT_MODIFIED {
            // What a GET would be answered with, as far as that is known (RFC 9110, section 8.6).
            match (answer.headers.get(CONTENT_LENGTH), body.size_hint().exact()) {
                (Some(length), _) => fields::write(&mut out.bytes, &CONTENT_LENGTH, length.as_bytes()),
                (None, Some(length @ 1..)) => out.content_length(length),
                _ => {}
            }
        }
        if !says_connection {
            match asked.version {
                _ if !keeps_alive => out.bytes.extend_from_slice(b"connection: close\r\n"),
                Version::HTTP_10 => out.bytes.extend_from_slice(b"connection: keep-alive\r\n"),
                _ => {}
            }
        }
        out.bytes.extend_from_slice(b"\r\n");
        out
    }

    fn status_line(&mut self, answer: &response::Parts, version: Version) {
        let version: &[u8] = if version == Version::HTTP_10 { b"HTTP/1.0 " } else { b"HTTP/1.1 " };
        self.bytes.extend_from_slice(version);
        self.bytes.extend_from_slice(answer.status.as_str().as_bytes());
        self.bytes.push(b' ');
        let reason = answer.extensions.get::<ReasonPhrase>().map(AsRef::as_ref);
        let usual = || answer.status.canonical_reason().unwrap_or_default().as_bytes();
        self.bytes.extend_from_slice(reason.unwrap_or_else(usual));
        self.bytes.extend_from_slice(b"\r\n");
    }

    /// What the answer itself says; how it is delimited is said elsewhere. Whether something is said of the connection.
    fn fields(&mut self, headers: &HeaderMap) -> bool {
        let mut says_connection = false;
        for (name, value) in headers {
            if *name == CONTENT_LENGTH || *name == TRANSFER_ENCODING {
                continue;
            }
            if *name == CONNECTION {
                says_connection = true;
                self.keeps_alive &= !fields::wants(headers, "close");
            }
            fields::write(&mut self.bytes, name, value.as_bytes());
        }
        says_connection
    }

    fn content_length(&mut self, length: u64) {
        self.bytes.extend_from_slice(b"content-length: ");
        write_number(&mut self.bytes, format_args!("{length}"));
        self.bytes.extend_from_slice(b"\r\n");
    }

    /// Adds the next part of the body, or its end. More than was said is not written.
    pub(super) fn push(&mut self, part: Option<Frame<Bytes>>) -> Result<(), WrongLength> {
        let Some(part) = part else { return self.end(&HeaderMap::new()) };
        match (part.into_data(), self.delimiter) {
            (Ok(data), Delimiter::Length(left)) => {
                let left = left.checked_sub(data.len() as u64).ok_or(WrongLength)?;
                self.delimiter = Delimiter::Length(left);
                self.has_ended = left == 0;
                self.data(data, b"");
            }
            (Ok(data), Delimiter::Chunks { .. }) if !data.is_empty() => {
                write_number(&mut self.bytes, format_args!("{:x}", data.len()));
                self.bytes.extend_from_slice(b"\r\n");
                self.data(data, b"\r\n");
            }
            (Ok(data), _) => self.data(data, b""),
            (Err(other), _) => return self.end(&other.into_trailers().unwrap_or_default()),
        }
        Ok(())
    }

    fn data(&mut self, data: Bytes, tail: &'static [u8]) {
        if data.len() <= COPIED {
            self.bytes.extend_from_slice(&data);
            self.bytes.extend_from_slice(tail);
        } else {
            (self.piece, self.tail) = (data, tail);
        }
    }

    fn end(&mut self, trailers: &HeaderMap) -> Result<(), WrongLength> {
        if self.has_ended {
            return Ok(());
        }
        self.has_ended = true;
        match self.delimiter {
            Delimiter::Length(0) | Delimiter::End => {}
            Delimiter::Length(_) => return Err(WrongLength),
            Delimiter::Chunks { with_trailers } => {
                self.bytes.extend_from_slice(b"0\r\n");
                if with_trailers {
                    fields::write_all(&mut self.bytes, trailers);
                } else {
                    self.bytes.extend_from_slice(b"\r\n");
                }
            }
        }
        Ok(())
    }
}

/// The body is not as long as the head says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct WrongLength;

fn write_number(bytes: &mut Vec<u8>, number: fmt::Arguments<'_>) {
    let _ = bytes.write_fmt(number); // a vector takes everything
}

impl Outgoing {
    /// Whether the last byte was added.
    pub(super) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Whether there is room for another part of the body: little is queued, and it can be copied.
    pub(super) fn has_room(&self) -> bool {
        self.piece.is_empty() && self.tail.is_empty() && self.bytes.len() - self.written < COPIED
    }

    /// Whether all that was added is out.
    pub(super) fn is_empty(&self) -> bool {
        self.written == self.bytes.len() && self.piece.is_empty() && self.tail.is_empty()
    }

    /// Writes what is next. Vectors only where there is more than one part: they cost more.
    pub(super) fn poll_write(
        &self,
        io: &mut (impl AsyncWrite + Unpin),
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<usize>> {
        let bytes = &self.bytes[self.written..];
        if self.piece.is_empty() && self.tail.is_empty() {
            return Pin::new(io).poll_write(cx, bytes);
        }
        let parts = [bytes, &self.piece, self.tail].map(io::IoSlice::new);
        let begin = parts.iter().position(|part| !part.is_empty()).unwrap_or_default();
        Pin::new(io).poll_write_vectored(cx, &parts[begin..])
    }

    /// Writes all that was added.
    pub(super) async fn write_all(&mut self, io: &mut (impl AsyncWrite + Unpin)) -> io::Result<()> {
        while !self.is_empty() {
            match poll_fn(|cx| self.poll_write(io, cx)).await? {
                0 => return Err(io::ErrorKind::WriteZero.into()),
                written => self.advance(written),
            }
        }
        io.flush().await
    }

    /// So many bytes of it were written.
    pub(super) fn advance(&mut self, written: usize) {
        let of_bytes = written.min(self.bytes.len() - self.written);
        self.written += of_bytes;
        let of_piece = (written - of_bytes).min(self.piece.len());
        self.piece.advance(of_piece);
        self.tail = &self.tail[written - of_bytes - of_piece..];
        if self.written == self.bytes.len() {
            self.bytes.clear();
            self.written = 0;
        }
    }
}

#[cfg(test)]
mod tests;
