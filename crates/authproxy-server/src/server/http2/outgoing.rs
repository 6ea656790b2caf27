//! An answer's body on its way into a stream, in pieces: h2 takes a piece only when the peer has room for some of it,
//! so that a peer without room is seen, and h2 never holds more than a piece of a body.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::{Frame, SizeHint};

use super::streams::Room;
use crate::body::Body;

/// The least that a peer takes as one frame (RFC 9113, section 4.2).
const PIECE: usize = 16 * 1024;

/// A body in pieces.
pub(super) struct Outgoing {
    body: Body,
    /// What was taken from the body and not yet handed over.
    rest: Bytes,
    room: Room,
}

impl Outgoing {
    /// The body of the stream whose task this is.
    pub(super) fn new(body: Body) -> Self {
        Self { body, rest: Bytes::new(), room: Room::of_this_stream() }
    }
}

impl http_body::Body for Outgoing {
    type Data = Bytes;
    type Error = <Body as http_body::Body>::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        let this = self.get_mut();
        // Who asks for more has got rid of what was handed over before.
        this.room.found();
        if this.rest.is_empty() {
            match ready!(Pin::new(&mut this.body).poll_frame(cx)).map(|frame| frame.map(Frame::into_data)) {
                Some(Ok(Ok(data))) => this.rest = data,
                Some(Ok(Err(other))) => return Poll::Ready(Some(Ok(other))),
                Some(Err(error)) => return Poll::Ready(Some(Err(error))),
                None => return Poll::Ready(None),
            }
        }
        this.room.wanted();
        let piece = this.rest.split_to(PIECE.min(this.rest.len()));
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let (hint, rest) = (self.body.size_hint(), self.rest.len() as u64);
        let mut with_rest = SizeHint::new();
        with_rest.set_lower(hint.lower().saturating_add(rest));
        if let Some(upper) = hint.upper() {
            with_rest.set_upper(upper.saturating_add(rest));
        }
        with_rest
    }
}

impl Drop for Outgoing {
    fn drop(&mut self) {
        self.room.found();
    }
}
