//! A running server and raw connections to it.

use std::{net::SocketAddr, num::NonZeroUsize, sync::Arc, time::Duration};

use authproxy_core::{
    backend::{AuthBackend, HttpBackend},
    clock::ManualClock,
    manager::{ManagerConfig, TokenManager},
    store::{MemoryStore, SessionStore},
};
use authproxy_server::{Report, Server, Workers, config::Config};
use serde_json::Value;
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
    time::timeout,
};

use crate::auth_service::AuthService;

/// No answer may take longer; only a failing test waits for it.
const PATIENCE: Duration = Duration::from_secs(20);

/// As a program on a machine of two cores.
const WORKERS: NonZeroUsize = NonZeroUsize::new(2).unwrap();

pub(crate) struct Proxy {
    pub(crate) address: SocketAddr,
    pub(crate) service: AuthService,
    pub(crate) clock: ManualClock,
    stop: Option<oneshot::Sender<()>>,
    serving: JoinHandle<Report>,
}

impl Proxy {
    pub(crate) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(crate) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        Self::with_store(change, |store| store).await
    }

    /// With every connection served by the test's own thread: one pool of upstream connections, one log.
    pub(crate) async fn on_one_thread(change: impl FnOnce(&mut Config)) -> Self {
        let (service, backend, clock) = Self::parts().await;
        Self::launch(service, backend, clock, change, |store| store, |server| server).await
    }

    pub(crate) async fn with_store(
        change: impl FnOnce(&mut Config),
        wrap: impl FnOnce(Arc<dyn SessionStore>) -> Arc<dyn SessionStore>,
    ) -> Self {
        let (service, backend, clock) = Self::parts().await;
        Self::with_backend(service, backend, clock, change, wrap).await
    }

    async fn parts() -> (AuthService, Arc<dyn AuthBackend>, ManualClock) {
        let service = AuthService::start().await;
        let clock = ManualClock::default();
        let builder = HttpBackend::builder(&service.url()).clock(Arc::new(clock.clone()));
        let backend = Arc::new(builder.timeout(Duration::from_millis(1500)).build().unwrap());
        (service, backend, clock)
    }

    pub(crate) async fn with_backend(
        service: AuthService,
        backend: Arc<dyn AuthBackend>,
        clock: ManualClock,
        change: impl FnOnce(&mut Config),
        wrap: impl FnOnce(Arc<dyn SessionStore>) -> Arc<dyn SessionStore>,
    ) -> Self {
        let on_workers = |server: Server| server.workers(Workers::start(WORKERS).unwrap());
        Self::launch(service, backend, clock, change, wrap, on_workers).await
    }

    async fn launch(
        service: AuthService,
        backend: Arc<dyn AuthBackend>,
        clock: ManualClock,
        change: impl FnOnce(&mut Config),
        wrap: impl FnOnce(Arc<dyn SessionStore>) -> Arc<dyn SessionStore>,
        finish: impl FnOnce(Server) -> Server,
    ) -> Self {
        let mut config = Config::default();
        config.auth_url = Some(service.url());
        change(&mut config);
        let mut lives = ManagerConfig::default();
        (lives.access_ttl, lives.refresh_ttl) = (config.tokens.access_ttl, config.tokens.refresh_ttl);
        let store = wrap(Arc::new(MemoryStore::with_clock(1000, Arc::new(clock.clone()))));
        let manager =
            TokenManager::builder(backend.clone(), store).config(lives).clock(Arc::new(clock.clone())).build();
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel::<()>();
        let server = finish(Server::new(manager, backend, config));
        let serving = tokio::spawn(async move {
            let stopped = async { drop(stopped.await) };
            server.serve(listener, stopped).await.unwrap()
        });
        Self { address, service, clock, stop: Some(stop), serving }
    }

    /// Begins the shutdown.
    pub(crate) fn stop(&mut self) {
        drop(self.stop.take());
    }

    /// Waits for the shutdown's end.
    pub(crate) async fn stopped(self) -> Report {
        drop(self.stop);
        timeout(PATIENCE, self.serving).await.unwrap().unwrap()
    }

    pub(crate) async fn connect(&self) -> Connection {
        Connection::open(self.address).await
    }

    /// One request on a connection of its own.
    pub(crate) async fn ask(&self, request: &Ask) -> Answer {
        let mut connection = self.connect().await;
        connection.ask(request).await
    }

    /// Logs in as a client that is no browser, and returns the cookie pair.
    pub(crate) async fn log_in(&self) -> String {
        self.ask(&Ask::login("a@example.com", "password123")).await.cookie_pair()
    }
}

/// A request to be written.
#[derive(Clone)]
pub(crate) struct Ask {
    method: String,
    target: String,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Ask {
    pub(crate) fn new(method: &str, target: &str) -> Self {
        Self { method: method.into(), target: target.into(), headers: Vec::new(), body: Vec::new() }
    }

    pub(crate) fn get(target: &str) -> Self {
        Self::new("GET", target)
    }

    pub(crate) fn post(target: &str) -> Self {
        Self::new("POST", target)
    }

    pub(crate) fn json(target: &str, body: &str) -> Self {
        Self::post(target).header("content-type", "application/json").body(body)
    }

    pub(crate) fn login(username: &str, password: &str) -> Self {
        let body = serde_urlencoded::to_string([("username", username), ("password", password)]).unwrap();
        Self::post("/login").header("content-type", "application/x-www-form-urlencoded").body(&body)
    }

    pub(crate) fn method(&self) -> &str {
        &self.method
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.into(), value.into()));
        self
    }

    pub(crate) fn cookie(self, pair: &str) -> Self {
        self.header("cookie", pair)
    }

    pub(crate) fn body(mut self, body: &str) -> Self {
        self.body = body.into();
        self
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = format!("{} {} HTTP/1.1\r\nHost: proxy.example\r\n", self.method, self.target).into_bytes();
        for (name, value) in &self.headers {
            bytes.extend(format!("{name}: {value}\r\n").bytes());
        }
        if !self.body.is_empty() || self.method == "POST" {
            bytes.extend(format!("content-length: {}\r\n", self.body.len()).bytes());
        }
        bytes.extend(b"\r\n");
        bytes.extend(&self.body);
        bytes
    }
}

#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut found = self.headers.iter().filter(|(header, _)| header == name);
        let first = found.next().map(|(_, value)| value.as_str());
        assert!(found.next().is_none(), "{name} stands twice");
        first
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|_| panic!("no JSON: {:?}", self.body))
    }

    /// The value of `detail`.
    pub(crate) fn detail(&self) -> Value {
        self.json()["detail"].clone()
    }

    /// `name=value` of the cookie that the answer sets.
    pub(crate) fn cookie_pair(&self) -> String {
        let cookie = self.header("set-cookie").unwrap_or_else(|| panic!("no cookie: {self:?}"));
        cookie.split(';').next().unwrap().to_owned()
    }
}

pub(crate) struct Connection {
    stream: Box<dyn Stream>,
    buffer: Vec<u8>,
}

/// What bytes go over, in the clear or not.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

impl Connection {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        Self::over(TcpStream::connect(address).await.unwrap())
    }

    /// Speaks HTTP/1 over a connection that stands.
    pub(crate) fn over(stream: impl Stream + 'static) -> Self {
        Self { stream: Box::new(stream), buffer: Vec::new() }
    }

    /// Writes; what the server no longer wants to read is lost.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref()).await;
    }

    pub(crate) async fn ask(&mut self, request: &Ask) -> Answer {
        self.send(request.bytes()).await;
        self.answer_to(request.method == "HEAD").await
    }

    pub(crate) async fn answer(&mut self) -> Answer {
        self.answer_to(false).await
    }

    async fn answer_to(&mut self, head_only: bool) -> Answer {
        let end = loop {
            if let Some(at) = self.buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break at;
            }
            assert!(self.fill().await, "closed in the middle of a head: {:?}", String::from_utf8_lossy(&self.buffer));
        };
        let head: Vec<u8> = self.buffer.drain(..end + 4).collect();
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers: Vec<(String, String)> = lines
            .map(|line| line.split_once(": ").map(|(name, value)| (name.to_lowercase(), value.to_owned())).unwrap())
            .collect();
        let mut answer = Answer { status, headers, body: String::new() };
        let length = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
        if !head_only {
            while self.buffer.len() < length {
                assert!(self.fill().await, "closed in the middle of a body");
            }
            answer.body = String::from_utf8_lossy(&self.buffer.drain(..length).collect::<Vec<_>>()).into_owned();
        }
        answer
    }

    /// Fails unless the server closes the connection without another byte.
    pub(crate) async fn assert_closed(mut self) {
        assert!(!self.fill().await && self.buffer.is_empty(), "more came: {:?}", String::from_utf8_lossy(&self.buffer));
    }

    /// Reads more; false when the server has closed.
    async fn fill(&mut self) -> bool {
        let read = timeout(PATIENCE, self.stream.read_buf(&mut self.buffer)).await.expect("an answer in time");
        read.is_ok_and(|count| count > 0)
    }
}
