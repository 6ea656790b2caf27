//! One request from end to end, as one column of guards in security order.

use std::{net::SocketAddr, panic::AssertUnwindSafe, sync::Arc, time::Duration};

use authproxy_core::{
    backend::AuthBackend,
    manager::{ReadyToken, TokenManager},
    session::SessionId,
};
use bytes::Bytes;
use futures_util::FutureExt;
use http::{
    HeaderMap, HeaderValue, Method, StatusCode,
    header::{ALLOW, SET_COOKIE},
    request::Parts,
};
use hyper::body::Incoming;
use tokio::time::{Instant, timeout};
use zeroize::Zeroizing;

use crate::{
    body::{self, Body},
    config::{Config, LimitsConfig, TokenDelivery},
    cookie::{Presented, SessionCookie},
    csrf, handlers,
    origin::Origins,
    problem::Problem,
    response::{self, Response},
    routes::{Credential, CsrfRule, Resolved, Route, resolve},
    target,
    telemetry::{Answered, RequestId, Verdict, X_REQUEST_ID},
};

/// What all requests share.
pub(crate) struct App {
    pub(crate) manager: TokenManager,
    pub(crate) backend: Arc<dyn AuthBackend>,
    pub(crate) cookie: SessionCookie,
    delivery: TokenDelivery,
    origins: Origins,
    limits: LimitsConfig,
}

/// Who has connected, and how.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Peer {
    pub(crate) address: SocketAddr,
    pub(crate) tls: bool,
}

/// A request that has passed every guard.
pub(crate) struct Request {
    pub(crate) headers: HeaderMap,
    pub(crate) path: String,
    pub(crate) body: Zeroizing<Vec<u8>>,
    pub(crate) session: Presented,
}

impl Request {
    /// The id of the session that the request names.
    pub(crate) fn session_id(&self) -> Result<&SessionId, Problem> {
        match &self.session {
            Presented::Id(id) => Ok(id),
            Presented::Nothing => Err(Problem::NoCookie),
            Presented::Junk => Err(Problem::UnknownSession),
        }
    }
}

/// What becomes known of a request on its way, for whatever answer it gets.
#[derive(Default)]
struct Seen {
    route: Option<Route>,
    has_cookie: bool,
}

impl App {
    pub(crate) fn new(manager: TokenManager, backend: Arc<dyn AuthBackend>, origins: Origins, config: &Config) -> Self {
        let cookie = SessionCookie::new(origins.https());
        let (delivery, limits) = (config.token_delivery, config.limits.clone());
        Self { manager, backend, cookie, delivery, origins, limits }
    }

    /// Answers a request, whatever it is and whatever goes wrong.
    pub(crate) async fn answer(&self, request: http::Request<Incoming>, _peer: Peer) -> Response {
        let began = Instant::now();
        let (head, body) = request.into_parts();
        let id = RequestId::of(&head.headers);
        let mut seen = Seen::default();

        let handled = AssertUnwindSafe(self.guard(&head, body, &mut seen)).catch_unwind();
        let outcome = match timeout(self.limits.request_timeout, handled).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_panic)) => Err(Problem::Internal),
            Err(_elapsed) => Err(Problem::TooSlow),
        };
        let mut response = outcome.unwrap_or_else(|problem| problem.into_response(&head.headers, self.cookie));

        let credential = seen.route.map(Route::credential);
        response::harden(response.headers_mut(), credential, seen.has_cookie, self.origins.https());
        response.headers_mut().insert(X_REQUEST_ID, id.header());
        let verdict = response.extensions_mut().remove::<Verdict>();
        let (method, status, duration) = (&head.method, response.status(), began.elapsed());
        Answered { id: &id, method, route: seen.route, status, duration, verdict }.log();
        response
    }

    async fn guard(&self, head: &Parts, body: Incoming, seen: &mut Seen) -> Result<Response, Problem> {
        target::check(head)?;
        let route = match resolve(&head.method, head.uri.path()) {
            Resolved::Route(route) => route,
            Resolved::Options(allow) => return Ok(options(&allow)),
            Resolved::MethodNotAllowed(allow) => return Err(Problem::MethodNotAllowed(allow)),
            // TRACE would echo cookies to a page (RFC 9110, section 9.3.8); no path has it.
            Resolved::NotFound if head.method == Method::TRACE => {
                return Err(Problem::MethodNotAllowed("GET, HEAD, POST, OPTIONS".into()));
            }
            Resolved::NotFound => return Err(Problem::NotFound),
        };
        seen.route = Some(route);
        let session = self.session(route, &head.headers, seen)?;
        if route.csrf() == CsrfRule::OurPages {
            csrf::check(&head.headers, &self.origins)?;
        }
        let body = match route.body_limit() {
            Some(limit) => body::read(body, &head.headers, limit, self.limits.body_timeout).await?,
            None => Zeroizing::default(),
        };
        let request = Request { headers: head.headers.clone(), path: head.uri.path().to_owned(), body, session };
        self.handle(route, &request).await
    }

    fn session(&self, route: Route, headers: &HeaderMap, seen: &mut Seen) -> Result<Presented, Problem> {
        if route.credential() == Credential::Public {
            return Ok(Presented::Nothing);
        }
        // Until it is known that there is none, the answer is kept out of caches.
        seen.has_cookie = true;
        let session = self.cookie.read(headers)?;
        seen.has_cookie = !matches!(session, Presented::Nothing);
        Ok(session)
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
            Route::OpenApi => Ok(handlers::docs::openapi()),
            Route::Docs => Ok(handlers::docs::page()),
            Route::DocsAsset => handlers::docs::asset(&request.path),
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
        if token.take_prolonged() {
            response.headers_mut().insert(SET_COOKIE, self.cookie.set(id, self.session_life(token)));
        }
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
