//! [`OnceBody`]: a request body that leaves this process at most once, and a [`Handover`] that knows whether it did.
//!
//! The refresh token stands in the body and nowhere else. So a body that was not handed to the connection proves that
//! the token was not presented, whatever the error says; and as it is handed over once, no layer below, neither
//! reqwest nor hyper's pool, can send it a second time.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicU8, Ordering},
    },
    task::{Context, Poll},
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use zeroize::Zeroizing;

const HELD: u8 = 0;
const HANDED_OVER: u8 = 1;
const WITHDRAWN: u8 = 2;

/// Where a body is: still held, handed to the connection, or withdrawn for good.
#[derive(Clone, Debug, Default)]
pub(super) struct Handover(Arc<AtomicU8>);

impl Handover {
    /// Withdraws the body unless it was handed over; `true` means that it has not left and never will.
    ///
    /// The connection's task may be about to take the body while the request is given up: one of the two wins.
    pub(super) fn withdraw(&self) -> bool {
        self.leave(WITHDRAWN)
    }

    fn leave(&self, to: u8) -> bool {
        match self.0.compare_exchange(HELD, to, Ordering::AcqRel, Ordering::Acquire) {
            Ok(_) => true,
            Err(already) => already == to,
        }
    }
}

/// A body that is handed over once. Its buffer is wiped when the connection is done with it.
#[derive(Debug)]
pub(super) struct OnceBody {
    bytes: Option<Bytes>,
    handover: Handover,
}

/// The body was asked for after the request had been given up.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("the request was withdrawn")]
pub(super) struct Withdrawn;

impl OnceBody {
    pub(super) fn new(bytes: Zeroizing<Vec<u8>>) -> (Self, Handover) {
        let handover = Handover::default();
        (Self { bytes: Some(Bytes::from_owner(bytes)), handover: handover.clone() }, handover)
    }
}

impl Body for OnceBody {
    type Data = Bytes;
    type Error = Withdrawn;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Withdrawn>>> {
        let Some(bytes) = self.bytes.take() else { return Poll::Ready(None) };
        Poll::Ready(Some(if self.handover.leave(HANDED_OVER) { Ok(Frame::data(bytes)) } else { Err(Withdrawn) }))
    }

    fn is_end_stream(&self) -> bool {
        self.bytes.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.bytes.as_ref().map_or(0, |bytes| bytes.len() as u64))
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::task::Waker;

    use super::*;

    fn poll(body: &mut OnceBody) -> Poll<Option<Result<Bytes, Withdrawn>>> {
        let frame = Pin::new(body).poll_frame(&mut Context::from_waker(Waker::noop()));
        frame.map(|frame| frame.map(|frame| frame.map(|frame| frame.into_data().unwrap())))
    }

    #[test]
    fn a_body_is_handed_over_once_and_then_cannot_be_withdrawn() {
        let (mut body, handover) = OnceBody::new(Zeroizing::new(b"token".to_vec()));
        assert_eq!(body.size_hint().exact(), Some(5));
        assert!(matches!(poll(&mut body), Poll::Ready(Some(Ok(bytes))) if bytes == "token"));
        assert!(matches!(poll(&mut body), Poll::Ready(None)));
        assert!(body.is_end_stream());
        assert!(!handover.withdraw());
    }

    #[test]
    fn a_withdrawn_body_never_leaves() {
        let (mut body, handover) = OnceBody::new(Zeroizing::new(b"token".to_vec()));
        assert!(handover.withdraw());
        assert!(handover.withdraw(), "it stays withdrawn");
        assert!(matches!(poll(&mut body), Poll::Ready(Some(Err(Withdrawn)))));
        assert!(matches!(poll(&mut body), Poll::Ready(None)));
    }
}
