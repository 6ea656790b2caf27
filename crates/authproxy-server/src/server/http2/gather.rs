//! Answers that are ready at the same time leave their connection together.
//!
//! h2 flushes after every larger DATA frame, so that each answer costs a TLS record and a system call. A flush within a
//! poll of the connection is put off here to the end of that poll: 0.90 of the CPU a request over HTTP/2 and TLS
//! (`scripts/bench --section tls`, before and after in turn; 8 connections of 8 streams).

use std::{
    future::poll_fn,
    io::{self, IoSlice},
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The most that is held back: what a TLS record takes (RFC 8446, section 5.1).
const MOST: usize = 16 * 1024;

/// A socket that holds back what is written to it while the connection's poll lasts.
pub(super) struct Gathering<S> {
    io: S,
    held: Vec<u8>,
    flushes: Flushes,
}

/// Whether flushes are put off, between a connection and its socket. They belong to one task.
#[derive(Clone, Default)]
pub(super) struct Flushes(Arc<State>);

#[derive(Default)]
struct State {
    are_put_off: AtomicBool,
    is_owed: AtomicBool,
}

impl Flushes {
    /// Drives a connection whose socket is [`Gathering`], to its end.
    ///
    /// # Cancel safety
    ///
    /// The connection can be driven on afterwards.
    pub(super) async fn drive<C: Future>(&self, mut connection: Pin<&mut C>) -> C::Output {
        poll_fn(|cx| self.after(|| connection.as_mut().poll(cx))).await
    }

    /// Polls the connection, then once more if it has flushed meanwhile: now what is held goes out.
    fn after<T>(&self, mut poll: impl FnMut() -> Poll<T>) -> Poll<T> {
        self.0.are_put_off.store(true, Ordering::Relaxed);
        let polled = poll();
        self.0.are_put_off.store(false, Ordering::Relaxed);
        if polled.is_pending() && self.0.is_owed.swap(false, Ordering::Relaxed) { poll() } else { polled }
    }

    /// Puts a flush off, if that is wanted now.
    fn put_off(&self) -> bool {
        let put_off = self.0.are_put_off.load(Ordering::Relaxed);
        self.0.is_owed.fetch_or(put_off, Ordering::Relaxed);
        put_off
    }
}

impl<S> Gathering<S> {
    /// Wraps a socket whose connection is driven by [`Flushes::drive`].
    pub(super) fn new(io: S, flushes: Flushes) -> Self {
        Self { io, held: Vec::new(), flushes }
    }
}

impl<S: AsyncWrite + Unpin> Gathering<S> {
    /// Writes what is held, and gives its space back: a connection at rest needs none.
    fn poll_held(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.held.is_empty() {
            let written = ready!(Pin::new(&mut self.io).poll_write(cx, &self.held))?;
            if written == 0 {
                return Poll::Ready(Err(io::ErrorKind::WriteZero.into()));
            }
            self.held.drain(..written);
        }
        self.held = Vec::new();
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Gathering<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        self.poll_write_vectored(cx, &[IoSlice::new(bytes)])
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        parts: &[IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let len = parts.iter().map(|part| part.len()).sum();
        if this.held.len() + len > MOST {
            ready!(this.poll_held(cx))?;
        }
        if len >= MOST {
            return Pin::new(&mut this.io).poll_write_vectored(cx, parts);
        }
        for part in parts {
            this.held.extend_from_slice(part);
        }
        Poll::Ready(Ok(len))
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if !this.held.is_empty() && this.flushes.put_off() {
            return Poll::Ready(Ok(()));
        }
        ready!(this.poll_held(cx))?;
        Pin::new(&mut this.io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        ready!(this.poll_held(cx))?;
        Pin::new(&mut this.io).poll_shutdown(cx)
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Gathering<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_read(cx, buffer)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
