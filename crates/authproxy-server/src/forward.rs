//! `[[route]]`s: one forwarded request, from its guards to the head of its answer, as one column.
//!
//! Reading order: [`handle`] here, then `table` and `path` (which route), `headers` (what crosses), `upstream` (over
//! which connection), `upload` and `download` (the bodies), `live` (what ends with a session).

pub(crate) mod claims;
mod connect;
mod download;
mod error;
mod headers;
mod http1;
mod live;
mod message;
mod path;
mod shelf;
mod table;
mod upload;
mod upstream;
mod wait;

use std::{borrow::Cow, pin::pin, sync::Arc};

use authproxy_core::{
    manager::ReadyToken,
    session::{SessionId, SessionKey},
};
use futures_util::future::select;
use http::{
    HeaderMap, HeaderValue, Method, Response, StatusCode, Uri,
    header::{
        AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HOST, ORIGIN, SET_COOKIE, UPGRADE, WWW_AUTHENTICATE,
    },
    request::Parts,
    uri::PathAndQuery,
};
use hyper::body::Incoming;
use tokio_util::sync::CancellationToken;

pub use self::connect::TrustError;
use self::{
    connect::{Connector, Protocols},
    headers::Onward,
    message::Message,
    path::Ambiguous,
    table::Table,
    upload::Source,
    upstream::{AnswerBody, Place, Upstream},
    wait::Wait,
};
pub(crate) use self::{
    download::{Download, DownloadError},
    error::UpstreamError,
    headers::is_about_the_asker,
    live::Live,
};
use crate::{
    body::Body,
    config::{RouteAccess, RouteConfig},
    csrf, login_page,
    problem::Problem,
    response::{self, Response as Answer},
    routes,
    service::{App, Peer},
    telemetry::RequestId,
    tunnel::Tunnel,
};

/// Every `[[route]]`, ready to forward.
pub(crate) struct Forwarder {
    table: Table,
    routes: Vec<Route>,
    pub(crate) live: Arc<Live>,
    /// Cancelled when the server ends: what has no end of its own ends then, everything else is finished.
    pub(crate) shutdown: CancellationToken,
}

/// One `[[route]]`.
pub(crate) struct Route {
    pub(crate) config: RouteConfig,
    upstream: Arc<Upstream>,
}

/// Where a request goes.
pub(crate) struct Destination<'a> {
    pub(crate) route: &'a Route,
    /// What the upstream gets: path and query.
    target: PathAndQuery,
    /// The host that was asked for, with its port.
    host: Cow<'a, str>,
}

/// Whose request it is, on a route for those with a session.
struct Caller<'a> {
    id: &'a SessionId,
    key: SessionKey,
    token: ReadyToken,
}

impl Forwarder {
    /// Makes the routes of a checked configuration.
    ///
    /// # Errors
    ///
    /// [`TrustError`]: the server must not start.
    pub(crate) fn new(routes: &[RouteConfig]) -> Result<Self, TrustError> {
        let table = Table::new(routes);
        let routes = routes.iter().map(|config| {
            let connector = Connector::new(&config.upstream, config.upstream_ca.as_deref(), &config.prefix)?;
            Ok(Route { upstream: Arc::new(Upstream::new(config, connector)), config: config.clone() })
        });
        let routes = routes.collect::<Result<_, _>>()?;
        Ok(Self { table, routes, live: Arc::default(), shutdown: CancellationToken::new() })
    }

    /// The route of a request; `None` when it has none.
    ///
    /// # Errors
    ///
    /// [`Problem::AmbiguousPath`], when others could read the path as another one.
    pub(crate) fn find<'a>(&'a self, head: &'a Parts) -> Result<Option<Destination<'a>>, Problem> {
        if self.routes.is_empty() || !head.uri.path().starts_with('/') {
            return Ok(None);
        }
        let host = host(head);
        let path = path::canonical(head.uri.path())?;
        // However it is spelled, an endpoint of ours is nobody else's.
        if routes::is_ours(&path) {
            return Ok(None);
        }
        let Some(place) = self.table.find(without_port(&host), &path)? else { return Ok(None) };
        let route = &self.routes[place];
        let rewritten = table::rewrite(&route.config, &path)?;
        let target = target(&head.uri, &rewritten)?;
        Ok(Some(Destination { route, target, host }))
    }
}

/// Forwards a request and answers with what the upstream says.
pub(crate) async fn handle(
    app: &App,
    destination: Destination<'_>,
    head: &Parts,
    body: Incoming,
    session: Result<&SessionId, Problem>,
    peer: Peer,
    request_id: &RequestId,
) -> Result<Answer, Problem> {
    let route = destination.route;
    check_method(&route.config, &head.method)?;
    let upgrade = headers::upgrade(&head.headers, head.version);
    let caller = match route.config.access {
        RouteAccess::Public => None,
        RouteAccess::Bearer => check_bearer(&head.headers).map(|()| None)?,
        RouteAccess::Session => match identify(app, head, session, upgrade.is_some()).await {
            Ok(caller) => Some(caller),
            Err(problem) => return to_login(app, &route.config, head, problem),
        },
    };
    let mut body = Source::of(body, &route.config).await?;
    let mut exchange = Exchange {
        app,
        head,
        onward: Onward {
            route: &route.config,
            cookie: app.cookie,
            peer_is_trusted: app.trusts(peer.ip()),
            peer,
            id: request_id,
            version: head.version,
            upgrade: upgrade.as_ref(),
            host: &destination.host,
            authority: &route.upstream.authority,
        },
        destination: &destination,
        caller,
    };
    let (mut response, mut place) = exchange.send(&mut body).await?;
    if exchange.was_refused(&response) && exchange.renew(body.is_kept()).await? {
        // Before the second try: it may need the place that the first one takes.
        place.give_back(response.body_mut());
        (response, place) = exchange.send(&mut body).await?;
    }
    exchange.answer(response, place)
}

/// One request and what was found out about it.
struct Exchange<'a> {
    app: &'a App,
    head: &'a Parts,
    onward: Onward<'a>,
    destination: &'a Destination<'a>,
    caller: Option<Caller<'a>>,
}

type Head = (Response<AnswerBody>, Place);

impl Exchange<'_> {
    /// Sends the request; a second time only with a body that is kept.
    async fn send(&self, body: &mut Source) -> Result<Head, Problem> {
        let route = self.destination.route;
        let message = Message {
            method: &self.head.method,
            target: &self.destination.target,
            headers: &self.head.headers,
            onward: &self.onward,
            token: self.caller.as_ref().map(|caller| &caller.token),
        };
        let protocols = if self.onward.upgrade.is_some() { Protocols::Http1 } else { Protocols::All };
        let upload = body.take().ok_or(Problem::Internal)?;
        let wait =
            Wait { patience: route.config.first_byte_timeout, progress: body.progress(), session: self.session() };
        let sent = route.upstream.send(&message, upload, protocols, &wait).await;
        // What went wrong with the peer's own body is the peer's to hear.
        sent.map_err(|error| match body.progress().and_then(upload::Progress::failed) {
            Some(failed) => failed.into(),
            None => Problem::Upstream(error),
        })
    }

    fn session(&self) -> Option<(Arc<Live>, SessionKey)> {
        self.caller.as_ref().map(|caller| (self.app.forwarder.live.clone(), caller.key))
    }

    /// Whether the upstream refused our access token (RFC 6750, section 3.1), and not something else.
    fn was_refused(&self, response: &Response<AnswerBody>) -> bool {
        let mut challenges = response.headers().get_all(WWW_AUTHENTICATE).iter().peekable();
        let is_plain = challenges.peek().is_none();
        let refuses_token = |challenge: &HeaderValue| {
            let text = String::from_utf8_lossy(challenge.as_bytes()).to_ascii_lowercase();
            text.starts_with("bearer") && (!text.contains("error=") || text.contains("invalid_token"))
        };
        response.status() == StatusCode::UNAUTHORIZED
            && self.caller.is_some()
            && (is_plain || challenges.any(refuses_token))
    }

    /// Has the refused token replaced, once for all who saw it; whether there is a newer one to try again with.
    async fn renew(&mut self, wants_it: bool) -> Result<bool, Problem> {
        let Some(caller) = &mut self.caller else { return Ok(false) };
        self.app.manager.report_rejected(&caller.key, caller.token.version());
        if !wants_it {
            return Ok(false);
        }
        let fresh = self.app.manager.access_token(&caller.key).await?;
        let is_newer = fresh.version() > caller.token.version();
        caller.token = fresh;
        Ok(is_newer)
    }

    fn answer(self, mut response: Response<AnswerBody>, place: Place) -> Result<Answer, Problem> {
        let route = &self.destination.route.config;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return self.tunnel(response, place);
        }
        self.clean(&mut response);
        let is_endless = response.headers().get(CONTENT_TYPE).is_some_and(is_event_stream);
        Ok(response.map(|body| {
            let mut download = Download::new(body, place, route.idle_timeout, self.session());
            if is_endless {
                download.end_with(&self.app.forwarder.shutdown);
            }
            Body::Streamed(Box::new(download))
        }))
    }

    /// Makes the connection a tunnel: what the browser and the upstream say on it is theirs from here on, as long as
    /// the session lives.
    fn tunnel(self, response: Response<AnswerBody>, place: Place) -> Result<Answer, Problem> {
        let route = &self.destination.route.config;
        let protocol = response.headers().get(UPGRADE).cloned();
        let (Some(protocol), Some(_)) = (protocol, self.onward.upgrade) else {
            return Err(Problem::Upstream(UpstreamError::UnaskedUpgrade));
        };
        let (head, body) = response.into_parts();
        let Some(upstream) = body.into_tunnel() else {
            return Err(Problem::Upstream(UpstreamError::UnaskedUpgrade));
        };
        let lasting = self.session().map(|(live, key)| live.enter(key));
        let shutdown = self.app.forwarder.shutdown.clone();
        let ended = async move {
            let _in_use = place;
            match &lasting {
                Some(lasting) => {
                    let _ = select(pin!(lasting.ended().cancelled()), pin!(shutdown.cancelled())).await;
                }
                None => shutdown.cancelled().await,
            }
        };
        let mut answer = Response::from_parts(head, Body::whole(""));
        self.clean(&mut answer);
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
        answer.headers_mut().insert(UPGRADE, protocol);
        answer.extensions_mut().insert(Tunnel::new(upstream, route.idle_timeout, ended));
        Ok(answer)
    }

    /// Takes out of an answer's header what is not the browser's, and adds what is.
    fn clean<B>(&self, response: &mut Response<B>) {
        let (version, app) = (response.version(), self.app);
        let origin = self.head.headers.get(ORIGIN);
        headers::answer(
            response.headers_mut(),
            &self.destination.route.config,
            app.cookie,
            version,
            origin,
            &app.origins,
        );
        if let Some(Caller { id, token, .. }) = &self.caller
            && let Some(cookie) = app.prolonged(id, token)
        {
            response.headers_mut().append(SET_COOKIE, cookie);
        }
    }
}

/// Whether a content type is that of server-sent events.
fn is_event_stream(content_type: &HeaderValue) -> bool {
    let name = content_type.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
    name.trim_ascii().eq_ignore_ascii_case(b"text/event-stream")
}

fn check_method(route: &RouteConfig, method: &Method) -> Result<(), Problem> {
    if *method != Method::TRACE && (route.methods.is_empty() || route.methods.contains(method)) {
        return Ok(());
    }
    Err(Problem::MethodNotAllowed(methods(route)))
}

/// The methods that a route serves, as `Allow` lists them.
pub(crate) fn methods(route: &RouteConfig) -> String {
    let served: Vec<_> = if route.methods.is_empty() {
        ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"].to_vec()
    } else {
        route.methods.iter().map(Method::as_str).collect()
    };
    served.join(", ")
}

/// The session behind a request, with a token to forward it with.
async fn identify<'a>(
    app: &App,
    head: &Parts,
    session: Result<&'a SessionId, Problem>,
    upgrades: bool,
) -> Result<Caller<'a>, Problem> {
    let id = session?;
    // A page may open a tunnel to any site, cookie included, and then read from it: no method is safe for that.
    if upgrades || !head.method.is_safe() {
        csrf::check_cookie_only(&head.headers, &app.origins)?;
    }
    let key = id.key();
    let token = app.manager.access_token(&key).await?;
    Ok(Caller { id, key, token })
}

fn check_bearer(headers: &HeaderMap) -> Result<(), Problem> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let is_bearer = |value: &HeaderValue| {
        let bytes = value.as_bytes();
        bytes.len() > 7 && bytes[..7].eq_ignore_ascii_case(b"bearer ")
    };
    match (values.next(), values.next()) {
        (Some(value), None) if is_bearer(value) => Ok(()),
        _ => Err(Problem::NoBearer),
    }
}

/// Sends a person who has to log in to the login page, where there is one; a program gets its 401.
fn to_login(app: &App, route: &RouteConfig, head: &Parts, problem: Problem) -> Result<Answer, Problem> {
    let is_navigation = login_page::is_navigation(&head.method, &head.headers);
    let Some(page) = route.login_page.as_deref().filter(|_| problem.asks_for_login() && is_navigation) else {
        return Err(problem);
    };
    let next = head.uri.path_and_query().map(PathAndQuery::as_str);
    let mut answer = login_page::redirect(page, next, problem.into_response(&head.headers, app.cookie));
    answer.headers_mut().insert(CACHE_CONTROL, response::NO_STORE);
    Ok(answer)
}

/// The host that a request asks for: of its target, where that is absolute (RFC 9112, section 3.2.2), else `Host`.
fn host(head: &Parts) -> Cow<'_, str> {
    match (head.uri.authority(), head.headers.get(HOST)) {
        (Some(authority), _) => Cow::Borrowed(authority.as_str()),
        (None, Some(host)) => String::from_utf8_lossy(host.as_bytes()),
        (None, None) => Cow::Borrowed(""),
    }
}

fn without_port(host: &str) -> &str {
    match host.rfind(':') {
        Some(at) if !host.ends_with(']') => &host[..at],
        _ => host,
    }
}

/// The upstream's target: the path as rewritten, the query byte for byte.
fn target(uri: &Uri, path: &str) -> Result<PathAndQuery, Problem> {
    let whole = match (uri.path_and_query(), uri.query()) {
        (Some(same), _) if same.path() == path => return Ok(same.clone()),
        (_, Some(query)) => format!("{path}?{query}"),
        (_, None) => path.to_owned(),
    };
    PathAndQuery::try_from(whole).map_err(|_| Problem::AmbiguousPath)
}

impl From<Ambiguous> for Problem {
    fn from(_: Ambiguous) -> Self {
        Self::AmbiguousPath
    }
}
