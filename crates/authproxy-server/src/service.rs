//! One request from end to end, as one column of guards in security order.

use std::{
    net::{IpAddr, SocketAddr},
    panic::AssertUnwindSafe,
    sync::Arc,
    time::Duration,
};

use authproxy_core::{
    backend::AuthBackend,
    manager::{ReadyToken, TokenManager},
    session::SessionId,
};
use bytes::Bytes;
use futures_util::FutureExt;
use http::{
    HeaderMap, HeaderValue, Method, StatusCode, Uri,
    header::{ALLOW, SET_COOKIE},
    request::Parts,
};
use tokio::time::{Instant, timeout};
use zeroize::Zeroizing;

use crate::{
    body::{self, Body, RequestBody},
    config::{Config, IpNet, LimitsConfig, RouteAccess, TokenDelivery, VerifyConfig},
    cookie::{Presented, SessionCookie},
    cors, csrf, date,
    forward::{self, Forwarder, TrustError},
    handlers,
    origin::Origins,
    problem::Problem,
    response::{self, Response},
    routes::{Credential, CsrfRule, Resolved, Route, resolve},
    server::Interim,
    target,
    telemetry::{Answered, RequestId, Verdict, X_REQUEST_ID},
};

/// What all requests share.
pub(crate) struct App {
    pub(crate) manager: TokenManager,
    pub(crate) backend: Arc<dyn AuthBackend>,
    pub(crate) cookie: SessionCookie,
    pub(crate) forwarder: Forwarder,
    pub(crate) origins: Origins,
    delivery: TokenDelivery,
    limits: LimitsConfig,
    trusted_proxies: Vec<IpNet>,
    pub(crate) verify: VerifyConfig,
}

/// Who has connected, and how. Small: it goes through every function on a request's way.
#[derive(Clone, Debug)]
pub(crate) struct Peer {
    about: Arc<About>,
    /// What sends it answers before the answer; over HTTP/1 only.
    pub(crate) interim: Option<Interim>,
}

/// What is known of a peer from the moment it connects.
#[derive(Debug)]
struct About {
    ip: IpAddr,
    forwarded_for: HeaderValue,
    tls: bool,
}

impl Peer {
    pub(crate) fn new(address: SocketAddr, tls: bool) -> Self {
        // An IPv4 peer on a socket for both families is an IPv4 peer.
        let text = address.ip().to_canonical().to_string();
        let forwarded_for = HeaderValue::try_from(text).expect("an IP address is visible ASCII");
        Self { about: Arc::new(About { ip: address.ip(), forwarded_for, tls }), interim: None }
    }

    /// The same peer, for one of its requests.
    pub(crate) fn with_interim(&self, interim: Option<Interim>) -> Self {
        Self { about: self.about.clone(), interim }
    }

    /// The address that it connected from.
    pub(crate) fn ip(&self) -> IpAddr {
        self.about.ip
    }

    /// The address as upstreams are told it.
    pub(crate) fn forwarded_for(&self) -> &HeaderValue {
        &self.about.forwarded_for
    }

    /// Whether it connected over TLS.
    pub(crate) fn is_secure(&self) -> bool {
        self.about.tls
    }
}

/// A request that has passed every guard.
pub(crate) struct Request {
    pub(crate) method: Method,
    pub(crate) uri: Uri,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Zeroizing<Vec<u8>>,
    pub(crate) session: Presented,
    pub(crate) peer: Peer,
}

impl Request {
    /// The id of the session that the request names.
    pub(crate) fn session_id(&self) -> Result<&SessionId, Problem> {
        self.session.id()
    }
}

/// What becomes known of a request on its way, for whatever answer it gets.
struct Seen {
    /// The route's name in the log.
    route: &'static str,
    credential: Option<Credential>,
    has_cookie: bool,
    /// The answer is an upstream's, which speaks for itself.
    is_forwarded: bool,
    /// What is not guarded, or meant for a gateway, is not opened to other origins here.
    is_guarded: bool,
}

impl App {
    pub(crate) fn new(
        manager: TokenManager,
        backend: Arc<dyn AuthBackend>,
        origins: Origins,
        config: &Config,
    ) -> Result<Self, TrustError> {
        Ok(Self {
            manager,
            backend,
            cookie: SessionCookie::new(origins.https()),
            forwarder: Forwarder::new(&config.route)?,
            origins,
            delivery: config.token_delivery,
            limits: config.limits.clone(),
            trusted_proxies: config.trusted_proxies.clone(),
            verify: config.verify.clone(),
        })
    }

    /// Answers a request, whatever it is and whatever goes wrong.
    pub(crate) async fn answer(&self, head: &Parts, body: RequestBody, peer: &Peer) -> Response {
        let began = Instant::now();
        let id = RequestId::of(&head.headers);
        let mut seen =
            Seen { route: "none", credential: None, has_cookie: false, is_forwarded: false, is_guarded: true };

        let outcome = AssertUnwindSafe(self.guard(head, body, peer, &id, &mut seen)).catch_unwind().await;
        let outcome = outcome.unwrap_or(Err(Problem::Internal));
        let mut response = outcome.unwrap_or_else(|problem| {
            seen.is_forwarded = false;
            problem.into_response(&head.headers, self.cookie)
        });

        if !seen.is_forwarded {
            response::harden(response.headers_mut(), seen.credential, seen.has_cookie);
        }
        if seen.is_guarded {
            cors::open(&head.headers, response.headers_mut(), &self.origins);
        }
        response::secure_transport(response.headers_mut(), self.origins.https());
        date::say(response.headers_mut(), || self.manager.now());
        response.headers_mut().insert(X_REQUEST_ID, id.header().clone());
        let verdict = response.extensions_mut().remove::<Verdict>();
        let (method, status) = (&head.method, response.status());
        Answered { id: &id, method, route: seen.route, status, began, verdict }.log();
        response
    }

    async fn guard(
        &self,
        head: &Parts,
        body: RequestBody,
        peer: &Peer,
        id: &RequestId,
        seen: &mut Seen,
    ) -> Result<Response, Problem> {
        target::check(head)?;
        match resolve(&head.method, head.uri.path()) {
            Resolved::Route(route) => {
                // Boxed: a forwarded request must not carry the space that these need.
                let own = Box::pin(self.own(route, head, body, peer, seen));
                timeout(self.limits.request_timeout, own).await.unwrap_or(Err(Problem::TooSlow))
            }
            Resolved::Options(allow) => {
                Ok(cors::preflight(head, &self.origins, || allow.clone()).unwrap_or_else(|| options(&allow)))
            }
            Resolved::MethodNotAllowed(allow) => Err(Problem::MethodNotAllowed(allow)),
            Resolved::NotFound => self.forward(head, body, peer, id, seen).await,
        }
    }

    /// A request for one of our own endpoints.
    async fn own(
        &self,
        route: Route,
        head: &Parts,
        body: RequestBody,
        peer: &Peer,
        seen: &mut Seen,
    ) -> Result<Response, Problem> {
        seen.route = route.name();
        seen.credential = Some(route.credential());
        seen.is_guarded = route != Route::Verify && route.credential() != Credential::Public;
        let session = match route.credential() {
            Credential::Public => Presented::Nothing,
            _ => self.session(&head.headers, seen)?,
        };
        if route.csrf() == CsrfRule::OurPages {
            csrf::check(&head.headers, &self.origins)?;
        }
        let body = match route.body_limit() {
            Some(limit) => body::read(body, &head.headers, limit, self.limits.body_timeout).await?,
            None => Zeroizing::default(),
        };
        let (method, uri, headers) = (head.method.clone(), head.uri.clone(), head.headers.clone());
        let request = Request { method, uri, headers, body, session, peer: peer.clone() };
        self.handle(route, &request).await
    }

    /// A request for an API behind a `[[route]]`.
    async fn forward(
        &self,
        head: &Parts,
        body: RequestBody,
        peer: &Peer,
        id: &RequestId,
        seen: &mut Seen,
    ) -> Result<Response, Problem> {
        let Some(destination) = self.forwarder.find(head)? else {
            // TRACE would echo cookies to a page (RFC 9110, section 9.3.8); no path has it.
            return match head.method {
                Method::TRACE => Err(Problem::MethodNotAllowed("GET, HEAD, POST, OPTIONS".into())),
                _ => Err(Problem::NotFound),
            };
        };
        seen.route = "forward";
        let access = destination.route.config.access;
        seen.is_guarded = access != RouteAccess::Public;
        if seen.is_guarded
            && let Some(answer) = cors::preflight(head, &self.origins, || forward::methods(&destination.route.config))
        {
            return Ok(answer);
        }
        seen.is_forwarded = true;
        seen.credential = Some(match access {
            RouteAccess::Session => Credential::Session,
            RouteAccess::Bearer => Credential::Bearer,
            RouteAccess::Public => Credential::Public,
        });
        let session = match access {
            RouteAccess::Session => self.session(&head.headers, seen)?,
            RouteAccess::Bearer | RouteAccess::Public => Presented::Nothing,
        };
        forward::handle(self, &destination, head, body, &session, peer, id).await
    }

    fn session(&self, headers: &HeaderMap, seen: &mut Seen) -> Result<Presented, Problem> {
        // Until it is known that there is none, the answer is kept out of caches.
        seen.has_cookie = true;
        let session = self.cookie.read(headers)?;
        seen.has_cookie = !matches!(session, Presented::Nothing);
        Ok(session)
    }

    /// Whether what a peer says about who is behind it is believed.
    pub(crate) fn trusts(&self, address: IpAddr) -> bool {
        let address = address.to_canonical();
        self.trusted_proxies.iter().any(|network| network.contains(&address))
    }

    async fn handle(&self, route: Route, request: &Request) -> Result<Response, Problem> {
        match route {
            Route::Register => handlers::register::handle(self, request).await,
            Route::Login => handlers::login::handle(self, request).await,
            Route::Refresh => handlers::refresh::handle(self, request).await,
            Route::Protected => handlers::protected::handle(self, request).await,
            Route::ProtectedAuto => handlers::protected_auto::handle(self, request).await,
            Route::Logout => handlers::logout::handle(self, request).await,
            Route::Session => handlers::session::handle(self, request).await,
            Route::Verify => handlers::verify::handle(self, request).await,
            Route::OpenApi => Ok(handlers::docs::openapi()),
            Route::Docs => Ok(handlers::docs::page()),
            Route::DocsAsset => handlers::docs::asset(request.uri.path()),
        }
    }

    /// Whether whoever made this request may see tokens.
    pub(crate) fn hands_out_tokens(&self, headers: &HeaderMap) -> bool {
        match self.delivery {
            TokenDelivery::Auto => !csrf::made_by_page(headers),
            TokenDelivery::Body => true,
            TokenDelivery::Cookie => false,
        }
    }

    /// The answer to a problem, for handlers that have something to add to it.
    pub(crate) fn problem(&self, problem: Problem, request: &Request) -> Response {
        problem.into_response(&request.headers, self.cookie)
    }

    /// Sends the cookie again when a refresh has prolonged the session: its `Max-Age` would end too soon.
    pub(crate) fn announce(&self, response: &mut Response, id: &SessionId, token: &ReadyToken) {
        if let Some(cookie) = self.prolonged(id, token) {
            response.headers_mut().insert(SET_COOKIE, cookie);
        }
    }

    /// The cookie that tells a browser of its session's new end, when it is to be told.
    pub(crate) fn prolonged(&self, id: &SessionId, token: &ReadyToken) -> Option<HeaderValue> {
        token.take_prolonged().then(|| self.cookie.set(id, self.session_life(token)))
    }

    /// How long the session still lives.
    pub(crate) fn session_life(&self, token: &ReadyToken) -> Duration {
        token.session_ends_at().since(self.manager.now())
    }
}

fn options(allow: &str) -> Response {
    let mut response = http::Response::new(Body::whole(Bytes::new()));
    *response.status_mut() = StatusCode::NO_CONTENT;
    let allow = HeaderValue::from_str(allow).expect("names of methods are visible ASCII");
    response.headers_mut().insert(ALLOW, allow);
    response
}
