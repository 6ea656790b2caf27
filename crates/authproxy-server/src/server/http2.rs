//! One connection that speaks HTTP/2 (RFC 9113).
//!
//! What h2 bounds by itself: resets in a row, CONTINUATION frames, empty and tiny DATA frames, unanswered pings and
//! settings. Fields of a connection and malformed heads end their stream; extended CONNECT is not offered.

mod gather;
mod head;
mod outgoing;
mod streams;

use std::{convert::Infallible, pin::pin};

use http::{
    HeaderName, Method, Request, StatusCode,
    header::{CONNECTION, CONTENT_LENGTH, TE, TRANSFER_ENCODING, UPGRADE},
    request::Parts,
};
use http_body::Body as _;
use hyper::{body::Incoming, server::conn::http2::Builder, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_util::sync::CancellationToken;

use self::{
    gather::{Flushes, Gathering},
    outgoing::Outgoing,
    streams::Streams,
};
use super::{http1::Interim, refusal};
use crate::{
    body::{Body, RequestBody},
    problem::Problem,
    response::Response,
    socket::{Patience, Watched},
    telemetry,
};

/// How many requests of one peer are answered at once.
const STREAMS: u32 = 100;
/// The most bytes of a head's fields, with 32 for each field (RFC 9113, section 6.5.2); a longer one is 431.
const HEADER_LIST: u32 = 64 * 1024;
/// How much of a request's body a peer may send before it is read. Half of it makes large uploads a fifth slower.
const STREAM_WINDOW: u32 = 256 * 1024;
/// And of all bodies of a connection: 32 that an API does not read hold up no other. So at most 8 MiB wait here for each
/// connection; with room for the unread bodies of all streams a peer could make 25 MiB wait.
const CONNECTION_WINDOW: u32 = 32 * STREAM_WINDOW;
/// How much of an answer waits for its peer.
const SEND_BUFFER: usize = 64 * 1024;

/// Fields that are about a connection of HTTP/1 (RFC 9113, section 8.2.2).
const OF_HTTP_1: [HeaderName; 6] = [
    CONNECTION,
    HeaderName::from_static("keep-alive"),
    HeaderName::from_static("proxy-connection"),
    TE,
    TRANSFER_ENCODING,
    UPGRADE,
];

/// Answers the requests of one connection. When `draining` is cancelled, the peer is told to send no more, and what
/// is under way is answered.
///
/// # Cancel safety
///
/// Dropping it closes the connection where it stands, with every stream.
pub(super) async fn serve<S, A, F>(io: S, patience: Patience, draining: CancellationToken, answer: A)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    A: Fn(Box<Parts>, RequestBody, Option<Interim>) -> F,
    F: Future<Output = Response> + Send + 'static,
{
    let streams = Streams::new(patience.write);
    let _ended = streams.end_on_drop();
    let service = service_fn(|request| {
        let method = request.method().clone();
        let answered = checked(request).map(|request| {
            let (head, body) = request.into_parts();
            answer(Box::new(head), RequestBody::Http2(body), None)
        });
        async move {
            let response = match answered {
                Ok(answered) => answered.await,
                Err(problem) => refusal::response(problem),
            };
            Ok::<_, Infallible>(translate(response, &method).map(Outgoing::new))
        }
    });
    let flushes = Flushes::default();
    let io = Gathering::new(Watched::new(io, patience), flushes.clone());
    let mut connection = pin!(
        Builder::new(streams.clone())
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(HEADER_LIST)
            .initial_stream_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_send_buf_size(SEND_BUFFER)
            .keep_alive_interval(patience.idle)
            .keep_alive_timeout(patience.head)
            .serve_connection(TokioIo::new(io), service)
    );

    let ended = tokio::select! {
        outcome = flushes.drive(connection.as_mut()) => Some(outcome),
        () = draining.cancelled() => None,
        () = streams.none_for(patience.idle.min(patience.head), patience.idle) => None,
    };
    let outcome = if let Some(outcome) = ended {
        outcome
    } else {
        connection.as_mut().graceful_shutdown();
        tokio::select! {
            outcome = flushes.drive(connection.as_mut()) => outcome,
            // A peer that neither says goodbye nor takes the rest of its answers.
            () = streams.none_for(patience.head, patience.head) => Ok(()),
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(cause = %telemetry::chain(&error), "a connection ended early");
    }
}

/// A request in the shape that it has over HTTP/1.1.
fn checked(request: Request<Incoming>) -> Result<Request<Incoming>, Problem> {
    let (mut head, body) = request.into_parts();
    head::normalize(&mut head)?;
    Ok(Request::from_parts(head, body))
}

/// An answer as HTTP/2 has it: without what is about a connection, and, to HEAD, without the body. hyper sees to neither;
/// over HTTP/1 `http1/answer.rs` does.
fn translate(mut response: Response, method: &Method) -> Response {
    if response.status() == StatusCode::SWITCHING_PROTOCOLS {
        response = refusal::response(Problem::Internal);
    }
    for name in &OF_HTTP_1 {
        response.headers_mut().remove(name);
    }
    if method == Method::HEAD {
        if let Some(length) = response.body().size_hint().exact().filter(|length| *length > 0) {
            response.headers_mut().entry(CONTENT_LENGTH).or_insert(length.into());
        }
        *response.body_mut() = Body::whole("");
    }
    response
}
