//! A socket of HTTP/2: its bytes are h2's affair, the time that they take is ours.

use std::{
    io,
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};

use super::{LINGER, LINGER_BYTES, Patience, frames::Frames, pace::WritePace};

/// A peer's socket.
pub(crate) struct Watched<S> {
    io: S,
    patience: Patience,
    frames: Frames,
    /// Since when the peer is in the middle of a frame or of a header block.
    unfinished_since: Option<Instant>,
    timer: Pin<Box<Sleep>>,
    pace: WritePace,
    /// What a closing connection may still read, once its last bytes are out.
    lingering: Option<Lingering>,
}

struct Lingering {
    until: Pin<Box<Sleep>>,
    bytes_left: usize,
}

impl<S> Watched<S> {
    /// Wraps a connection that was just accepted.
    pub(crate) fn new(io: S, patience: Patience) -> Self {
        let now = Instant::now();
        Self {
            io,
            patience,
            frames: Frames::default(),
            unfinished_since: Some(now),
            timer: Box::pin(sleep_until(now)),
            pace: WritePace::new(patience.write),
            lingering: None,
        }
    }

    fn arrived(&mut self, bytes: &[u8]) {
        let completed = self.frames.completed();
        self.frames.advance(bytes);
        if !self.frames.is_unfinished() {
            self.unfinished_since = None;
        } else if self.unfinished_since.is_none() || self.frames.completed() > completed {
            self.unfinished_since = Some(Instant::now());
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        if Pin::new(&mut this.io).poll_read(cx, buffer)?.is_ready() {
            this.arrived(&buffer.filled()[before..]);
            return Poll::Ready(Ok(()));
        }
        let Some(since) = this.unfinished_since else { return Poll::Pending };
        let until = since + this.patience.head;
        if this.timer.deadline() != until {
            this.timer.as_mut().reset(until);
        }
        ready!(this.timer.as_mut().poll(cx));
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: AsyncRead + Unpin> Watched<S> {
    /// Reads until the peer closes, so that what was written arrives: unread bytes would make the end a reset.
    fn poll_linger(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let lingering = self.lingering.get_or_insert_with(|| Lingering {
            until: Box::pin(sleep_until(Instant::now() + LINGER)),
            bytes_left: LINGER_BYTES,
        });
        let mut space = [const { MaybeUninit::uninit() }; 1024];
        loop {
            let mut read = ReadBuf::uninit(&mut space);
            match Pin::new(&mut self.io).poll_read(cx, &mut read) {
                Poll::Ready(Ok(())) if !read.filled().is_empty() => {
                    let Some(left) = lingering.bytes_left.checked_sub(read.filled().len()) else {
                        return Poll::Ready(());
                    };
                    lingering.bytes_left = left;
                }
                Poll::Ready(_) => return Poll::Ready(()),
                Poll::Pending => return lingering.until.as_mut().poll(cx),
            }
        }
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.io).poll_write(cx, bytes);
        this.pace.pass(cx, outcome)
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.io).poll_write_vectored(cx, buffers);
        this.pace.pass(cx, outcome)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let outcome = Pin::new(&mut this.io).poll_flush(cx);
        this.pace.pass(cx, outcome)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.lingering.is_none() {
            let outcome = Pin::new(&mut this.io).poll_shutdown(cx);
            ready!(this.pace.pass(cx, outcome))?;
        }
        this.poll_linger(cx).map(Ok)
    }
}
