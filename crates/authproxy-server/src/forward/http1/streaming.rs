//! What an upstream has not taken of a request when its answer may begin, such as a body that is sent as it arrives: sent
//! in a task of its own, so that an answer may wait for its reader before the request has ended.

use std::{
    future::poll_fn,
    io::{Error, Result},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use http::HeaderMap;
use http_body::{Body as _, Frame};
use tokio::io::{AsyncWrite as _, AsyncWriteExt as _, BufWriter, WriteHalf};
use tokio_util::task::AbortOnDropHandle;

use super::{
    super::upload::{Upload, UploadError},
    io::Io,
};
use crate::http1::fields;

/// How much of a body in small pieces goes out at once: a browser may send it in chunks of one byte.
const TOGETHER: usize = 16 * 1024;

/// The rest of a request on its way. Dropping it ends that.
pub(super) struct Streaming {
    task: AbortOnDropHandle<std::result::Result<Option<WriteHalf<Io>>, UploadError>>,
    is_over: bool,
    sent: Option<WriteHalf<Io>>,
}

impl Streaming {
    /// Begins to send `left`, which is written as it is, and then `body`.
    pub(super) fn start(writing: WriteHalf<Io>, left: Bytes, body: Upload) -> Self {
        let task = AbortOnDropHandle::new(tokio::spawn(send(writing, left, body)));
        Self { task, is_over: false, sent: None }
    }

    /// Waits until nothing more is sent. That the upstream takes no more is no error: its answer may be there nevertheless.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if !self.is_over {
            let ended = ready!(Pin::new(&mut self.task).poll(cx));
            self.is_over = true;
            self.sent = ended.map_err(Error::other)?.map_err(Error::other)?;
        }
        Poll::Ready(Ok(()))
    }

    /// The side of the connection that it was written to, once all of it is out.
    pub(super) fn into_sent(self) -> Option<WriteHalf<Io>> {
        self.sent
    }
}

/// `None` when the upstream has not taken all of it.
async fn send(
    writing: WriteHalf<Io>,
    left: Bytes,
    mut body: Upload,
) -> std::result::Result<Option<WriteHalf<Io>>, UploadError> {
    let is_chunked = body.size_hint().exact().is_none();
    let mut trailers = HeaderMap::new();
    let mut writing = BufWriter::with_capacity(TOGETHER, writing);
    let mut taken = write(&mut writing, left).await;
    while taken.is_ok()
        && let Some(frame) = next(&mut body, &mut writing).await
    {
        match frame?.into_data() {
            Ok(data) if is_chunked => taken = write(&mut writing, chunk(data)).await,
            Ok(data) => taken = write(&mut writing, data).await,
            Err(other) => trailers.extend(other.into_trailers().unwrap_or_default()),
        }
    }
    // With less than was said, the next request on this connection would be read as the rest.
    if taken.is_ok() && body.size_hint().exact().is_some_and(|left| left > 0) {
        return Err(UploadError::Broken);
    }
    if taken.is_ok() && is_chunked {
        let mut end = b"0\r\n".to_vec();
        fields::write_all(&mut end, &trailers);
        taken = write(&mut writing, Bytes::from(end)).await;
    }
    let is_sent = taken.is_ok() && writing.flush().await.is_ok();
    Ok(is_sent.then(|| writing.into_inner()))
}

/// The next part of a body. While it is waited for, what was written goes out.
async fn next(
    body: &mut Upload,
    writing: &mut BufWriter<WriteHalf<Io>>,
) -> Option<std::result::Result<Frame<Bytes>, UploadError>> {
    poll_fn(|cx| {
        let frame = Pin::new(&mut *body).poll_frame(cx);
        if frame.is_pending() {
            let _ = Pin::new(&mut *writing).poll_flush(cx); // what fails now fails the next time too
        }
        frame
    })
    .await
}

/// A chunk; nothing where there is no data, for an empty one would be the last.
fn chunk(data: Bytes) -> impl Buf {
    let (size, end) = match data.len() {
        0 => (Bytes::new(), &b""[..]),
        length => (Bytes::from(format!("{length:x}\r\n")), &b"\r\n"[..]),
    };
    size.chain(data).chain(end)
}

async fn write(writing: &mut BufWriter<WriteHalf<Io>>, mut bytes: impl Buf) -> Result<()> {
    writing.write_all_buf(&mut bytes).await
}
