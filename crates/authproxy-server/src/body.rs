//! Bodies: a request's, read whole, bounded in size and in time; an answer's, at hand or streamed from an upstream.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Buf, Bytes};
use http::{HeaderMap, header::CONTENT_LENGTH};
use http_body::{Body as _, Frame, SizeHint};
use http_body_util::{BodyExt, Full};
use zeroize::Zeroizing;

use crate::{
    forward::{Download, DownloadError},
    problem::Problem,
    server::Incoming,
};

/// A request's body, as it arrives.
pub(crate) enum RequestBody {
    Empty,
    Http1(Incoming),
    Http2(hyper::body::Incoming),
}

impl http_body::Body for RequestBody {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        match self.get_mut() {
            Self::Empty => Poll::Ready(None),
            Self::Http1(body) => Pin::new(body).poll_frame(cx),
            Self::Http2(body) => poll_http2(body, cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Empty => true,
            Self::Http1(body) => body.is_end_stream(),
            Self::Http2(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Empty => SizeHint::with_exact(0),
            Self::Http1(body) => body.size_hint(),
            Self::Http2(body) => body.size_hint(),
        }
    }
}

/// The next part of a body over HTTP/2, and its end only where its sender has said so: hyper takes a stream that was reset
/// with `NO_ERROR` for one that has ended.
pub(crate) fn poll_http2(
    body: &mut hyper::body::Incoming,
    cx: &mut Context<'_>,
) -> Poll<Option<io::Result<Frame<Bytes>>>> {
    match ready!(Pin::new(&mut *body).poll_frame(cx)) {
        None if !body.is_end_stream() => Poll::Ready(Some(Err(io::ErrorKind::UnexpectedEof.into()))),
        frame => Poll::Ready(frame.map(|frame| frame.map_err(io::Error::other))),
    }
}

/// An answer's body.
pub(crate) enum Body {
    /// At hand.
    Whole(Full<Bytes>),
    /// From an upstream.
    Streamed(Box<Download>),
}

impl Body {
    /// A body that is at hand.
    pub(crate) fn whole(bytes: impl Into<Bytes>) -> Self {
        Self::Whole(Full::new(bytes.into()))
    }
}

impl http_body::Body for Body {
    type Data = Bytes;
    type Error = DownloadError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, DownloadError>>> {
        match self.get_mut() {
            Self::Whole(whole) => Pin::new(whole).poll_frame(cx).map_err(|never| match never {}),
            Self::Streamed(download) => Pin::new(download.as_mut()).poll_frame(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Whole(whole) => whole.is_end_stream(),
            Self::Streamed(download) => download.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Whole(whole) => whole.size_hint(),
            Self::Streamed(download) => download.size_hint(),
        }
    }
}

/// Reads at most `limit` bytes in at most `within`. A body that says it is longer is not read at all.
///
/// The bytes are wiped when they are dropped: they may hold a password.
pub(crate) async fn read(
    mut body: RequestBody,
    headers: &HeaderMap,
    limit: usize,
    within: Duration,
) -> Result<Zeroizing<Vec<u8>>, Problem> {
    if declared(headers).is_some_and(|length| length > limit as u64) {
        return Err(Problem::BodyTooLarge);
    }
    // Made as large as it can get: growing would leave copies behind that nobody wipes.
    let capacity = declared(headers).and_then(|length| usize::try_from(length).ok()).unwrap_or(limit);
    let mut bytes = Zeroizing::new(Vec::with_capacity(capacity));
    let whole = async {
        while let Some(frame) = body.frame().await {
            // The connection is of no more use: its framing broke, or the peer has gone.
            let Ok(mut data) = frame.map_err(|_| Problem::BodyUnreadable)?.into_data() else { continue };
            if bytes.len() + data.remaining() > limit {
                return Err(Problem::BodyTooLarge);
            }
            while data.has_remaining() {
                let length = data.chunk().len();
                bytes.extend_from_slice(data.chunk());
                data.advance(length);
            }
        }
        Ok(())
    };
    tokio::time::timeout(within, whole).await.unwrap_or(Err(Problem::BodyTooSlow))?;
    Ok(bytes)
}

fn declared(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}
