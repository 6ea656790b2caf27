//! Reading from a connection so that one at rest holds no memory.

use std::{
    io,
    mem::MaybeUninit,
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::BytesMut;
use tokio::io::{AsyncRead, ReadBuf};
use tokio_util::io::poll_read_buf;

/// How much is read at once into the stack. Not zeroed: that would cost more than the read (`scripts/bench`).
const USUAL: usize = 16 * 1024;
/// From how many bytes on a body is read into a buffer of its own, without a copy, and how large that may be.
const LARGE: u64 = 8 * 1024;
const LARGEST: usize = 128 * 1024;

/// Appends what there is to `unread`, of which so many bytes will certainly come; 0 at the connection's end.
pub(crate) fn poll_fill(
    io: &mut (impl AsyncRead + Unpin),
    unread: &mut BytesMut,
    certain: u64,
    cx: &mut Context<'_>,
) -> Poll<io::Result<usize>> {
    if certain >= LARGE && unread.is_empty() {
        unread.reserve(usize::try_from(certain).unwrap_or(usize::MAX).min(LARGEST));
        return poll_read_buf(Pin::new(io), cx, unread);
    }
    let mut space = [const { MaybeUninit::uninit() }; USUAL];
    let mut read = ReadBuf::uninit(&mut space);
    ready!(Pin::new(io).poll_read(cx, &mut read))?;
    unread.extend_from_slice(read.filled());
    Poll::Ready(Ok(read.filled().len()))
}
