//! A request's body, read from its connection as its reader wants it.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};

/// What a body is read from: a connection.
pub(super) trait Source: Send + Sync {
    /// The next part of the body with this number; the end, if that is not the body under way.
    fn poll_frame(&self, turn: u64, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>>;

    /// Nobody reads the body with this number any more.
    fn leave(&self, turn: u64);
}

/// The body of a request over HTTP/1. Dropping it leaves the rest unread.
pub(crate) struct Incoming {
    source: Arc<dyn Source>,
    turn: u64,
    /// How much is left, where that was said.
    left: Option<u64>,
    has_ended: bool,
}

impl Incoming {
    pub(super) fn new(source: Arc<dyn Source>, turn: u64, length: Option<u64>) -> Self {
        Self { source, turn, left: length, has_ended: false }
    }
}

impl Drop for Incoming {
    fn drop(&mut self) {
        self.source.leave(self.turn);
    }
}

impl Body for Incoming {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        let this = self.get_mut();
        if this.has_ended {
            return Poll::Ready(None);
        }
        let frame = ready!(this.source.poll_frame(this.turn, cx));
        let length = frame.as_ref().and_then(|frame| frame.as_ref().ok()?.data_ref()).map_or(0, Bytes::len);
        this.left = this.left.map(|left| left.saturating_sub(length as u64));
        this.has_ended = this.left == Some(0) || !matches!(frame, Some(Ok(_)));
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.has_ended
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map_or_else(SizeHint::default, SizeHint::with_exact)
    }
}
