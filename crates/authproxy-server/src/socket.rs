//! A connection's socket as hyper sees it: framing checked, and every wait for the peer bounded. [`Socket`] is that of
//! HTTP/1, [`Watched`] that of HTTP/2.
//!
//! hyper's own header timeout cannot tell a peer that is idle from one that dawdles inside a head; this can.

mod busy;
mod frames;
mod interim;
mod pace;
mod watched;

use std::{
    io,
    mem::MaybeUninit,
    pin::Pin,
    sync::atomic::Ordering,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes, BytesMut};
use futures_util::FutureExt;
use hyper::rt::{Read, ReadBufCursor, Write};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt, ReadBuf},
    net::TcpStream,
    time::{Instant, Sleep, sleep_until, timeout},
};

pub(crate) use self::{
    busy::{Busy, BusyGuard},
    interim::Interim,
    watched::Watched,
};
use tokio_rustls::server::TlsStream;

use self::pace::WritePace;
use crate::{
    framing::{Framing, Refusal},
    seldom::Seldom,
};

/// How long, and how much, a closing connection still reads so that the peer sees the last answer and not a reset.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 256 * 1024;

/// How much is read at once.
const READ_BYTES: usize = 8 * 1024;

/// How long the socket waits for the peer.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Patience {
    /// From a head's first byte to its last.
    pub(crate) head: Duration,
    /// For a new request on a connection that had one.
    pub(crate) idle: Duration,
    /// For the peer to go on reading an answer.
    pub(crate) write: Duration,
}

/// A connection that can be broken off so that the peer notices.
pub(crate) trait Reset {
    /// Has the connection end in a reset when it is dropped.
    fn reset_when_dropped(&self);
}

impl Reset for TcpStream {
    fn reset_when_dropped(&self) {
        let _ = self.set_zero_linger(); // a socket that is gone already has nothing to say
    }
}

impl Reset for Box<TlsStream<TcpStream>> {
    fn reset_when_dropped(&self) {
        self.get_ref().0.reset_when_dropped();
    }
}

#[cfg(test)]
impl Reset for tokio::io::DuplexStream {
    fn reset_when_dropped(&self) {}
}

/// A peer's socket.
pub(crate) struct Socket<S> {
    io: S,
    patience: Patience,
    busy: Busy,
    framing: Framing,
    refusal: Option<Refusal>,
    /// Bytes that arrived; the first `admitted` of them may be read.
    incoming: BytesMut,
    admitted: usize,
    head_began: Option<Instant>,
    /// When the peer or its answer last moved, as far as it was asked for: clocks cost more than they look.
    last_active: Option<Instant>,
    answered_once: bool,
    read_timer: Seldom<Box<Sleep>>,
    pace: WritePace,
    /// What goes out before the next byte of an answer.
    interim: BytesMut,
}

impl<S: AsyncRead + AsyncWrite + Unpin> Socket<S> {
    /// Wraps a connection that was just accepted.
    pub(crate) fn new(io: S, patience: Patience, busy: Busy) -> Self {
        Self {
            io,
            patience,
            busy,
            framing: Framing::default(),
            refusal: None,
            incoming: BytesMut::new(),
            admitted: 0,
            head_began: None,
            last_active: None,
            answered_once: false,
            read_timer: Seldom::new(Box::pin(sleep_until(Instant::now()))),
            pace: WritePace::new(patience.write),
            interim: BytesMut::new(),
        }
    }

    /// Why reading ended, when the peer is to be told: never in the middle of another answer, and not of a body,
    /// whose request has an answer of its own.
    pub(crate) fn refusal(&self) -> Option<Refusal> {
        self.refusal.filter(|_| self.busy.is_flushed() && self.framing.between_requests())
    }

    /// Whether the bytes after the last request may belong to another protocol: its answer is out, its body was read.
    pub(crate) fn may_switch(&self) -> bool {
        self.busy.is_flushed() && self.admitted == 0 && self.framing.between_requests()
    }

    /// Gives the connection away, with the bytes that arrived and were never read.
    pub(crate) fn into_io(self) -> (S, Bytes) {
        (self.io, self.incoming.freeze())
    }

    /// Writes a last answer, as it is.
    pub(crate) async fn answer(&mut self, bytes: &[u8]) {
        // Whether the peer still listens is its own affair.
        let _ = timeout(self.patience.write, self.io.write_all(bytes)).await;
    }

    /// Closes the connection so that what was written arrives: unread bytes would make it a reset.
    pub(crate) async fn close(mut self) {
        let drain = async {
            self.io.shutdown().await?;
            let mut left = LINGER_BYTES;
            self.incoming.clear();
            while left > 0 {
                match self.io.read_buf(&mut self.incoming).await? {
                    0 => break,
                    read => left = left.saturating_sub(read),
                }
                self.incoming.clear();
            }
            io::Result::Ok(())
        };
        let _ = timeout(LINGER, drain).await;
    }

    /// Breaks the connection off.
    pub(crate) fn reset(self)
    where
        S: Reset,
    {
        self.io.reset_when_dropped();
    }

    /// Closes the connection because the server ends. A peer that has been answered and has asked for nothing since is
    /// not waited for: nothing of it is unread, so that nothing turns the end into a reset.
    pub(crate) async fn hang_up(mut self) {
        let is_idle = self.framing.between_requests() && self.busy.is_flushed() && self.incoming.is_empty();
        if is_idle && self.io.read_buf(&mut self.incoming).now_or_never().is_none() {
            let _ = timeout(LINGER, self.io.shutdown()).await;
        } else {
            self.close().await;
        }
    }

    /// Reads from the peer. The space for it is the stack's, so that ten thousand idle connections hold none.
    fn poll_fill<T>(
        &mut self,
        cx: &mut Context<'_>,
        take: impl FnOnce(&mut Self, &[u8]) -> io::Result<T>,
    ) -> Poll<io::Result<T>> {
        // Not zeroed: that would cost more than the read (`scripts/bench`).
        let mut space = [const { MaybeUninit::uninit() }; READ_BYTES];
        let mut read = ReadBuf::uninit(&mut space);
        if Pin::new(&mut self.io).poll_read(cx, &mut read)?.is_pending() {
            if self.incoming.is_empty() {
                self.incoming = BytesMut::new();
            }
            return Poll::Pending;
        }
        Poll::Ready(take(self, read.filled()))
    }

    /// Hands bytes that arrived to the reader, when they are whole requests or bodies, and keeps them otherwise. Whether
    /// the reader has what it asked for, be it the end.
    fn pass(&mut self, bytes: &[u8], reader: &mut ReadBufCursor<'_>) -> io::Result<bool> {
        if self.incoming.is_empty() && bytes.len() <= reader.remaining() {
            let verdict = self.framing.advance(bytes);
            self.admitted = self.heed(verdict)?;
            if self.admitted == bytes.len() {
                self.admitted = 0;
                reader.put_slice(bytes);
                return Ok(true);
            }
        }
        self.incoming.extend_from_slice(bytes);
        Ok(bytes.is_empty())
    }

    /// Takes note of what the framing says of the next bytes.
    fn heed(&mut self, verdict: Result<usize, Refusal>) -> io::Result<usize> {
        match verdict {
            Ok(0) => {}
            Ok(_) => self.head_began = None,
            Err(refusal) => self.refusal = Some(refusal),
        }
        verdict.map_err(|_| io::ErrorKind::InvalidData.into())
    }

    /// Whether the last request's answer is still to come. A bad request behind it must not take it along.
    fn owes_an_answer(&self) -> bool {
        self.framing.between_requests() && (self.busy.is_busy() || !self.busy.is_flushed())
    }

    /// Waits for the answer to be out, and meanwhile only notices that the peer has gone.
    fn poll_defer(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.busy.0.deferred.register(cx.waker());
        if !self.owes_an_answer() {
            cx.waker().wake_by_ref(); // it came out between the question and the registration
        }
        if self.poll_interim(cx)?.is_pending() || !self.incoming.is_empty() {
            return Poll::Pending;
        }
        let has_ended = |socket: &mut Self, bytes: &[u8]| {
            socket.incoming.extend_from_slice(bytes);
            Ok(bytes.is_empty())
        };
        if ready!(self.poll_fill(cx, has_ended))? { Poll::Ready(Ok(())) } else { Poll::Pending }
    }

    /// Until when the peer must have sent something; `None` while a request is being answered.
    fn read_deadline(&mut self) -> Option<Instant> {
        if self.busy.is_busy() {
            return None;
        }
        if self.framing.between_requests() && !self.incoming.is_empty() {
            let began = *self.head_began.get_or_insert_with(Instant::now);
            return Some(began + self.patience.head);
        }
        // A new connection that says nothing is given no more time than a head.
        let idle = if self.answered_once { self.patience.idle } else { self.patience.idle.min(self.patience.head) };
        Some(*self.last_active.get_or_insert_with(Instant::now) + idle)
    }

    fn poll_read_deadline(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(deadline) = self.read_deadline() else { return Poll::Pending };
        // Moved when it rings: nearly every deadline is later than the one before.
        if self.read_timer.get_ref().deadline() > deadline {
            self.read_timer.get_mut().as_mut().reset(deadline);
        }
        ready!(Pin::new(&mut self.read_timer).poll(cx));
        while Instant::now() < deadline {
            self.read_timer.get_mut().as_mut().reset(deadline);
            ready!(Pin::new(&mut self.read_timer).poll(cx));
        }
        if self.head_began.is_some() {
            self.refusal = Some(Refusal::HeadTooSlow);
        }
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Read for Socket<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, mut cursor: ReadBufCursor<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        loop {
            if this.admitted > 0 {
                let taken = this.admitted.min(cursor.remaining());
                cursor.put_slice(&this.incoming[..taken]);
                this.incoming.advance(taken);
                this.admitted -= taken;
                return Poll::Ready(Ok(()));
            }
            if this.owes_an_answer() {
                return this.poll_defer(cx);
            }
            let verdict = this.framing.advance(&this.incoming);
            this.admitted = this.heed(verdict)?;
            if this.admitted > 0 {
                continue;
            }
            match this.poll_fill(cx, |socket, bytes| socket.pass(bytes, &mut cursor)) {
                Poll::Ready(has_passed) => {
                    this.last_active = None;
                    if has_passed? {
                        return Poll::Ready(Ok(()));
                    }
                }
                Poll::Pending => return this.poll_read_deadline(cx),
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> Write for Socket<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.poll_interim(cx)?.is_pending() {
            return this.pace.pass(cx, Poll::Pending);
        }
        this.busy.0.is_flushed.store(false, Ordering::Relaxed);
        let outcome = Pin::new(&mut this.io).poll_write(cx, bytes);
        this.pace.pass(cx, outcome)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        if this.poll_interim(cx)?.is_pending() {
            return this.pace.pass(cx, Poll::Pending);
        }
        this.busy.0.is_flushed.store(false, Ordering::Relaxed);
        let outcome = Pin::new(&mut this.io).poll_write_vectored(cx, buffers);
        this.pace.pass(cx, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.io).poll_flush(cx);
        ready!(this.pace.pass(cx, outcome))?;
        // hyper flushes at every turn; only a flush that ends an answer says anything.
        if !this.busy.is_flushed() {
            this.answered_once = true;
            this.last_active = None;
            this.busy.0.is_flushed.store(true, Ordering::Release);
            if !this.busy.is_busy() {
                this.busy.0.deferred.wake();
            }
        }
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
