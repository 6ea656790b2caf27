//! HTTP/1.1 to an upstream (RFC 9112): one connection, one exchange at a time.
//!
//! Written here, and not hyper's: a request is written and its answer read in the task of the request itself, without
//! a task, two channels and three wake-ups in between, and its head is written from the browser's fields without a copy
//! of their map. ARCHITECTURE.md has the figure and the command behind it.
//!
//! [`Wire::exchange`] sends a request (`request.rs`) and reads the answer's head (`head.rs`); [`AnswerBody`] is what
//! follows (`delimit.rs`), cut out of the connection's bytes. A streamed request body has a task of its own
//! (`streaming.rs`), and so has what is left of any request when its answer begins: neither body waits for the other.
//! Whatever could be read in two ways is not read at all, and a connection on which anything unexpected came is never used
//! again.

mod answer;
mod delimit;
mod head;
mod io;
mod request;
mod streaming;

use std::{
    future::poll_fn,
    io::{Error, ErrorKind},
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, Response, StatusCode};
use tokio::io::AsyncWrite;

pub(super) use self::{
    answer::{AnswerBody, BrokenBody, Tunneled},
    io::Io,
    request::Outgoing,
};
use self::{delimit::Rest, io::Reading, streaming::Streaming};
use super::upload::Upload;
use crate::http1::{decoder::BadBody, reading::poll_fill};

/// Why an answer could not be read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("the head cannot be parsed: {0}")]
    Head(httparse::Error),
    #[error("the head is too long")]
    HeadTooLong,
    #[error("the body's length is said in no way, or in several")]
    Length,
    #[error("a transfer coding that is not known")]
    Coding,
    #[error(transparent)]
    Body(#[from] BadBody),
}

/// Why an exchange came to no answer.
pub(super) enum Failed {
    /// Nothing was written: the request can be sent over another connection.
    Unsent(Upload, Error),
    /// The connection ended.
    Closed(Error),
    /// What came is no answer.
    Malformed(Malformed),
}

/// A connection to an upstream between two exchanges. It holds no buffer.
pub(super) struct Wire(Io);

impl Wire {
    pub(super) fn new(io: impl Into<Io>) -> Self {
        Self(io.into())
    }

    /// Sends a request and waits for the answer's head; `interim` hears of answers before the answer.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future closes the connection.
    pub(super) async fn exchange(
        self,
        request: Outgoing<'_>,
        mut interim: impl FnMut(StatusCode, &HeaderMap),
    ) -> Result<Response<AnswerBody>, Failed> {
        let mut wire = self;
        if !wire.0.is_quiet() {
            return Err(Failed::Unsent(request.body, ErrorKind::ConnectionReset.into()));
        }
        let mut exchange = Exchange {
            reading: Reading::new(wire.0),
            unread: BytesMut::new(),
            unsent: request.bytes,
            written: 0,
            is_out: false,
            broken: None,
            body: Some(request.body),
            streaming: None,
        };
        let (head, rest) = poll_fn(|cx| exchange.poll_head(cx, request.method, &mut interim)).await?;
        Ok(head.map(|()| exchange.into_answer(rest)))
    }
}

/// An exchange until its answer's head is there.
struct Exchange {
    reading: Reading,
    unread: BytesMut,
    /// The request's head, and its body where that is kept; the first `written` bytes are out.
    unsent: Vec<u8>,
    written: usize,
    /// Whether all of it has left this process.
    is_out: bool,
    /// Why the rest could not be written. The answer may be there nevertheless.
    broken: Option<Error>,
    /// Until it is certain that it need not be sent over another connection.
    body: Option<Upload>,
    streaming: Option<Streaming>,
}

type Head = (Response<()>, Rest);

impl Exchange {
    fn poll_head(
        &mut self,
        cx: &mut Context<'_>,
        method: &http::Method,
        interim: &mut impl FnMut(StatusCode, &HeaderMap),
    ) -> Poll<Result<Head, Failed>> {
        if let Err(error) = self.send(cx) {
            return Poll::Ready(Err(error));
        }
        loop {
            match ready!(poll_fill(&mut self.reading, &mut self.unread, 0, cx)) {
                Ok(1..) => {}
                Ok(0) => return Poll::Ready(Err(self.closed(ErrorKind::UnexpectedEof.into()))),
                Err(error) => return Poll::Ready(Err(self.closed(error))),
            }
            while let Some(head) = head::parse(&mut self.unread).map_err(Failed::Malformed)? {
                let status = head.status();
                if status.is_informational() && status != StatusCode::SWITCHING_PROTOCOLS {
                    interim(status, head.headers());
                    continue;
                }
                let rest = delimit::rest(&head, method).map_err(Failed::Malformed)?;
                return Poll::Ready(Ok((head, rest)));
            }
        }
    }

    /// Writes what can be written now, and begins to stream a body once the head is out.
    fn send(&mut self, cx: &mut Context<'_>) -> Result<(), Failed> {
        while !self.is_out && self.broken.is_none() {
            let left = &self.unsent[self.written..];
            let outcome = match left {
                [] => self.reading.whole().poll_flush(cx).map_ok(|()| self.is_out = true),
                _ => self.reading.whole().poll_write(cx, left).map_ok(|written| self.written += written),
            };
            match outcome {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(error)) => match self.body.take() {
                    Some(body) if self.written == 0 => return Err(Failed::Unsent(body, error)),
                    _ => self.broken = Some(error),
                },
                Poll::Pending => return Ok(()),
            }
        }
        if self.is_out
            && let Some(body @ Upload::Streamed(_)) = self.body.take()
        {
            self.streaming = Some(Streaming::start(self.reading.split(), Bytes::new(), body));
        }
        match self.streaming.as_mut().map(|streaming| streaming.poll(cx)) {
            Some(Poll::Ready(Err(error))) => Err(Failed::Closed(error)),
            _ => Ok(()),
        }
    }

    fn closed(&mut self, error: Error) -> Failed {
        Failed::Closed(self.broken.take().unwrap_or(error))
    }

    fn into_answer(mut self, rest: Rest) -> AnswerBody {
        // An answer that begins early does not cut its request short: the upstream may go on only when it has all of it.
        if !self.is_out && self.broken.is_none() {
            let left = Bytes::from(self.unsent).slice(self.written..);
            // A body that is kept is in there already.
            let body = self.body.filter(|body| matches!(body, Upload::Streamed(_)));
            let body = body.unwrap_or(Upload::Kept(Bytes::new()));
            self.streaming = Some(Streaming::start(self.reading.split(), left, body));
        }
        AnswerBody::new(self.reading, self.unread, rest, self.streaming, self.broken.is_some())
    }
}

#[cfg(test)]
mod tests;
