//! An upstream, the proxy in front of it, and somebody who has logged in.

use authproxy_server::config::{Config, RouteAccess, RouteConfig};
use authproxy_testing::{Answer, FakeUpstream, Play, ReceivedRequest};

use super::client::{Client, Reply};
use crate::harness::{Ask, Proxy};

/// `/api` is for those with a session, `/bearer` for those with a token, `/open` for everyone; one upstream serves all.
pub(crate) struct Site {
    pub(crate) upstream: FakeUpstream,
    pub(crate) proxy: Proxy,
    /// `name=value` of somebody's session.
    pub(crate) cookie: String,
}

impl Site {
    pub(crate) async fn start() -> Self {
        Self::with_routes(|_| {}).await
    }

    /// With every route changed like this.
    pub(crate) async fn with_routes(change: impl Fn(&mut RouteConfig)) -> Self {
        Self::of(FakeUpstream::start().await, |config| config.route.iter_mut().for_each(change)).await
    }

    pub(crate) async fn with_config(change: impl FnOnce(&mut Config)) -> Self {
        Self::of(FakeUpstream::start().await, change).await
    }

    /// In front of this upstream; `change` sees the three routes.
    pub(crate) async fn of(upstream: FakeUpstream, change: impl FnOnce(&mut Config)) -> Self {
        let url = upstream.url();
        let proxy = Proxy::with(|config| {
            config.route = routes(&url);
            change(config);
        });
        Self::through(upstream, proxy.await).await
    }

    /// [`of`](Self::of), with one pool of upstream connections for all.
    pub(crate) async fn on_one_thread(upstream: FakeUpstream, change: impl FnOnce(&mut Config)) -> Self {
        let url = upstream.url();
        let proxy = Proxy::on_one_thread(|config| {
            config.route = routes(&url);
            change(config);
        });
        Self::through(upstream, proxy.await).await
    }

    async fn through(upstream: FakeUpstream, proxy: Proxy) -> Self {
        let cookie = proxy.log_in().await;
        Self { upstream, proxy, cookie }
    }

    pub(crate) async fn connect(&self) -> Client {
        Client::open(self.proxy.address).await
    }

    /// One request on a connection of its own.
    pub(crate) async fn ask(&self, ask: &Ask) -> Reply {
        self.connect().await.ask(ask).await
    }

    /// GET with the session.
    pub(crate) fn get(&self, target: &str) -> Ask {
        Ask::get(target).cookie(&self.cookie)
    }

    /// POST with the session, from our own page.
    pub(crate) fn post(&self, target: &str, body: &str) -> Ask {
        Ask::post(target).cookie(&self.cookie).header("sec-fetch-site", "same-origin").body(body)
    }

    /// What the upstream got of the only request for this path.
    pub(crate) fn received(&self, path: &str) -> ReceivedRequest {
        let requests = self.upstream.requests_of(path);
        assert_eq!(requests.len(), 1, "{path}: {:?}", self.upstream.requests());
        requests.into_iter().next().unwrap()
    }

    /// How many requests the upstream got.
    pub(crate) fn count(&self) -> usize {
        self.upstream.requests().len()
    }

    /// Fails unless a good request on a new connection is answered with what belongs to it.
    pub(crate) async fn assert_serves(&self) {
        self.assert_serves_on(&mut self.connect().await).await;
    }

    /// Fails unless a good request on this connection is answered with what belongs to it.
    pub(crate) async fn assert_serves_on(&self, connection: &mut Client) {
        const PATH: &str = "/api/follow-up";
        self.upstream.on(PATH, Play::answer(Answer::json(200, r#""follow-up""#)));
        let before = self.upstream.requests_of(PATH).len();
        let reply = connection.ask(&self.get(PATH)).await;
        assert_eq!((reply.status, reply.text(), reply.is_complete), (200, r#""follow-up""#, true));
        let requests = self.upstream.requests_of(PATH);
        assert_eq!(requests.len(), before + 1);
        let last = requests.last().unwrap();
        assert_eq!((last.method(), last.target(), last.raw_body.len()), ("GET", PATH, 0));
        assert_eq!(last.header_values("authorization").len(), 1);
    }
}

pub(crate) fn routes(url: &str) -> Vec<RouteConfig> {
    let route = |prefix: &str, access| {
        let mut route = RouteConfig::new(prefix, url.parse().unwrap());
        route.access = access;
        route
    };
    vec![
        route("/api", RouteAccess::Session),
        route("/bearer", RouteAccess::Bearer),
        route("/open", RouteAccess::Public),
    ]
}
