//! A peer's socket: how long it is waited for, and how it is closed.

mod frames;
mod pace;
mod watched;

use std::{io, time::Duration};

use futures_util::FutureExt;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};
use tokio_rustls::server::TlsStream;

pub(crate) use self::{pace::WritePace, watched::Watched};

/// How long, and how much, a closing connection still reads so that the peer sees the last answer and not a reset.
const LINGER: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 256 * 1024;

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

/// Closes a connection so that what was written arrives: unread bytes would make it a reset.
///
/// # Cancel safety
///
/// Dropping it leaves the connection half closed.
pub(crate) async fn close(io: &mut (impl AsyncRead + AsyncWrite + Unpin)) {
    let drain = async {
        io.shutdown().await?;
        let (mut left, mut unread) = (LINGER_BYTES, Vec::new());
        while left > 0 {
            match io.read_buf(&mut unread).await? {
                0 => break,
                read => left = left.saturating_sub(read),
            }
            unread.clear();
        }
        io::Result::Ok(())
    };
    let _ = timeout(LINGER, drain).await;
}

/// Closes a connection because the server ends. A peer that `is_idle`, having been answered and having asked for nothing
/// since, is not waited for: nothing of it is unread, so that nothing turns the end into a reset.
///
/// # Cancel safety
///
/// As [`close`].
pub(crate) async fn hang_up(io: &mut (impl AsyncRead + AsyncWrite + Unpin), is_idle: bool) {
    if is_idle && io.read(&mut [0]).now_or_never().is_none() {
        let _ = timeout(LINGER, io.shutdown()).await;
    } else {
        close(io).await;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use tokio::{io::duplex, time::Instant};

    use super::*;

    /// How long the end of an idle connection takes whose peer has sent `sent`, and then does nothing.
    async fn end(sent: &[u8]) -> Duration {
        let (mut peer, mut io) = duplex(1024);
        peer.write_all(sent).await.unwrap();
        let began = Instant::now();
        hang_up(&mut io, true).await;
        began.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn at_the_servers_end_only_a_peer_that_has_sent_something_is_lingered_for() {
        assert_eq!(end(b"").await, Duration::ZERO);
        assert_eq!(end(b"GET").await, LINGER);
    }
}
