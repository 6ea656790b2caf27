//! One upstream: its connections, how many there may be, and sending a request over one of them.
//!
//! A connection carries one request at a time (HTTP/1.1) and rests in between, or all of them (HTTP/2, where an https
//! upstream offers it). Only a request of which nothing was written is sent again.

use std::{sync::Arc, time::Duration};

use http::{
    HeaderValue, Request, Response, Uri, Version,
    header::HOST,
    uri::{PathAndQuery, Scheme},
};
use http_body::Body;
use hyper::{
    body::Incoming,
    client::conn::{TrySendError, http1, http2},
};
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::timeout,
};

use super::{
    connect::{Connector, Protocols},
    error::UpstreamError,
    shelf::{Shelf, Shelves},
    upload::Upload,
};
use crate::config::RouteConfig;

/// The pool of one upstream.
pub(crate) struct Upstream {
    connector: Connector,
    /// What the upstream is called in `Host`.
    pub(crate) authority: HeaderValue,
    connect_timeout: Duration,
    max_connections: usize,
    slots: Arc<Semaphore>,
    shelves: Shelves,
}

/// A connection to an upstream for the time of one exchange.
pub(crate) struct Connection {
    sender: Sender,
    upstream: Arc<Upstream>,
    /// Where it rests afterwards: beside the others of its runtime.
    home: usize,
    /// Whether it has carried a request before: its upstream may be closing it just now.
    is_reused: bool,
    _slot: OwnedSemaphorePermit,
}

pub(super) enum Sender {
    Http1(http1::SendRequest<Upload>),
    Http2(http2::SendRequest<Upload>),
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
            slots: Arc::new(Semaphore::new(max_connections)),
            shelves: Shelves::one_per_core(),
        }
    }

    /// Sends a request and waits for the answer's head; `wait` bounds that.
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the exchange; an HTTP/1.1 connection that it was sent over is closed.
    pub(crate) async fn send<W>(
        self: &Arc<Self>,
        mut request: Request<Upload>,
        protocols: Protocols,
        wait: impl Fn(Sending) -> W,
    ) -> Result<(Response<Incoming>, Connection), UpstreamError>
    where
        W: Future<Output = Result<Sent, UpstreamError>>,
    {
        loop {
            let mut connection = match self.at_hand(protocols) {
                Some(connection) => connection,
                // Boxed, and with a timer: most requests need neither.
                None => Box::pin(timeout(self.connect_timeout, self.checkout(protocols)))
                    .await
                    .map_err(|_| self.why_no_connection())??,
            };
            match wait(connection.send(request)).await? {
                Ok(response) => return Ok((response, connection)),
                Err(mut failed) => match failed.take_message() {
                    Some(unsent) if connection.is_reused => request = unsent,
                    _ => return Err(UpstreamError::exchange(failed.into_error())),
                },
            }
        }
    }

    /// A connection that can be used at once.
    fn at_hand(self: &Arc<Self>, protocols: Protocols) -> Option<Connection> {
        if protocols != Protocols::All {
            return None;
        }
        let slot = self.slots.clone().try_acquire_owned().ok()?;
        let (home, nearby) = self.shelves.here();
        let sender = match nearby.shared() {
            Some(sender) => Sender::Http2(sender),
            None => Sender::Http1(nearby.take(http1::SendRequest::is_ready)?),
        };
        Some(Connection { sender, upstream: self.clone(), home, is_reused: true, _slot: slot })
    }

    /// A connection at rest, or a new one.
    async fn checkout(self: &Arc<Self>, protocols: Protocols) -> Result<Connection, UpstreamError> {
        let slot = self.slots.clone().acquire_owned().await.expect("the semaphore is never closed");
        let (here, nearby) = self.shelves.here();
        let connection =
            |sender, home, is_reused| Connection { sender, upstream: self.clone(), home, is_reused, _slot: slot };
        if protocols == Protocols::All {
            if let Some(sender) = nearby.shared() {
                return Ok(connection(Sender::Http2(sender), here, true));
            }
            while let Some((home, mut sender)) = self.any_at_rest(here, nearby) {
                // Its task may not have seen the end of the last answer yet; it is about to.
                if sender.ready().await.is_ok() {
                    return Ok(connection(Sender::Http1(sender), home, true));
                }
            }
        }
        let sender = self.connector.connect(protocols).await?;
        if let Sender::Http2(sender) = &sender {
            nearby.share(sender.clone());
        }
        Ok(connection(sender, here, false))
    }

    /// The connection that rested last here, or, where no new one may be made, one that rests elsewhere.
    fn any_at_rest(&self, here: usize, nearby: &Shelf) -> Option<(usize, http1::SendRequest<Upload>)> {
        if let Some(sender) = nearby.take(|_| true) {
            return Some((here, sender));
        }
        // In this order, so that one that is just coming to rest is counted twice rather than not at all.
        let in_use = self.max_connections - self.slots.available_permits();
        if in_use + self.shelves.resting() <= self.max_connections {
            return None;
        }
        self.shelves.take_anywhere()
    }

    /// Why there was no connection in time: none was free, or none came about.
    fn why_no_connection(&self) -> UpstreamError {
        if self.slots.available_permits() == 0 { UpstreamError::Full } else { UpstreamError::ConnectTimeout }
    }
}

/// The answer's head, or what went wrong, with the request where nothing of it was written.
pub(crate) type Sent = Result<Response<Incoming>, TrySendError<Request<Upload>>>;

/// A request on its way.
pub(crate) type Sending = std::pin::Pin<Box<dyn Future<Output = Sent> + Send>>;

impl Connection {
    fn send(&mut self, mut request: Request<Upload>) -> Sending {
        match &mut self.sender {
            Sender::Http1(sender) => {
                address_http1(&mut request);
                Box::pin(sender.try_send_request(request))
            }
            Sender::Http2(sender) => {
                address_http2(&mut request);
                Box::pin(sender.try_send_request(request))
            }
        }
    }

    /// Is done with an answer that nobody reads: the connection rests if there is nothing left to read.
    pub(crate) fn give_up(self, answer: &Response<Incoming>) {
        if answer.body().is_end_stream() {
            self.give_back();
        }
    }

    /// Lets the connection rest until the next request. Only after an answer was read to its end.
    pub(crate) fn give_back(self) {
        let Self { sender, upstream, home, .. } = self;
        if let Sender::Http1(sender) = sender
            && !sender.is_closed()
        {
            upstream.shelves.put(home, sender);
        }
    }
}

/// HTTP/1.1 names the host in `Host` (RFC 9112, section 3.2.1).
fn address_http1(request: &mut Request<Upload>) {
    *request.version_mut() = Version::HTTP_11;
    let host = request.uri().authority().and_then(|authority| HeaderValue::from_str(authority.as_str()).ok());
    if let Some(host) = host {
        request.headers_mut().insert(HOST, host);
        *request.uri_mut() = request.uri().path_and_query().cloned().map(Uri::from).unwrap_or_default();
    }
}

/// HTTP/2 names the host in `:authority` (RFC 9113, section 8.3.1).
fn address_http2(request: &mut Request<Upload>) {
    *request.version_mut() = Version::HTTP_2;
    if let Some(host) = request.headers_mut().remove(HOST) {
        let path = request.uri().path_and_query().cloned();
        let uri = Uri::builder().scheme(Scheme::HTTPS).authority(host.as_bytes());
        *request.uri_mut() =
            uri.path_and_query(path.unwrap_or(PathAndQuery::from_static("/"))).build().unwrap_or_default();
    }
}
