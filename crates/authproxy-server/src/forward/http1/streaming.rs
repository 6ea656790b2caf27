//! A request's body that is sent as it arrives, in a task of its own: an answer may begin, and wait for its reader,
//! before the request has ended.

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

use super::{super::upload::Upload, io::Io};
use crate::http1::fields;

/// A body on its way. Dropping it ends that.
pub(super) struct Streaming {
    task: AbortOnDropHandle<Result<WriteHalf<Io>>>,
    sent: Option<WriteHalf<Io>>,
}

impl Streaming {
    pub(super) fn start(writing: WriteHalf<Io>, body: Upload) -> Self {
        Self { task: AbortOnDropHandle::new(tokio::spawn(send(writing, body))), sent: None }
    }

    /// Waits until the body is sent.
    pub(super) fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        if self.sent.is_none() {
            let ended = ready!(Pin::new(&mut self.task).poll(cx));
            self.sent = Some(ended.map_err(Error::other).flatten()?);
        }
        Poll::Ready(Ok(()))
    }

    /// The side of the connection that it was written to, once all of it is out.
    pub(super) fn into_sent(self) -> Option<WriteHalf<Io>> {
        self.sent
    }
}

async fn send(mut writing: WriteHalf<Io>, mut body: Upload) -> Result<WriteHalf<Io>> {
    let is_chunked = body.size_hint().exact().is_none();
    let mut trailers = HeaderMap::new();
    while let Some(frame) = body.frame().await {
        match frame.map_err(Error::other)?.into_data() {
            Ok(data) if data.is_empty() => {} // an empty chunk would be the last one
            Ok(mut data) if !is_chunked => writing.write_all_buf(&mut data).await?,
            Ok(data) => {
                let size = Bytes::from(format!("{:x}\r\n", data.len()));
                writing.write_all_buf(&mut size.chain(data).chain(&b"\r\n"[..])).await?;
            }
            Err(other) => trailers.extend(other.into_trailers().unwrap_or_default()),
        }
        writing.flush().await?;
    }
    if is_chunked {
        let mut end = b"0\r\n".to_vec();
        fields::write_all(&mut end, &trailers);
        writing.write_all(&end).await?;
    }
    writing.flush().await?;
    Ok(writing)
}
