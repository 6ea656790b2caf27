//! Answers before the answer (RFC 9110, section 15.2): they go past hyper, which can only send the last one.

use std::{
    io,
    pin::Pin,
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use bytes::{Buf, BytesMut};
use http::{HeaderMap, StatusCode, Version};
use tokio::io::{AsyncRead, AsyncWrite};

use super::{Busy, Socket};

/// The most bytes of them that wait for one request's peer; more are dropped.
const LONGEST: usize = 16 * 1024;

/// What waits to be written before the answer.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    has_any: AtomicBool,
    bytes: Mutex<Vec<u8>>,
}

/// Sends answers before the answer on one HTTP/1 connection.
#[derive(Clone, Debug)]
pub(crate) struct Interim(pub(super) Busy);

impl Interim {
    /// Sends one. 100 is hyper's own affair: it says so itself when the body is wanted.
    pub(crate) fn send(&self, status: StatusCode, headers: &HeaderMap) {
        let mut text = format!("{:?} {status}\r\n", Version::HTTP_11).into_bytes();
        for (name, value) in headers {
            text.extend_from_slice(name.as_str().as_bytes());
            text.extend_from_slice(b": ");
            text.extend_from_slice(value.as_bytes());
            text.extend_from_slice(b"\r\n");
        }
        text.extend_from_slice(b"\r\n");
        let answering = &self.0.0;
        let mut bytes = answering.interim.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        if bytes.len() + text.len() <= LONGEST {
            bytes.append(&mut text);
            answering.interim.has_any.store(true, Ordering::Release);
            drop(bytes);
            answering.deferred.wake();
        }
    }
}

impl Waiting {
    /// Forgets what an earlier request has left.
    pub(super) fn clear(&self) {
        if self.forget() {
            self.bytes.lock().unwrap_or_else(PoisonError::into_inner).clear();
        }
    }

    /// Whether there was any. Looked at first: there hardly ever is, and a swap costs more than a look.
    fn forget(&self) -> bool {
        self.has_any.load(Ordering::Relaxed) && self.has_any.swap(false, Ordering::Acquire)
    }

    fn take_into(&self, buffer: &mut BytesMut) {
        if self.forget() {
            let bytes = std::mem::take(&mut *self.bytes.lock().unwrap_or_else(PoisonError::into_inner));
            buffer.extend_from_slice(&bytes);
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    /// Writes what waits, unless the answer itself has begun.
    pub(super) fn poll_interim(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.busy.is_flushed() {
            self.busy.0.interim.take_into(&mut self.interim);
        }
        while self.interim.has_remaining() {
            match ready!(Pin::new(&mut self.io).poll_write(cx, &self.interim))? {
                0 => return Poll::Ready(Err(io::ErrorKind::WriteZero.into())),
                written => self.interim.advance(written),
            }
        }
        Poll::Ready(Ok(()))
    }
}
