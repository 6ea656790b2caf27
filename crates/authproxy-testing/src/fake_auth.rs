//! [`FakeAuthService`]: the seed's auth service on a real socket, that records raw bytes and misbehaves with them.

mod answers;
mod misbehaviour;
mod play;

use std::{
    collections::{HashMap, VecDeque},
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard},
};

use authproxy_core::{
    backend::RotationContract,
    clock::{Clock, SystemClock},
};

use self::answers::Seed;
pub use self::misbehaviour::{ConnectionFault, Endpoint, Misbehaviour};
use crate::{
    http1::{Answer, RecordedRequest},
    server::Server,
    service::{Lifetimes, Service},
};

/// The account that every [`FakeAuthService`] has from the start.
pub const USER: &str = "user@example.com";

/// That account's password.
pub const PASSWORD: &str = "password123";

/// An auth service on a loopback port of its own: `/register`, `/login`, `/refresh`, `/protected`, `/revoke`.
///
/// It rotates by its contract to the letter and ends a family whose spent refresh token is presented again. Dropped or
/// [`finish`](Self::finish)ed, it fails the test when one of its own tasks has panicked.
pub struct FakeAuthService {
    shared: Arc<Shared>,
    server: Server,
}

/// Starts a [`FakeAuthService`].
#[must_use]
pub struct FakeAuthServiceBuilder {
    lifetimes: Lifetimes,
    rotation: RotationContract,
    clock: Arc<dyn Clock>,
}

impl FakeAuthServiceBuilder {
    /// How long tokens live, and whether the service says so. Default 2 and 4 minutes.
    pub fn lifetimes(mut self, lifetimes: Lifetimes) -> Self {
        self.lifetimes = lifetimes;
        self
    }

    /// What the service promises, and keeps. Default [`RotationContract::Strict`].
    pub fn rotation(mut self, rotation: RotationContract) -> Self {
        self.rotation = rotation;
        self
    }

    /// The clock that tokens expire by. Default the machine's.
    pub fn clock(mut self, clock: Arc<dyn Clock>) -> Self {
        self.clock = clock;
        self
    }

    /// Starts the service.
    ///
    /// # Errors
    ///
    /// When no loopback port can be had.
    pub async fn start(self) -> io::Result<FakeAuthService> {
        let seed = Seed {
            service: Service::new(self.rotation, self.lifetimes),
            clock: self.clock,
            accounts: HashMap::from([(USER.to_owned(), PASSWORD.to_owned())]),
            presentations: HashMap::new(),
        };
        let shared = Arc::new(Shared { state: Mutex::new(State::new(seed)) });
        let serving = shared.clone();
        let server = Server::start(move |stream| play::serve(serving.clone(), stream)).await?;
        Ok(FakeAuthService { shared, server })
    }
}

impl FakeAuthService {
    /// A strict service whose tokens live 2 and 4 minutes.
    ///
    /// # Panics
    ///
    /// When no loopback port can be had.
    pub async fn start() -> Self {
        Self::builder().start().await.expect("a loopback port is free")
    }

    /// Starts to make a service that differs.
    pub fn builder() -> FakeAuthServiceBuilder {
        FakeAuthServiceBuilder {
            lifetimes: Lifetimes::default(),
            rotation: RotationContract::Strict,
            clock: Arc::new(SystemClock::new()),
        }
    }

    /// The service's URL, without a path.
    pub fn url(&self) -> String {
        format!("http://{}", self.addr())
    }

    /// The service's address.
    pub fn addr(&self) -> SocketAddr {
        self.server.addr()
    }

    /// Queues what the next requests to `endpoint` meet, one entry each; when the queue is empty all is well.
    pub fn script(&self, endpoint: Endpoint, script: impl IntoIterator<Item = Misbehaviour>) {
        self.lock().script.entry(endpoint).or_default().extend(script);
    }

    /// What every request to `endpoint` meets for which nothing is queued; `None`: all is well.
    pub fn always(&self, endpoint: Endpoint, misbehaviour: Option<Misbehaviour>) {
        match misbehaviour {
            Some(misbehaviour) => self.lock().standing.insert(endpoint, misbehaviour),
            None => self.lock().standing.remove(&endpoint),
        };
    }

    /// What every new connection meets, whatever it is for.
    pub fn connections(&self, fault: ConnectionFault) {
        self.lock().connections = fault;
    }

    /// Closes the listener and cuts every connection: connecting is refused when this returns.
    pub async fn refuse_connections(&self) {
        self.server.refuse().await;
    }

    /// Listens again, on the same port.
    pub async fn accept_connections(&self) {
        self.server.accept().await;
    }

    /// The lifetimes of whatever is issued from now on.
    pub fn set_lifetimes(&self, lifetimes: Lifetimes) {
        self.lock().seed.service.lifetimes = lifetimes;
    }

    /// Forgets every token that was issued, as a restart without a disk does.
    pub fn forget_tokens(&self) {
        self.lock().seed.service.forget_tokens();
    }

    /// Ends everything that the login led to which this refresh token stems from.
    pub fn end_family_of(&self, refresh_token: &str) {
        self.lock().seed.service.kill_family_of(refresh_token);
    }

    /// Every request so far, also those that were not processed, in order of arrival.
    pub fn requests(&self) -> Vec<RecordedRequest> {
        self.lock().requests.clone()
    }

    /// The requests to one endpoint.
    pub fn requests_to(&self, endpoint: Endpoint) -> Vec<RecordedRequest> {
        let mut requests = self.requests();
        requests.retain(|request| Endpoint::of(request.path()) == Some(endpoint));
        requests
    }

    /// How many connections were made.
    pub fn connection_count(&self) -> usize {
        self.lock().connection_count
    }

    /// How often refresh tokens were presented in all: every request that arrived, whatever became of it.
    pub fn presentations(&self) -> usize {
        self.lock().seed.presentations.values().sum()
    }

    /// How often this refresh token was presented.
    pub fn presentations_of(&self, refresh_token: &str) -> usize {
        self.lock().seed.presentations.get(refresh_token).copied().unwrap_or(0)
    }

    /// How often the most often presented token was presented.
    pub fn most_presentations_of_one_token(&self) -> usize {
        self.lock().seed.presentations.values().copied().max().unwrap_or(0)
    }

    /// How often a spent token was presented outside the contract and cost a family its life.
    pub fn reuses_detected(&self) -> usize {
        self.lock().seed.service.reuses()
    }

    /// Whether this token was named in a revocation that was processed.
    pub fn is_revoked(&self, token: &str) -> bool {
        self.lock().seed.service.was_revoked(token)
    }

    /// Whether `/protected` accepts this access token now.
    pub fn accepts_access(&self, access_token: &str) -> bool {
        let state = self.lock();
        state.seed.service.accepts_access(access_token, state.seed.clock.now())
    }

    /// The refresh tokens that are unspent, unexpired and unrevoked now.
    pub fn live_refresh_tokens(&self) -> Vec<String> {
        let state = self.lock();
        state.seed.service.live_refresh_tokens(state.seed.clock.now())
    }

    /// Stops the service.
    ///
    /// # Panics
    ///
    /// When one of its tasks has panicked.
    pub async fn finish(self) {
        self.server.finish().await;
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.shared.lock()
    }
}

/// What the connections share with the test.
struct Shared {
    state: Mutex<State>,
}

struct State {
    seed: Seed,
    script: HashMap<Endpoint, VecDeque<Misbehaviour>>,
    standing: HashMap<Endpoint, Misbehaviour>,
    connections: ConnectionFault,
    connection_count: usize,
    requests: Vec<RecordedRequest>,
}

impl State {
    fn new(seed: Seed) -> Self {
        Self {
            seed,
            script: HashMap::new(),
            standing: HashMap::new(),
            connections: ConnectionFault::None,
            connection_count: 0,
            requests: Vec::new(),
        }
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no panic while the state is locked")
    }

    fn next_connection(&self) -> ConnectionFault {
        let mut state = self.lock();
        state.connection_count += 1;
        state.connections
    }

    fn record(&self, endpoint: Option<Endpoint>, request: &RecordedRequest) {
        let mut state = self.lock();
        state.requests.push(request.clone());
        if endpoint == Some(Endpoint::Refresh) {
            state.seed.count(request);
        }
    }

    fn next(&self, endpoint: Endpoint) -> Misbehaviour {
        let mut state = self.lock();
        let queued = state.script.get_mut(&endpoint).and_then(VecDeque::pop_front);
        queued.or_else(|| state.standing.get(&endpoint).cloned()).unwrap_or(Misbehaviour::None)
    }

    fn process(&self, endpoint: Endpoint, request: &RecordedRequest) -> Answer {
        self.lock().seed.process(endpoint, request)
    }
}
