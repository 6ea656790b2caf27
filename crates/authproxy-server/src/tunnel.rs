//! Connections that have left HTTP (RFC 9110, section 7.8): bytes go both ways between the peer and an upstream,
//! unseen, until both sides are done, nobody speaks any more, or somebody ends it.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes};
use http::Extensions;
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt, ReadBuf, copy_bidirectional_with_sizes},
    time::{Instant, sleep_until, timeout},
};

/// How much is held for each direction.
const BUFFER: usize = 16 * 1024;
/// How long a peer may take to see that the tunnel has ended.
const GOODBYE: Duration = Duration::from_secs(1);

/// The upstream's end of a tunnel. It travels in the extensions of an answer of 101 Switching Protocols: when that
/// answer is out, the connection runs the tunnel instead of reading another request.
///
/// The request must have had no body, or have been read whole; else the connection is closed behind the answer. Only
/// HTTP/1.1 can switch (RFC 9113, section 8.6): over HTTP/2 a tunnel must not be answered.
#[derive(Clone)]
pub(crate) struct Tunnel(Arc<Mutex<Option<Upstream>>>);

struct Upstream {
    io: Box<dyn Duplex>,
    idle_timeout: Duration,
    ended: Pin<Box<dyn Future<Output = ()> + Send>>,
}

/// A stream of bytes each way.
trait Duplex: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Duplex for T {}

impl Tunnel {
    /// A tunnel to an upstream that has switched protocols.
    ///
    /// It ends when for `idle_timeout` no byte went through, in either direction, and when `ended` resolves. `ended`
    /// is dropped when the tunnel ends or never begins: what counts live tunnels belongs into it.
    pub(crate) fn new(
        io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static,
        idle_timeout: Duration,
        ended: impl Future<Output = ()> + Send + 'static,
    ) -> Self {
        let upstream = Upstream { io: Box::new(io), idle_timeout, ended: Box::pin(ended) };
        Self(Arc::new(Mutex::new(Some(upstream))))
    }

    /// Takes the tunnel out of an answer's extensions.
    pub(crate) fn take(extensions: &mut Extensions) -> Option<Self> {
        extensions.remove()
    }

    /// Carries bytes both ways; `early` is what the peer has sent already. Half-closes are passed on.
    ///
    /// # Cancel safety
    ///
    /// Dropping it ends the tunnel: both ends are closed.
    pub(crate) async fn run(self, peer: impl AsyncRead + AsyncWrite + Unpin, early: Bytes) {
        let upstream = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        let Some(Upstream { mut io, idle_timeout, ended }) = upstream else { return };
        let mut peer = Watched { io: peer, early, last_moved: Mutex::new(Instant::now()).into() };
        let idle = idle(peer.last_moved.clone(), idle_timeout);
        tokio::select! {
            () = ended => {}
            () = idle => {}
            // Either end's failure is the tunnel's end, and nobody is left to be told.
            _ = copy_bidirectional_with_sizes(&mut peer, &mut io, BUFFER, BUFFER) => {}
        }
        let _ = timeout(GOODBYE, peer.shutdown()).await;
    }
}

/// Resolves when nothing has moved for `patience`.
async fn idle(last_moved: Arc<Mutex<Instant>>, patience: Duration) {
    loop {
        let until = *last_moved.lock().unwrap_or_else(PoisonError::into_inner) + patience;
        if until <= Instant::now() {
            return;
        }
        sleep_until(until).await;
    }
}

/// The peer's end: what goes either way passes here, so this is where time is bought.
struct Watched<S> {
    io: S,
    early: Bytes,
    last_moved: Arc<Mutex<Instant>>,
}

impl<S> Watched<S> {
    fn moved(&self, bytes: usize) {
        if bytes > 0 {
            *self.last_moved.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buffer.filled().len();
        if this.early.is_empty() {
            ready!(Pin::new(&mut this.io).poll_read(cx, buffer))?;
        } else {
            let taken = this.early.len().min(buffer.remaining());
            buffer.put_slice(&this.early[..taken]);
            this.early.advance(taken);
        }
        this.moved(buffer.filled().len() - before);
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let this = self.get_mut();
        let written = ready!(Pin::new(&mut this.io).poll_write(cx, bytes))?;
        this.moved(written);
        Poll::Ready(Ok(written))
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests;
