//! The bytes of a connection to an upstream: TCP, a Unix socket or TLS, whole or divided between two tasks.

use std::{
    io,
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll, Waker},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf, ReadHalf, WriteHalf, split},
    net::{TcpStream, UnixStream},
};
use tokio_rustls::client::TlsStream;

/// A connection's socket.
pub(crate) enum Io {
    Tcp(TcpStream),
    Unix(UnixStream),
    Tls(Box<TlsStream<TcpStream>>),
}

impl From<TcpStream> for Io {
    fn from(stream: TcpStream) -> Self {
        Self::Tcp(stream)
    }
}

impl From<UnixStream> for Io {
    fn from(stream: UnixStream) -> Self {
        Self::Unix(stream)
    }
}

impl From<TlsStream<TcpStream>> for Io {
    fn from(stream: TlsStream<TcpStream>) -> Self {
        Self::Tls(Box::new(stream))
    }
}

impl Io {
    /// Whether the peer has neither closed it nor said anything that was not read. Where the socket knows, nobody is
    /// registered to be woken: it is asked before every request, and seldom is there anything to say.
    pub(super) fn is_quiet(&mut self) -> bool {
        let would_block = |read: io::Result<usize>| read.is_err_and(|error| error.kind() == io::ErrorKind::WouldBlock);
        match self {
            Self::Tcp(socket) => would_block(socket.try_read(&mut [0])),
            Self::Unix(socket) => would_block(socket.try_read(&mut [0])),
            Self::Tls(stream) => {
                let mut unasked = [MaybeUninit::uninit()];
                let mut nobody = Context::from_waker(Waker::noop());
                Pin::new(stream).poll_read(&mut nobody, &mut ReadBuf::uninit(&mut unasked)).is_pending()
            }
        }
    }
}

/// Calls a function of whichever socket it is.
macro_rules! of_socket {
    ($io:expr, $socket:ident => $call:expr) => {
        match $io {
            Io::Tcp($socket) => $call,
            Io::Unix($socket) => $call,
            Io::Tls($socket) => $call,
        }
    };
}

impl AsyncRead for Io {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        of_socket!(self.get_mut(), socket => Pin::new(socket).poll_read(cx, buffer))
    }
}

impl AsyncWrite for Io {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        of_socket!(self.get_mut(), socket => Pin::new(socket).poll_write(cx, bytes))
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffers: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        of_socket!(self.get_mut(), socket => Pin::new(socket).poll_write_vectored(cx, buffers))
    }

    fn is_write_vectored(&self) -> bool {
        of_socket!(self, socket => socket.is_write_vectored())
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        of_socket!(self.get_mut(), socket => Pin::new(socket).poll_flush(cx))
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        of_socket!(self.get_mut(), socket => Pin::new(socket).poll_shutdown(cx))
    }
}

/// The side of a connection that answers are read from; while a body is streamed, the other side belongs to its task.
pub(super) enum Reading {
    Whole(Io),
    Half(ReadHalf<Io>),
    /// Only in between.
    Gone,
}

impl Reading {
    pub(super) fn new(io: Io) -> Self {
        Self::Whole(io)
    }

    /// The whole connection. It must not be divided.
    pub(super) fn whole(&mut self) -> Pin<&mut Io> {
        match self {
            Self::Whole(io) => Pin::new(io),
            Self::Half(_) | Self::Gone => unreachable!("only what is not divided is written to from here"),
        }
    }

    /// Divides it; the side to write to.
    pub(super) fn split(&mut self) -> WriteHalf<Io> {
        let Self::Whole(io) = std::mem::replace(self, Self::Gone) else {
            unreachable!("an exchange has one body");
        };
        let (reading, writing) = split(io);
        *self = Self::Half(reading);
        writing
    }

    /// The whole connection again, where the other side is there.
    pub(super) fn join(self, writing: Option<WriteHalf<Io>>) -> Option<Io> {
        match (self, writing) {
            (Self::Whole(io), None) => Some(io),
            (Self::Half(reading), Some(writing)) => Some(reading.unsplit(writing)),
            _ => None,
        }
    }
}

impl AsyncRead for Reading {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Whole(io) => Pin::new(io).poll_read(cx, buffer),
            Self::Half(reading) => Pin::new(reading).poll_read(cx, buffer),
            Self::Gone => Poll::Ready(Err(io::ErrorKind::NotConnected.into())),
        }
    }
}
