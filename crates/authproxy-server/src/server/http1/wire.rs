//! A connection's socket with what has arrived on it: read by the connection's task, and by whoever reads the body of
//! its request, which may be a task of its own. It is shared only while there is such a body.

use std::{
    io,
    ops::{Deref, DerefMut},
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http_body::Frame;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::{body::Source, head::Head, inbound::Inbound, interim::Interim};
use crate::{
    heads::Refusal,
    http1::{decoder::Decoded, reading::poll_fill},
};

/// The socket and its bytes. As a stream it is the socket alone.
pub(super) struct Wire<S>(Holding<S>);

/// Who may read it.
enum Holding<S> {
    /// The connection's task, which needs no lock. A request asks for it nine times, and a lock is two locked
    /// instructions: ARCHITECTURE.md has what those cost.
    Alone(State<S>),
    /// The reader of a body too.
    Shared(Shared<S>),
    /// Only in between.
    Nobody,
}

type Shared<S> = Arc<Mutex<State<S>>>;

/// Access to it for a moment; never held across an await.
pub(super) enum Access<'a, S> {
    Own(&'a mut State<S>),
    Locked(MutexGuard<'a, State<S>>),
}

pub(super) struct State<S> {
    pub(super) io: S,
    pub(super) inbound: Inbound,
    /// Counts the requests: whoever still holds an older one's body reads nothing of this one.
    turn: u64,
    /// Whether the peer holds the body back until it is told to go on.
    is_held_back: bool,
    /// Whether somebody may still read the body.
    has_reader: bool,
    pub(super) interim: Interim,
}

impl<S> Wire<S> {
    pub(super) fn new(io: S, interim: Interim) -> Self {
        let inbound = Inbound::new();
        Self(Holding::Alone(State { io, inbound, turn: 0, is_held_back: false, has_reader: false, interim }))
    }

    pub(super) fn access(&mut self) -> Access<'_, S> {
        match &mut self.0 {
            Holding::Alone(state) => Access::Own(state),
            Holding::Shared(state) => Access::Locked(lock(state)),
            Holding::Nobody => unreachable!("only in between"),
        }
    }

    /// For the reader of a body.
    pub(super) fn share(&mut self) -> Shared<S> {
        let shared = match std::mem::replace(&mut self.0, Holding::Nobody) {
            Holding::Alone(state) => Arc::new(Mutex::new(state)),
            Holding::Shared(shared) => shared,
            Holding::Nobody => unreachable!("only in between"),
        };
        self.0 = Holding::Shared(shared.clone());
        shared
    }

    /// Ends the sharing, if the reader has gone.
    pub(super) fn take_back(&mut self) {
        if matches!(self.0, Holding::Alone(_)) {
            return;
        }
        self.0 = match std::mem::replace(&mut self.0, Holding::Nobody) {
            Holding::Shared(shared) => match Arc::try_unwrap(shared) {
                Ok(state) => Holding::Alone(state.into_inner().unwrap_or_else(PoisonError::into_inner)),
                Err(shared) => Holding::Shared(shared),
            },
            alone => alone,
        };
    }
}

impl<S> Deref for Access<'_, S> {
    type Target = State<S>;

    fn deref(&self) -> &State<S> {
        match self {
            Self::Own(state) => state,
            Self::Locked(state) => state,
        }
    }
}

impl<S> DerefMut for Access<'_, S> {
    fn deref_mut(&mut self) -> &mut State<S> {
        match self {
            Self::Own(state) => state,
            Self::Locked(state) => state,
        }
    }
}

fn lock<S>(state: &Mutex<State<S>>) -> MutexGuard<'_, State<S>> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<S: AsyncRead + Unpin> State<S> {
    /// Reads what there is; 0 at the end.
    pub(super) fn poll_fill(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        let certain = self.inbound.body().certain();
        poll_fill(&mut self.io, &mut self.inbound.unread, certain, cx)
    }

    /// Resolves when the peer has gone, as far as that can be seen: bytes that wait to be read hide it.
    pub(super) fn poll_gone(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        // What arrives belongs to the body, and to whoever reads it; at its end this is asked again.
        if !self.inbound.body().is_done() || !self.inbound.unread.is_empty() {
            return Poll::Pending;
        }
        match ready!(self.poll_fill(cx)) {
            Ok(0) | Err(_) => Poll::Ready(()),
            Ok(_) => Poll::Pending,
        }
    }

    /// The next request's head, if it is whole.
    pub(super) fn head(&mut self) -> Result<Option<Head>, Refusal> {
        let head = self.inbound.head()?;
        self.turn += u64::from(head.is_some());
        Ok(head)
    }

    /// Begins the request's body; its number.
    pub(super) fn begin_body(&mut self, is_held_back: bool) -> u64 {
        self.is_held_back = is_held_back;
        self.has_reader = true;
        self.turn
    }

    /// Ends what the request under way had to say: whether all of it was read, or can be passed over. While somebody
    /// still reads it, that is not known.
    pub(super) fn end_body(&mut self) -> bool {
        let is_read = self.inbound.body().is_done() || (!self.has_reader && self.inbound.skip_body());
        if is_read {
            self.has_reader = false;
        }
        is_read
    }

    /// Whether nothing is under way and nothing has arrived.
    pub(super) fn is_idle(&self) -> bool {
        self.inbound.body().is_done() && self.inbound.unread.is_empty()
    }

    /// Whether the answer is the last one: nobody will read the rest of the body.
    pub(super) fn is_left_unread(&mut self) -> bool {
        !self.has_reader && !self.end_body()
    }

    fn poll_frame(&mut self, turn: u64, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if turn != self.turn {
            return Poll::Ready(None);
        }
        loop {
            let decoded = self.inbound.frame().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
            match decoded {
                Decoded::Frame(frame) => {
                    self.wake_at_end(cx);
                    return Poll::Ready(Some(Ok(frame)));
                }
                Decoded::End => {
                    self.wake_at_end(cx);
                    return Poll::Ready(None);
                }
                Decoded::More => {}
            }
            if std::mem::take(&mut self.is_held_back) {
                self.interim.send(http::StatusCode::CONTINUE, &http::HeaderMap::new());
            }
            if ready!(self.poll_fill(cx))? == 0 {
                return Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into())));
            }
            self.is_held_back = false;
        }
    }

    /// Has the connection's task look again whether the peer is there.
    fn wake_at_end(&self, cx: &Context<'_>) {
        if self.inbound.body().is_done() {
            self.interim.wake_from(cx.waker());
        }
    }
}

impl<S: AsyncRead + Unpin + Send> Source for Mutex<State<S>> {
    fn poll_frame(&self, turn: u64, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        lock(self).poll_frame(turn, cx)
    }

    fn leave(&self, turn: u64) {
        let mut state = lock(self);
        if state.turn == turn {
            state.has_reader = false;
        }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Wire<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.access().io).poll_read(cx, buffer)
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Wire<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.access().io).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.access().io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.access().io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use std::future::poll_fn;

    use tokio::io::{AsyncWriteExt, duplex};

    use super::*;

    #[test]
    fn it_is_shared_as_long_as_a_body_has_a_reader() {
        let mut wire = Wire::new((), Interim::default());
        assert!(matches!(wire.access(), Access::Own(_)));
        let reader = wire.share();
        wire.take_back();
        assert!(matches!(wire.access(), Access::Locked(_)), "somebody may still read");
        drop(reader);
        wire.take_back();
        assert!(matches!(wire.access(), Access::Own(_)));
    }

    #[tokio::test]
    async fn whoever_holds_an_earlier_body_reads_nothing_of_the_next() {
        let (mut peer, io) = duplex(1024);
        let posts = ["a", "b"].map(|body| format!("POST / HTTP/1.1\r\nhost: h\r\ncontent-length: 1\r\n\r\n{body}"));
        peer.write_all(posts.concat().as_bytes()).await.unwrap();
        let mut wire = Wire::new(io, Interim::default());
        poll_fn(|cx| wire.access().poll_fill(cx)).await.unwrap();
        let mut next = || {
            wire.access().head().unwrap().unwrap();
            let turn = wire.access().begin_body(false);
            (wire.share(), turn)
        };
        let part = async |(source, turn): &(Arc<Mutex<State<_>>>, u64)| {
            let frame = poll_fn(|cx| Source::poll_frame(&**source, *turn, cx)).await;
            frame.map(|frame| frame.unwrap().into_data().unwrap())
        };
        let first = next();
        assert_eq!(part(&first).await.unwrap(), "a");
        let second = next();
        assert_eq!(part(&first).await, None);
        first.0.leave(first.1);
        assert!(lock(&second.0).has_reader, "the second body's");
        assert_eq!(part(&second).await.unwrap(), "b");
    }
}
