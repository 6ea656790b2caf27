//! What an upstream has not taken of a request when its answer may begin, such as a body that is sent as it arrives: sent
//! in a task of its own, so that an answer may wait for its reader before the request has ended.

use std::{
    io::{Error, Result},
    pin::Pin,
    task::{Context, Poll, ready},
};

use bytes::{Buf, Bytes};
use http::HeaderMap;
use http_body::Body as _;
use http_body_util::BodyExt as _;
use tokio::io::{AsyncWriteExt as _, WriteHalf};
use tokio_util::task::AbortOnDropHandle;

use super::{
    super::upload::{Upload, UploadError},
    io::Io,
};
use crate::http1::fields;

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
    mut writing: WriteHalf<Io>,
    left: Bytes,
    mut body: Upload,
) -> std::result::Result<Option<WriteHalf<Io>>, UploadError> {
    let is_chunked = body.size_hint().exact().is_none();
    let mut trailers = HeaderMap::new();
    let mut taken = write(&mut writing, left).await;
    while taken.is_ok()
        && let Some(frame) = body.frame().await
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
    Ok(taken.is_ok().then_some(writing))
}

/// A chunk; nothing where there is no data, for an empty one would be the last.
fn chunk(data: Bytes) -> impl Buf {
    let (size, end) = match data.len() {
        0 => (Bytes::new(), &b""[..]),
        length => (Bytes::from(format!("{length:x}\r\n")), &b"\r\n"[..]),
    };
    size.chain(data).chain(end)
}

async fn write(writing: &mut WriteHalf<Io>, mut bytes: impl Buf) -> Result<()> {
    writing.write_all_buf(&mut bytes).await?;
    writing.flush().await
}
