//! [`FakeUpstream`]: a resource server that records raw bytes and does what it is told.

mod events;
mod flaws;
mod perform;
mod play;
mod received;
mod secure;
mod wire;

use std::{
    collections::{HashMap, VecDeque},
    io,
    net::SocketAddr,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard},
};

use tokio::sync::watch;

pub use self::{
    events::EventStream,
    flaws::{CutPoint, Malformation},
    play::{Framing, Play, Step},
    received::ReceivedRequest,
    secure::Protocol,
};
use self::{
    received::{Receiving, Seen},
    secure::Tls,
};
use crate::{
    http1::{Answer, RecordedRequest},
    server::Server,
    socket::Address,
};

/// A resource server on a loopback port or a Unix socket of its own.
///
/// What it does with a request is said by path, once ([`next`](Self::next)) or for good ([`on`](Self::on)), and for all
/// others by the function that it was started with. Dropped or [`finish`](Self::finish)ed, it fails the test when that
/// function has panicked: it may hold assertions.
pub struct FakeUpstream {
    shared: Arc<Shared>,
    server: Server,
    tls: Option<Tls>,
}

/// What its connections share.
struct Shared {
    seen: watch::Sender<Seen>,
    script: Mutex<Script>,
    otherwise: Box<dyn Fn(&ReceivedRequest) -> Play + Send + Sync>,
}

/// What to do with requests, by path.
#[derive(Default)]
struct Script {
    once: HashMap<String, VecDeque<Play>>,
    always: HashMap<String, Play>,
}

/// A connection that is counted as open until dropped.
struct Connected<'a> {
    shared: &'a Shared,
    place: usize,
}

impl FakeUpstream {
    /// An upstream that answers every request with 200 and an empty JSON object.
    ///
    /// # Panics
    ///
    /// When no loopback port can be had.
    pub async fn start() -> Self {
        Self::answering(|_| Answer::json(200, "{}")).await.expect("a loopback port is free")
    }

    /// An upstream that answers as `answer` says, once it has the whole request.
    ///
    /// # Errors
    ///
    /// When no loopback port can be had.
    pub async fn answering(answer: impl Fn(&RecordedRequest) -> Answer + Send + Sync + 'static) -> io::Result<Self> {
        Self::playing(move |request| Play::answer(answer(request))).await
    }

    /// An upstream that does what `otherwise` says, once it has the whole request.
    ///
    /// # Errors
    ///
    /// When no loopback port can be had.
    pub async fn playing(otherwise: impl Fn(&ReceivedRequest) -> Play + Send + Sync + 'static) -> io::Result<Self> {
        let shared = Shared::new(otherwise);
        let serving = shared.clone();
        let server = Server::start(move |stream| perform::serve(serving.clone(), stream)).await?;
        Ok(Self { shared, server, tls: None })
    }

    /// An upstream on a Unix socket at this path, which answers like [`Self::start`].
    ///
    /// # Errors
    ///
    /// When there cannot be a socket.
    pub async fn on_unix_socket(path: impl Into<PathBuf>) -> io::Result<Self> {
        let shared = Shared::new(|_| Play::answer(Answer::json(200, "{}")));
        let (serving, address) = (shared.clone(), Address::Unix(path.into()));
        let server = Server::start_at(address, move |stream| perform::serve(serving.clone(), stream)).await?;
        Ok(Self { shared, server, tls: None })
    }

    /// An upstream behind TLS that offers these protocols by ALPN, with a certificate for `localhost` and `127.0.0.1`,
    /// and answers like [`Self::start`]. Over HTTP/2 it plays whole answers, gates and silence only.
    ///
    /// # Panics
    ///
    /// When no loopback port can be had.
    pub async fn with_tls(protocols: &[Protocol]) -> Self {
        let shared = Shared::new(|_| Play::answer(Answer::json(200, "{}")));
        let (serving, tls) = (shared.clone(), Tls::new(protocols));
        let acceptor = tls.acceptor();
        let serve = move |stream| secure::serve(serving.clone(), acceptor.clone(), stream);
        let server = Server::start(serve).await.expect("a loopback port is free");
        Self { shared, server, tls: Some(tls) }
    }

    /// The upstream's URL, without a path, as a route names it.
    pub fn url(&self) -> String {
        match (self.server.address(), &self.tls) {
            (Address::Tcp(addr), None) => format!("http://{addr}"),
            (Address::Tcp(addr), Some(_)) => format!("https://localhost:{}", addr.port()),
            (Address::Unix(path), _) => format!("unix:{}", path.display()),
        }
    }

    /// The upstream's address.
    ///
    /// # Panics
    ///
    /// When it listens on a Unix socket.
    pub fn addr(&self) -> SocketAddr {
        self.server.addr()
    }

    /// Writes the authority that its certificate comes from to a PEM file.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    ///
    /// # Panics
    ///
    /// When it speaks no TLS.
    pub fn write_authority(&self, file: &Path) -> io::Result<()> {
        std::fs::write(file, self.tls.as_ref().expect("it speaks TLS").authority())
    }

    /// Does this with every request of a path.
    pub fn on(&self, path: &str, play: Play) {
        self.shared.script().always.insert(path.to_owned(), play);
    }

    /// Does this with the next request of a path; several queue up.
    pub fn next(&self, path: &str, play: Play) {
        self.shared.script().once.entry(path.to_owned()).or_default().push_back(play);
    }

    /// Every request whose head has come so far, in order of arrival; of very many only the last 20,000.
    pub fn requests(&self) -> Vec<ReceivedRequest> {
        self.shared.seen.borrow().requests().map(Receiving::received).collect()
    }

    /// Every request of a path.
    pub fn requests_of(&self, path: &str) -> Vec<ReceivedRequest> {
        self.requests().into_iter().filter(|request| request.path() == path).collect()
    }

    /// Waits until so many requests of a path have come, by their heads.
    pub async fn until_requests(&self, path: &str, count: usize) {
        let of_path = |seen: &Seen| seen.requests().filter(|request| request.head().path() == path).count();
        self.until(|seen| of_path(seen) >= count).await;
    }

    /// How many connections were ever made.
    pub fn connections(&self) -> usize {
        self.shared.seen.borrow().connections
    }

    /// How many connections are open.
    pub fn open_connections(&self) -> usize {
        self.shared.seen.borrow().open
    }

    /// Waits until exactly so many connections are open.
    pub async fn until_open_connections(&self, count: usize) {
        self.until(|seen| seen.open == count).await;
    }

    /// How many bytes of patterns the system took from it.
    pub fn filled(&self) -> u64 {
        self.shared.seen.borrow().filled
    }

    /// Waits until a pattern has stalled, because its reader does not read, for the `count`th time.
    pub async fn until_stalled(&self, count: usize) {
        self.until(|seen| seen.stalls >= count).await;
    }

    /// How many bytes of bodies have come, in all requests.
    pub fn body_bytes(&self) -> u64 {
        self.shared.seen.borrow().requests().map(Receiving::body_length).sum()
    }

    /// Waits until so many bytes of bodies have come.
    pub async fn until_body_bytes(&self, count: u64) {
        self.until(|seen| seen.requests().map(Receiving::body_length).sum::<u64>() >= count).await;
    }

    async fn until(&self, holds: impl Fn(&Seen) -> bool) {
        self.shared.seen.subscribe().wait_for(|seen| holds(seen)).await.expect("the sender is ours");
    }

    /// Closes the listener and cuts every connection.
    pub async fn refuse_connections(&self) {
        self.server.refuse().await;
    }

    /// Listens again, on the same port.
    pub async fn accept_connections(&self) {
        self.server.accept().await;
    }

    /// Stops the upstream.
    ///
    /// # Panics
    ///
    /// When one of its tasks has panicked.
    pub async fn finish(self) {
        self.server.finish().await;
    }
}

impl Shared {
    fn new(otherwise: impl Fn(&ReceivedRequest) -> Play + Send + Sync + 'static) -> Arc<Self> {
        let otherwise = Box::new(otherwise);
        Arc::new(Self { seen: watch::Sender::default(), script: Mutex::default(), otherwise })
    }

    fn script(&self) -> MutexGuard<'_, Script> {
        self.script.lock().expect("no panic while the script is locked")
    }

    fn connected(&self) -> Connected<'_> {
        let mut place = 0;
        self.seen.send_modify(|seen| {
            place = seen.connections;
            seen.connections += 1;
            seen.open += 1;
        });
        Connected { shared: self, place }
    }

    /// Remembers a request and returns its place.
    fn arrived(&self, receiving: Receiving) -> usize {
        let mut place = 0;
        self.seen.send_modify(|seen| place = seen.push(receiving));
        place
    }

    fn receiving(&self, place: usize, change: impl FnOnce(&mut Receiving)) {
        self.seen.send_modify(|seen| {
            seen.request(place).map(change);
        });
    }

    fn filled(&self, taken: Option<usize>) {
        self.seen.send_modify(|seen| match taken {
            Some(bytes) => seen.filled += bytes as u64,
            None => seen.stalls += 1,
        });
    }

    /// What was said about the requests of a path.
    fn scripted(&self, path: &str) -> Option<Play> {
        let mut script = self.script();
        let once = script.once.get_mut(path).and_then(VecDeque::pop_front);
        once.or_else(|| script.always.get(path).cloned())
    }

    /// What is done with a request about which nothing was said.
    fn improvised(&self, place: usize) -> Play {
        let mut received = None;
        self.seen.send_if_modified(|seen| {
            received = seen.request(place).map(|request| request.received());
            false
        });
        (self.otherwise)(&received.expect("a request that has just come is remembered"))
    }
}

impl Drop for Connected<'_> {
    fn drop(&mut self) {
        self.shared.seen.send_modify(|seen| seen.open -= 1);
    }
}
