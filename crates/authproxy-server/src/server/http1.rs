//! One connection that speaks HTTP/1 (RFC 9112), until it ends or becomes a tunnel.
//!
//! Written here, and not hyper's: the bytes are read strictly anyway, before anything else sees them, and to have them
//! read once more costs as much as all that is ours on a request's way. ARCHITECTURE.md has the figure and the command
//! behind it.
//!
//! Reading order: [`serve`] here, `connection` (what is waited for, and for how long), `inbound` and `head` (bytes become
//! requests), `answer` (answers become bytes), `wire` and `body` (how a body is read while its answer is written).

mod answer;
mod body;
mod connection;
mod head;
mod inbound;
mod interim;
mod wire;

use std::{
    pin::{Pin, pin},
    sync::atomic::{AtomicBool, Ordering},
    task::{Context, Poll},
    time::Duration,
};

use bytes::BytesMut;
use http::{StatusCode, Version, request::Parts};
use http_body_util::BodyExt as _;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::sleep,
};
use tokio_util::sync::CancellationToken;

use self::{
    answer::{Asked, Outgoing},
    connection::{BrokenAnswer, Connection, Next},
};
pub(crate) use self::{body::Incoming, interim::Interim};
use super::refusal;
use crate::{
    body::RequestBody,
    boxed,
    burst::after_the_others,
    problem::Problem,
    response::Response,
    seldom::Seldom,
    socket::{self, Patience, Reset},
    telemetry,
    tunnel::Tunnel,
};

/// How long a connection without a request is kept when the server drains: its peer may have sent one just now.
pub(super) const LAST_CALL: Duration = Duration::from_millis(250);

/// How a connection ends.
enum End {
    /// Nothing more is expected of the peer, or it has gone.
    Close,
    /// What came of its bytes is no request.
    Refuse(Problem),
    /// The peer must not take what it has for a whole answer.
    Reset,
    Switch(Tunnel),
}

/// Answers the requests of one connection. When `draining` is cancelled, the one under way is its last, or the one
/// that comes within [`LAST_CALL`].
///
/// # Cancel safety
///
/// Dropping it closes the connection where it stands.
pub(super) async fn serve<S, A, F>(io: S, patience: Patience, draining: CancellationToken, answer: A)
where
    S: AsyncRead + AsyncWrite + Reset + Unpin + Send + 'static,
    A: Fn(Box<Parts>, RequestBody, Option<Interim>) -> F,
    F: Future<Output = Response>,
{
    let is_last = AtomicBool::new(false);
    let mut connection = Connection::new(io, patience);
    let end = {
        let drained = pin!(async {
            draining.cancelled().await;
            is_last.store(true, Ordering::Relaxed);
            sleep(LAST_CALL).await;
        });
        let (mut drained, mut is_over) = (Seldom::new(drained), false);
        let closing = |cx: &mut Context<'_>| {
            is_over = is_over || Pin::new(&mut drained).poll(cx).is_ready();
            if is_over { Poll::Ready(()) } else { Poll::Pending }
        };
        requests(&mut connection, &is_last, closing, answer).await
    };
    let mut wire = connection.wire;
    match end {
        End::Refuse(problem) => refuse(wire, patience, problem).await,
        End::Reset => wire.access().io.reset_when_dropped(),
        End::Switch(tunnel) => {
            wire.take_back();
            let early = wire.access().inbound.take_unread();
            tunnel.run(wire, early).await;
        }
        End::Close if is_last.into_inner() => {
            let is_idle = wire.access().is_idle();
            socket::hang_up(&mut wire, is_idle).await;
        }
        End::Close => socket::close(&mut wire).await,
    }
}

/// Answers one request after the other.
async fn requests<S, A, F>(
    connection: &mut Connection<S>,
    is_last: &AtomicBool,
    mut closing: impl FnMut(&mut Context<'_>) -> Poll<()>,
    answer: A,
) -> End
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    A: Fn(Box<Parts>, RequestBody, Option<Interim>) -> F,
    F: Future<Output = Response>,
{
    loop {
        let head = match connection.next(&mut closing).await {
            Next::Request(head) => head,
            Next::Nothing => return End::Close,
            Next::Refused(refusal) => return End::Refuse(refusal.into()),
        };
        let (asked, is_old) = (Asked::of(&head), head.parts.version == Version::HTTP_10);
        let (body, interim) = (connection.body(head.expects_continue), connection.interim());
        // Boxed, so that a connection at rest does not carry the space that a request needs.
        let answering = boxed::pinned(|| answer(head.parts, body, Some(interim)));
        let sent = match connection.answered(answering, &mut closing).await {
            Ok(mut response) => {
                after_the_others().await;
                let tunnel = Tunnel::take(response.extensions_mut());
                let (parts, body) = response.into_parts();
                let sent = connection.send(&parts, body, asked, is_last.load(Ordering::Relaxed)).await;
                match tunnel.filter(|_| parts.status == StatusCode::SWITCHING_PROTOCOLS) {
                    // What the peer sends from here on is no request, and must not be the rest of one.
                    Some(tunnel) if sent.is_ok() && connection.has_read_all() => return End::Switch(tunnel),
                    Some(_) => return End::Close,
                    None => sent,
                }
            }
            Err(error) => Err(error),
        };
        match sent {
            Ok(goes_on) if goes_on && connection.has_read_all() => {}
            Ok(_) => return End::Close,
            Err(error) => {
                tracing::debug!(cause = %telemetry::chain(&error), "a connection ended early");
                // HTTP/1.0 has no chunks: a body without a length ends with its connection, and only a reset says that
                // it broke.
                let is_cut = matches!(error, BrokenAnswer::Body(_) | BrokenAnswer::Length);
                return if is_old && is_cut { End::Reset } else { End::Close };
            }
        }
    }
}

/// Tells a peer why its bytes are not read any further, and closes.
pub(super) async fn refuse(mut io: impl AsyncRead + AsyncWrite + Unpin, patience: Patience, problem: Problem) {
    let (parts, body) = refusal::response(problem).into_parts();
    let asked = Asked::by_nobody();
    let mut out = Outgoing::new(BytesMut::new(), &parts, &body, asked, true);
    if let Ok(whole) = body.collect().await {
        let _ = out.push(Some(http_body::Frame::data(whole.to_bytes()))); // as long as it says
    }
    // Whether the peer still listens is its own affair.
    let _ = tokio::time::timeout(patience.write, out.write_all(&mut io)).await;
    socket::close(&mut io).await;
}

#[cfg(test)]
mod tests;
