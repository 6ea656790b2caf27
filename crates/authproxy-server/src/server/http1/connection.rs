//! One connection as its task sees it: waits for the peer, each bounded, and writes what it is to have.

use std::{
    future::poll_fn,
    io,
    pin::{Pin, pin},
    task::{Context, Poll, Waker, ready},
};

use bytes::{Buf as _, BytesMut};
use http::response;
use http_body::Body as _;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, Sleep},
};

use super::{
    answer::{Asked, Outgoing, WrongLength},
    body::Incoming,
    head::Head,
    interim::Interim,
    wire::Wire,
};
use crate::{
    alarm::{self, poll_deadline},
    body::{Body, RequestBody},
    forward::DownloadError,
    heads::Refusal,
    seldom::Seldom,
    socket::{Patience, WritePace},
};

/// A peer's connection.
pub(super) struct Connection<S> {
    pub(super) wire: Wire<S>,
    patience: Patience,
    interim: Interim,
    /// The task that `interim` wakes.
    task: Option<Waker>,
    has_answered: bool,
    /// What is left to write of answers before the answer.
    early: BytesMut,
    is_flushed: bool,
    timer: Seldom<Box<Sleep>>,
    pace: WritePace,
}

/// What comes of waiting for a request.
pub(super) enum Next {
    Request(Head),
    /// The peer has gone, or said nothing in time.
    Nothing,
    Refused(Refusal),
}

/// Why an answer broke off.
#[derive(Debug, thiserror::Error)]
pub(super) enum BrokenAnswer {
    #[error("the peer does not read it")]
    Peer(#[from] io::Error),
    #[error("its body broke off")]
    Body(#[from] DownloadError),
    #[error("its body is not as long as was said")]
    Length,
    #[error("the peer has gone")]
    Gone,
}

impl<S: AsyncRead + AsyncWrite + Unpin + Send + 'static> Connection<S> {
    pub(super) fn new(io: S, patience: Patience) -> Self {
        let interim = Interim::default();
        Self {
            wire: Wire::new(io, interim.clone()),
            patience,
            interim,
            task: None,
            has_answered: false,
            early: BytesMut::new(),
            is_flushed: true,
            timer: Seldom::new(alarm::ringing_at(Instant::now() + patience.head)),
            pace: WritePace::new(patience.write),
        }
    }

    /// What sends answers before the answer.
    pub(super) fn interim(&self) -> Interim {
        self.interim.clone()
    }

    /// Waits for the next request's head; not beyond the end of `closing`, unless a head has begun.
    pub(super) async fn next(&mut self, mut closing: impl FnMut(&mut Context<'_>) -> Poll<()>) -> Next {
        self.wire.take_back();
        let (mut silent_since, mut head_began) = (None, None);
        poll_fn(|cx| {
            let is_closing = closing(cx).is_ready();
            let mut state = self.wire.access();
            loop {
                match state.head() {
                    Ok(Some(head)) => return Poll::Ready(Next::Request(head)),
                    Ok(None) => {}
                    Err(refusal) => return Poll::Ready(Next::Refused(refusal)),
                }
                match state.poll_fill(cx) {
                    Poll::Ready(Ok(1..)) => {}
                    Poll::Ready(Ok(0) | Err(_)) => return Poll::Ready(Next::Nothing),
                    Poll::Pending => break,
                }
            }
            let has_begun = state.inbound.has_begun();
            drop(state);
            if has_begun {
                let deadline = *head_began.get_or_insert_with(Instant::now) + self.patience.head;
                return poll_deadline(&mut self.timer, deadline, cx).map(|()| Next::Refused(Refusal::HeadTooSlow));
            }
            if is_closing {
                return Poll::Ready(Next::Nothing);
            }
            // A new connection that says nothing is given no more time than a head.
            let Patience { head, idle, .. } = self.patience;
            let patience = if self.has_answered { idle } else { idle.min(head) };
            let deadline = *silent_since.get_or_insert_with(Instant::now) + patience;
            poll_deadline(&mut self.timer, deadline, cx).map(|()| Next::Nothing)
        })
        .await
    }

    /// The body of the request that has begun.
    pub(super) fn body(&mut self, expects_continue: bool) -> RequestBody {
        self.interim.take(); // what an earlier request has left
        let mut state = self.wire.access();
        let body = state.inbound.body();
        if body.is_done() {
            return RequestBody::Empty;
        }
        let length = body.size_hint().exact();
        let turn = state.begin_body(expects_continue);
        drop(state);
        RequestBody::Http1(Incoming::new(self.wire.share(), turn, length))
    }

    /// Whether all of the last request was read, or can be passed over.
    pub(super) fn has_read_all(&mut self) -> bool {
        self.wire.access().end_body()
    }

    /// Waits for `answer`, as long as the peer does, and sends what comes before it.
    pub(super) async fn answered<T>(
        &mut self,
        answer: impl Future<Output = T>,
        mut closing: impl FnMut(&mut Context<'_>) -> Poll<()>,
    ) -> Result<T, BrokenAnswer> {
        let mut answer = pin!(answer);
        poll_fn(|cx| {
            self.attend(cx);
            let _ = closing(cx); // whoever is being answered is not cut off
            if let Poll::Ready(answer) = answer.as_mut().poll(cx) {
                return Poll::Ready(Ok(answer));
            }
            ready!(self.poll_early(cx))?;
            self.wire.access().poll_gone(cx).map(|()| Err(BrokenAnswer::Gone))
        })
        .await
    }

    /// Has whatever comes early wake this task.
    fn attend(&mut self, cx: &Context<'_>) {
        if !self.task.as_ref().is_some_and(|task| task.will_wake(cx.waker())) {
            self.interim.register(cx.waker());
            self.task = Some(cx.waker().clone());
        }
    }

    /// Writes the answers before the answer that are there.
    fn poll_early(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            if self.early.is_empty() {
                // Not before: what the peer does not read must not pile up here.
                let Some(more) = self.interim.take() else { break };
                self.early.extend_from_slice(&more);
            }
            let outcome = Pin::new(&mut self.wire.access().io).poll_write(cx, &self.early);
            let written = at_least_one(ready!(self.pace.pass(cx, outcome)))?;
            self.early.advance(written);
            self.is_flushed = false;
        }
        self.poll_flush(cx)
    }

    fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if !self.is_flushed {
            let outcome = Pin::new(&mut self.wire.access().io).poll_flush(cx);
            ready!(self.pace.pass(cx, outcome))?;
            self.is_flushed = true;
        }
        Poll::Ready(Ok(()))
    }

    /// Sends an answer. Whether the connection goes on behind it.
    pub(super) async fn send(
        &mut self,
        answer: &response::Parts,
        mut body: Body,
        asked: Asked,
        is_last: bool,
    ) -> Result<bool, BrokenAnswer> {
        let is_last = is_last || self.wire.access().is_left_unread();
        let mut before = std::mem::take(&mut self.early);
        before.extend_from_slice(&self.interim.take().unwrap_or_default());
        let mut out = Outgoing::new(before, answer, &body, asked, is_last);
        let mut broken = None;
        poll_fn(|cx| {
            self.attend(cx);
            loop {
                while broken.is_none() && !out.has_ended() && out.has_room() {
                    let Poll::Ready(part) = Pin::new(&mut body).poll_frame(cx) else { break };
                    let pushed = part.transpose().map(|part| out.push(part));
                    broken = match pushed {
                        Ok(Ok(())) => None,
                        Ok(Err(WrongLength)) => Some(BrokenAnswer::Length),
                        Err(error) => Some(BrokenAnswer::Body(error)),
                    };
                }
                if !out.is_empty() {
                    let outcome = out.poll_write(&mut self.wire.access().io, cx);
                    out.advance(at_least_one(ready!(self.pace.pass(cx, outcome)))?);
                    self.is_flushed = false;
                    continue;
                }
                ready!(self.poll_flush(cx))?;
                if let Some(broken) = broken.take() {
                    return Poll::Ready(Err(broken));
                }
                if out.has_ended() {
                    self.has_answered = true;
                    return Poll::Ready(Ok(out.keeps_alive));
                }
                return self.wire.access().poll_gone(cx).map(|()| Err(BrokenAnswer::Gone));
            }
        })
        .await
    }
}

fn at_least_one(written: io::Result<usize>) -> io::Result<usize> {
    match written {
        Ok(0) => Err(io::ErrorKind::WriteZero.into()),
        other => other,
    }
}

#[cfg(test)]
mod tests;
