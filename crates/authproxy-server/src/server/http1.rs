//! One connection that speaks HTTP/1, until it ends or becomes a tunnel.

use std::{
    convert::Infallible,
    future::poll_fn,
    pin::{Pin, pin},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Request, StatusCode, Version, header::CONNECTION};
use http_body::{Frame, SizeHint};
use hyper::{
    body::Incoming,
    server::conn::http1::{Builder, Parts},
    service::service_fn,
};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use super::refusal;
use crate::{
    body::Body,
    forward::DownloadError,
    response::Response,
    seldom::Seldom,
    socket::{Busy, BusyGuard, Interim, Patience, Reset, Socket},
    telemetry,
    tunnel::Tunnel,
};

/// The largest head that hyper is given; `framing.rs` refuses larger ones before.
const HEAD_BUFFER: usize = 64 * 1024;

/// How long a connection without a request is kept when the server drains: its peer may have sent one just now.
pub(super) const LAST_CALL: Duration = Duration::from_millis(250);

/// Answers the requests of one connection. When `draining` is cancelled, the one under way is its last, or the one
/// that comes within [`LAST_CALL`].
///
/// # Cancel safety
///
/// Dropping it closes the connection where it stands.
pub(super) async fn serve<S, A, F>(io: S, patience: Patience, draining: CancellationToken, answer: A)
where
    S: AsyncRead + AsyncWrite + Reset + Unpin,
    A: Fn(Request<Incoming>, Option<Interim>) -> F,
    F: Future<Output = Response>,
{
    let busy = Busy::default();
    let socket = Socket::new(io, patience, busy.clone());
    let switched = Mutex::new(None);
    let is_old = AtomicBool::new(false);
    let is_last = AtomicBool::new(false);
    let service = service_fn(|request: Request<Incoming>| {
        is_old.store(request.version() == Version::HTTP_10, Ordering::Relaxed);
        let (guard, interim) = (busy.begin(), Some(busy.interim()));
        let (answer, switched, is_last) = (&answer, &switched, &is_last);
        Box::pin(async move {
            // Made here: a future that is moved into another one is copied whole.
            let mut response = answer(request, interim).await;
            if is_last.load(Ordering::Relaxed) && response.status() != StatusCode::SWITCHING_PROTOCOLS {
                response.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            let tunnel = Tunnel::take(response.extensions_mut());
            let mut guard = Some(guard);
            if let Some(tunnel) = tunnel.filter(|_| response.status() == StatusCode::SWITCHING_PROTOCOLS) {
                // The connection stays busy: what the peer sends from here on is no request.
                *switched.lock().unwrap_or_else(PoisonError::into_inner) = Some((tunnel, guard.take()));
            }
            Ok::<_, Infallible>(response.map(|body| Answering { body, broken: None, _busy: guard }))
        })
    });
    let mut connection = Builder::new()
        .header_read_timeout(None)
        .writev(false)
        .max_buf_size(HEAD_BUFFER + 8 * 1024)
        .serve_connection(socket, service);

    let drained = pin!(async {
        draining.cancelled().await;
        is_last.store(true, Ordering::Relaxed);
        sleep(LAST_CALL).await;
    });
    let mut drained = Seldom::new(drained);
    let mut told = false;
    let outcome = poll_fn(|cx| {
        if !told && Pin::new(&mut drained).poll(cx).is_ready() {
            told = true;
            Pin::new(&mut connection).graceful_shutdown();
        }
        connection.poll_without_shutdown(cx)
    })
    .await;
    let Parts { io: socket, read_buf, .. } = connection.into_parts();
    if let Err(error) = &outcome {
        tracing::debug!(cause = %telemetry::chain(error), "a connection ended early");
    }
    let switched = switched.into_inner().unwrap_or_else(PoisonError::into_inner);
    match (switched, socket.refusal()) {
        (Some((tunnel, _busy)), _) if outcome.is_ok() && socket.may_switch() => {
            let (io, unread) = socket.into_io();
            tunnel.run(io, [read_buf, unread].concat().into()).await;
        }
        (None, Some(refusal)) => refusal::refuse(socket, refusal.into()).await,
        // HTTP/1.0 has no chunks: a body without a length ends with its connection, and only a reset says that it broke.
        _ if is_old.load(Ordering::Relaxed) && outcome.as_ref().is_err_and(hyper::Error::is_user) => socket.reset(),
        _ if is_last.load(Ordering::Relaxed) => socket.hang_up().await,
        _ => socket.close().await,
    }
}

/// An answer's body; until its end the peer owes nothing, however long the upstream is silent.
struct Answering {
    body: Body,
    /// Why it broke off, until what came before that is out: hyper drops what it has not written.
    broken: Option<DownloadError>,
    _busy: Option<BusyGuard>,
}

impl http_body::Body for Answering {
    type Data = Bytes;
    type Error = DownloadError;

    fn poll_frame(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, DownloadError>>> {
        if let Some(error) = self.broken.take() {
            return Poll::Ready(Some(Err(error)));
        }
        match ready!(Pin::new(&mut self.body).poll_frame(cx)) {
            Some(Err(error)) => {
                self.broken = Some(error);
                cx.waker().wake_by_ref();
                Poll::Pending
            }
            frame => Poll::Ready(frame),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests;
