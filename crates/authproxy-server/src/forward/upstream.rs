//! One upstream: its connections, how many there may be, and sending a request over one of them.
//!
//! A connection carries one request at a time (HTTP/1.1) and rests in between, or all of them (HTTP/2, where an https
//! upstream offers it). Only a request of which nothing was written is sent again.

use std::{
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{HeaderValue, Response};
use http_body::{Body, Frame, SizeHint};
use hyper::{body::Incoming, client::conn::http2};
use tokio::{
    sync::{Semaphore, SemaphorePermit},
    time::timeout,
};

use super::{
    connect::{Connector, Protocols},
    error::UpstreamError,
    http1::{self, Failed, Tunneled, Wire},
    message::Message,
    shelf::{AtHand, Resting, Shelf, Shelves},
    upload::Upload,
    wait::Wait,
};
use crate::{alarm::Timer, body::poll_http2, boxed, burst::after_the_others, config::RouteConfig};

/// The pool of one upstream.
pub(crate) struct Upstream {
    connector: Connector,
    /// What the upstream is called in `Host`.
    pub(crate) authority: HeaderValue,
    connect_timeout: Duration,
    max_connections: usize,
    /// A permit is taken for every [`Place`].
    slots: Semaphore,
    shelves: Shelves,
}

/// A connection, ready for a request.
pub(super) enum Line {
    Http1(Wire),
    Http2(http2::SendRequest<Upload>),
}

/// A connection's place among those of its upstream, for the time of one exchange.
pub(crate) struct Place {
    slot: Slot,
    /// Where it rests afterwards: beside the others of its runtime.
    home: usize,
    /// What the requests of an HTTP/1.1 connection wait with, one after the other. It is of this worker's runtime.
    timer: Option<Timer>,
    /// Whether it has carried a request before: its upstream may be closing it just now.
    is_reused: bool,
}

/// One of the upstream's slots, given back when it is dropped.
struct Slot(Arc<Upstream>);

/// The body of an answer.
pub(crate) enum AnswerBody {
    Http1(http1::AnswerBody),
    Http2(Incoming),
}

/// Why an answer's body breaks off.
#[derive(Debug, thiserror::Error)]
pub(crate) enum BrokenBody {
    #[error(transparent)]
    Http1(#[from] http1::BrokenBody),
    #[error(transparent)]
    Http2(#[from] io::Error),
}

impl Upstream {
    pub(crate) fn new(route: &RouteConfig, connector: Connector) -> Self {
        let authority = HeaderValue::try_from(route.upstream.authority()).expect("a parsed host is visible ASCII");
        let max_connections = route.max_connections.min(Semaphore::MAX_PERMITS);
        Self {
            connector,
            authority,
            connect_timeout: route.connect_timeout,
            max_connections,
            slots: Semaphore::new(max_connections),
            shelves: Shelves::one_per_core(),
        }
    }

    /// Sends a request and waits for the answer's head; `wait` bounds that.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the exchange; an HTTP/1.1 connection that it was sent over is closed.
    pub(crate) async fn send(
        self: &Arc<Self>,
        message: &Message<'_>,
        mut body: Upload,
        protocols: Protocols,
        wait: &Wait<'_>,
    ) -> Result<(Response<AnswerBody>, Place), UpstreamError> {
        loop {
            let (line, mut place) = match self.at_hand(protocols) {
                Some(at_hand) => at_hand,
                // Boxed, and with a timer: most requests need neither.
                None => Box::pin(timeout(self.connect_timeout, self.checkout(protocols)))
                    .await
                    .map_err(|_| self.why_no_connection())??,
            };
            match line {
                Line::Http1(wire) => {
                    let request = message.http1(body);
                    after_the_others().await; // so that an upstream that sleeps is woken once for all of their requests
                    // Boxed: what goes through every function on a request's way has to be small.
                    let sending = boxed::pinned(|| wire.exchange(request, message.interim()));
                    match wait.for_head(sending, &mut place.timer).await? {
                        Ok(response) => return Ok((response.map(AnswerBody::Http1), place)),
                        Err(Failed::Unsent(unsent, _)) if place.is_reused => body = unsent,
                        Err(failed) => return Err(failed.into()),
                    }
                }
                Line::Http2(mut sender) => {
                    let sending = Box::pin(sender.try_send_request(message.http2(body)));
                    match wait.for_head(sending, &mut place.timer).await? {
                        Ok(response) => return Ok((response.map(AnswerBody::Http2), place)),
                        Err(mut failed) => match failed.take_message() {
                            Some(unsent) if place.is_reused => body = unsent.into_body(),
                            _ => return Err(UpstreamError::http2(failed.into_error())),
                        },
                    }
                }
            }
        }
    }

    /// Closes connections that have rested too long.
    pub(crate) fn sweep(&self) {
        self.shelves.sweep();
    }

    /// A connection that can be used at once.
    fn at_hand(self: &Arc<Self>, protocols: Protocols) -> Option<(Line, Place)> {
        if protocols != Protocols::All {
            return None;
        }
        let permit = self.slots.try_acquire().ok()?;
        let (here, nearby) = self.shelves.here();
        Some(self.reuse(nearby.at_hand()?, here, permit))
    }

    /// A connection at rest, or a new one.
    async fn checkout(self: &Arc<Self>, protocols: Protocols) -> Result<(Line, Place), UpstreamError> {
        let permit = self.slots.acquire().await.expect("the semaphore is never closed");
        let (here, nearby) = self.shelves.here();
        if protocols == Protocols::All
            && let Some((home, line)) = self.any_at_hand(here, nearby)
        {
            return Ok(self.reuse(line, home, permit));
        }
        let place = Place::new(self, here, permit, None);
        let line = self.connector.connect(protocols).await?;
        if let Line::Http2(sender) = &line {
            nearby.share(sender.clone());
        }
        Ok((line, place))
    }

    fn reuse(self: &Arc<Self>, line: AtHand, home: usize, permit: SemaphorePermit<'_>) -> (Line, Place) {
        let (line, timer) = match line {
            AtHand::Shared(sender) => (Line::Http2(sender), None),
            AtHand::Resting(Resting { wire, timer }) => (Line::Http1(wire), timer),
        };
        (line, Place { is_reused: true, ..Place::new(self, home, permit, timer) })
    }

    /// What is at hand here, or, where no new connection may be made, one that rests elsewhere.
    fn any_at_hand(&self, here: usize, nearby: &Shelf) -> Option<(usize, AtHand)> {
        if let Some(line) = nearby.at_hand() {
            return Some((here, line));
        }
        // In this order, so that one that is just coming to rest is counted twice rather than not at all.
        let in_use = self.max_connections - self.slots.available_permits();
        if in_use + self.shelves.resting() <= self.max_connections {
            return None;
        }
        let (home, wire) = self.shelves.take_anywhere()?;
        Some((home, AtHand::Resting(Resting { wire, timer: None })))
    }

    /// Why there was no connection in time: none was free, or none came about.
    fn why_no_connection(&self) -> UpstreamError {
        if self.slots.available_permits() == 0 { UpstreamError::Full } else { UpstreamError::ConnectTimeout }
    }
}

impl Place {
    /// For a connection that carries its first request.
    fn new(upstream: &Arc<Upstream>, home: usize, permit: SemaphorePermit<'_>, timer: Option<Timer>) -> Self {
        permit.forget(); // one count of the upstream is enough: it is a place in memory that all cores write to
        Self { slot: Slot(upstream.clone()), home, timer, is_reused: false }
    }

    /// Lets the connection rest until the next request, if this exchange has ended on both sides.
    pub(crate) fn give_back(self, answer: &mut AnswerBody) {
        if let AnswerBody::Http1(answer) = answer
            && let Some(wire) = answer.take_wire()
        {
            let shelves = &self.slot.0.shelves;
            let timer = self.timer.filter(|_| shelves.here().0 == self.home);
            shelves.put(self.home, Resting { wire, timer });
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        self.0.slots.add_permits(1);
    }
}

impl AnswerBody {
    /// The connection as a tunnel, where the upstream has changed the protocol.
    pub(crate) fn into_tunnel(self) -> Option<Tunneled> {
        match self {
            Self::Http1(answer) => answer.into_tunnel(),
            Self::Http2(_) => None,
        }
    }
}

impl Body for AnswerBody {
    type Data = Bytes;
    type Error = BrokenBody;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, BrokenBody>>> {
        match self.get_mut() {
            Self::Http1(body) => Pin::new(body).poll_frame(cx).map_err(BrokenBody::from),
            Self::Http2(body) => poll_http2(body, cx).map_err(BrokenBody::from),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Http1(body) => body.is_end_stream(),
            Self::Http2(body) => body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Http1(body) => body.size_hint(),
            Self::Http2(body) => body.size_hint(),
        }
    }
}
