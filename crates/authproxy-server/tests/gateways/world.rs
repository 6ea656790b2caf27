//! A browser's side of a gateway, with authproxy and a fake auth service behind it, and an API that records.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use authproxy_core::{
    backend::{AuthBackend, HttpBackend},
    clock::ManualClock,
    manager::TokenManager,
    store::MemoryStore,
};
use authproxy_server::{Server, config::Config};
use authproxy_testing::{
    Answer, FakeAuthService, FakeUpstream, ReceivedRequest, RecordedRequest,
    fake_auth::{PASSWORD, USER},
};
use reqwest::{Client, Method, RequestBuilder, Response, redirect::Policy};
use tokio::{net::TcpListener, sync::oneshot, task::JoinHandle, time::timeout};

use crate::{
    gateway::Gateway,
    program::{PATIENCE, Program},
};

/// What the browser's address bar says, whatever the gateway's port is.
pub(crate) const PUBLIC: &str = "http://app.localhost";
pub(crate) const HOST: &str = "app.localhost";

/// Everything, running.
pub(crate) struct World {
    program: Program,
    pub(crate) service: FakeAuthService,
    pub(crate) api: FakeUpstream,
    pub(crate) clock: ManualClock,
    browser: Client,
    authproxy: Authproxy,
}

/// authproxy, in this process.
struct Authproxy {
    serving: JoinHandle<()>,
    stop: Option<oneshot::Sender<()>>,
}

impl World {
    pub(crate) async fn start(gateway: Gateway) -> Self {
        Self::with(gateway, |_| {}, None).await
    }

    /// A world with another configuration of authproxy, or another API.
    pub(crate) async fn with(
        gateway: Gateway,
        change: impl FnOnce(&mut Config),
        other_api: Option<SocketAddr>,
    ) -> Self {
        let clock = ManualClock::default();
        let service = FakeAuthService::builder().clock(Arc::new(clock.clone())).start().await.unwrap();
        let api = FakeUpstream::answering(|_| Answer::json(200, r#"{"from":"the API"}"#)).await.unwrap();
        let (address, authproxy) = serve(&service, &clock, change).await;
        let program = Program::start(gateway, address, other_api.unwrap_or_else(|| api.addr())).await;
        let browser = Client::builder().no_proxy().redirect(Policy::none()).timeout(PATIENCE).build().unwrap();
        Self { program, service, api, clock, browser, authproxy }
    }

    /// Where browsers connect.
    pub(crate) fn address(&self) -> SocketAddr {
        self.program.address()
    }

    /// A request of a browser.
    pub(crate) fn ask(&self, method: Method, target: &str) -> RequestBuilder {
        self.browser.request(method, format!("http://{}{target}", self.address())).header("host", HOST)
    }

    pub(crate) fn get(&self, target: &str) -> RequestBuilder {
        self.ask(Method::GET, target)
    }

    pub(crate) fn post(&self, target: &str) -> RequestBuilder {
        self.ask(Method::POST, target)
    }

    /// Logs in through the gateway; the cookie pair.
    pub(crate) async fn log_in(&self) -> String {
        self.log_in_as(USER, PASSWORD).await
    }

    pub(crate) async fn log_in_as(&self, user: &str, password: &str) -> String {
        let form = serde_urlencoded::to_string([("username", user), ("password", password)]).unwrap();
        let login = self.post("/login").header("content-type", "application/x-www-form-urlencoded").body(form);
        cookie_pair(&send(login, 200).await).expect("a login sets the cookie")
    }

    /// Ends authproxy.
    pub(crate) async fn end_authproxy(&mut self) {
        drop(self.authproxy.stop.take());
        timeout(PATIENCE, &mut self.authproxy.serving).await.expect("it stops in time").unwrap();
    }

    /// The one request that the API has got.
    pub(crate) fn arrived(&self) -> ReceivedRequest {
        let mut requests = self.api.requests();
        assert_eq!(requests.len(), 1, "{requests:?}");
        requests.remove(0)
    }

    /// Whether a request carries an access token that is good now.
    pub(crate) fn has_good_token(&self, request: &RecordedRequest) -> bool {
        match request.header_values("authorization").as_slice() {
            [one] => one.strip_prefix("Bearer ").is_some_and(|token| self.service.accepts_access(token)),
            _ => false,
        }
    }
}

impl Drop for Authproxy {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

async fn serve(
    service: &FakeAuthService,
    clock: &ManualClock,
    change: impl FnOnce(&mut Config),
) -> (SocketAddr, Authproxy) {
    let clock = Arc::new(clock.clone());
    let mut config = Config::default();
    config.public_url = Some(PUBLIC.into());
    config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
    change(&mut config);
    let backend = HttpBackend::builder(&service.url()).clock(clock.clone()).timeout(Duration::from_secs(5));
    let backend: Arc<dyn AuthBackend> = Arc::new(backend.build().unwrap());
    let store = Arc::new(MemoryStore::with_clock(1000, clock.clone()));
    let manager = TokenManager::builder(backend.clone(), store).clock(clock).build();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let server = Server::new(manager, backend, config);
    let (stop, stopped) = oneshot::channel::<()>();
    let serving = tokio::spawn(async move {
        server.serve(listener, async { drop(stopped.await) }).await.unwrap();
    });
    (address, Authproxy { serving, stop: Some(stop) })
}

/// Sends a request that is to be answered with this status.
pub(crate) async fn send(request: RequestBuilder, status: u16) -> Response {
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), status, "{answer:?}");
    answer
}

/// `name=value` of the cookie that an answer sets.
pub(crate) fn cookie_pair(answer: &Response) -> Option<String> {
    let set = answer.headers().get("set-cookie")?.to_str().unwrap();
    Some(set.split(';').next().unwrap().to_owned())
}
