//! The body of an answer, read from its connection as its reader wants it, and what becomes of the connection.

use std::{
    io::{self, ErrorKind},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{
    Wire,
    delimit::Rest,
    io::{Io, Reading},
    streaming::Streaming,
};
use crate::http1::{
    decoder::{BadBody, Decoded, Decoder},
    reading::poll_fill,
};

/// Why a body breaks off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BrokenBody {
    #[error("the connection ended early")]
    Closed(#[source] io::Error),
    #[error("it is malformed")]
    Malformed(#[source] BadBody),
}

/// An answer's body.
pub(crate) struct AnswerBody {
    reading: Reading,
    unread: BytesMut,
    decoder: Decoder,
    keeps_alive: bool,
    streaming: Option<Streaming>,
    /// Whether the upstream did not take the request's head or kept body.
    is_broken: bool,
}

impl AnswerBody {
    pub(super) fn new(
        reading: Reading,
        unread: BytesMut,
        rest: Rest,
        streaming: Option<Streaming>,
        is_broken: bool,
    ) -> Self {
        let Rest { body: decoder, keeps_alive } = rest;
        Self { reading, unread, decoder, keeps_alive, streaming, is_broken }
    }

    /// The connection, for the next exchange; `None` when this one has not ended on both sides, or the upstream wants
    /// it closed, or has said more than was asked.
    pub(in crate::forward) fn take_wire(&mut self) -> Option<Wire> {
        if !self.decoder.is_done() || !self.keeps_alive || self.is_broken || !self.unread.is_empty() {
            return None;
        }
        let sent = self.streaming.take().map(Streaming::into_sent);
        if sent.as_ref().is_some_and(Option::is_none) {
            return None;
        }
        std::mem::replace(&mut self.reading, Reading::Gone).join(sent.flatten()).map(Wire)
    }

    /// The connection as a tunnel, behind 101 (RFC 9110, section 15.2.2); `None` while a body is on its way.
    pub(in crate::forward) fn into_tunnel(self) -> Option<Tunneled> {
        let io = self.reading.join(self.streaming.and_then(Streaming::into_sent)).filter(|_| !self.is_broken)?;
        Some(Tunneled { early: self.unread.freeze(), io })
    }

    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenBody>>> {
        // A request that its browser breaks off takes its answer along.
        if let Some(Poll::Ready(Err(error))) = self.streaming.as_mut().map(|streaming| streaming.poll(cx)) {
            return Poll::Ready(Some(Err(BrokenBody::Closed(error))));
        }
        loop {
            match self.decoder.advance(&mut self.unread).map_err(BrokenBody::Malformed)? {
                Decoded::Frame(frame) => return Poll::Ready(Some(Ok(frame))),
                Decoded::End => return Poll::Ready(None),
                Decoded::More => {}
            }
            let certain = self.decoder.certain();
            match ready!(poll_fill(&mut self.reading, &mut self.unread, certain, cx)).map_err(BrokenBody::Closed)? {
                0 if self.decoder.ends_with_connection() => return Poll::Ready(None),
                0 => return Poll::Ready(Some(Err(BrokenBody::Closed(ErrorKind::UnexpectedEof.into())))),
                _ => {}
            }
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BrokenBody;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenBody>>> {
        self.get_mut().poll(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.decoder.is_done()
    }

    fn size_hint(&self) -> SizeHint {
        self.decoder.size_hint()
    }
}

/// A connection that has left HTTP, with what came early.
pub(crate) struct Tunneled {
    early: Bytes,
    io: Io,
}

impl AsyncRead for Tunneled {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.early.is_empty() {
            return Pin::new(&mut this.io).poll_read(cx, buffer);
        }
        let taken = this.early.len().min(buffer.remaining());
        buffer.put_slice(&this.early[..taken]);
        this.early.advance(taken);
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Tunneled {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().io).poll_write(cx, bytes)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}
