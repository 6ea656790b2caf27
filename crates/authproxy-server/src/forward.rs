//! `[[route]]`s: one forwarded request, from its guards to the head of its answer, as one column.
//!
//! Reading order: [`handle`] here, then `table` and `path` (which route), `exchange` (sent, and the answer made the
//! browser's), `headers` (what crosses), `upstream` and `http1` (over which connection, and how), `upload` and `download`
//! (the bodies), `live` (what ends with a session).

pub(crate) mod claims;
mod connect;
mod download;
mod error;
mod exchange;
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

use std::{borrow::Cow, sync::Arc, time::Duration};

use authproxy_core::{
    manager::{ReadyToken, TokenManager},
    session::{SessionId, SessionKey},
};
use http::{
    HeaderMap, HeaderValue, Method, Uri,
    header::{AUTHORIZATION, CACHE_CONTROL, HOST},
    request::Parts,
    uri::PathAndQuery,
};
use tokio::time::interval;
use tokio_util::sync::CancellationToken;

pub use self::connect::TrustError;
use self::{
    connect::Connector,
    exchange::Exchange,
    headers::{Names, Onward},
    path::Ambiguous,
    table::Table,
    upload::Source,
    upstream::Upstream,
};
pub(crate) use self::{
    download::{Download, DownloadError},
    error::UpstreamError,
    headers::is_about_the_asker,
    live::Live,
};
use crate::{
    body::RequestBody,
    burst,
    config::{RouteAccess, RouteConfig},
    cookie::Presented,
    csrf, login_page,
    problem::Problem,
    response::{self, Response as Answer},
    routes,
    service::{App, Peer},
    telemetry::RequestId,
};

/// How often connections are looked for that have rested too long.
const SWEEP_EVERY: Duration = Duration::from_secs(1);

/// Every `[[route]]`, ready to forward.
pub(crate) struct Forwarder {
    table: Table,
    routes: Vec<Route>,
    /// What only we say about who is asking.
    own_names: Names,
    pub(crate) live: Arc<Live>,
    /// Cancelled when the server ends: what has no end of its own ends then, everything else is finished.
    pub(crate) shutdown: CancellationToken,
}

/// One `[[route]]`.
pub(crate) struct Route {
    pub(crate) config: RouteConfig,
    upstream: Arc<Upstream>,
    /// What no trailer of a request may say.
    not_in_trailers: Arc<Names>,
}

/// Where a request goes.
pub(crate) struct Destination<'a> {
    pub(crate) route: &'a Route,
    /// What the upstream gets: path and query.
    target: Cow<'a, PathAndQuery>,
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
        let own_names = Names::about_the_asker(routes);
        let routes = routes.iter().map(|config| {
            let upstream = Arc::new(Upstream::new(config, connector(config)?));
            let not_in_trailers = Arc::new(own_names.and_those_of(config));
            Ok(Route { config: config.clone(), upstream, not_in_trailers })
        });
        let routes = routes.collect::<Result<_, _>>()?;
        Ok(Self { table, routes, own_names, live: Arc::default(), shutdown: CancellationToken::new() })
    }

    /// Ends what should not last: connections of sessions that are over, and those at rest that nobody uses. Never returns.
    ///
    /// # Cancel safety
    ///
    /// Can be dropped at any time.
    pub(crate) async fn keep_house(&self, manager: &TokenManager) {
        let sweep = async {
            let mut tick = interval(SWEEP_EVERY);
            loop {
                tick.tick().await;
                self.routes.iter().for_each(|route| route.upstream.sweep());
            }
        };
        // Side by side: while a store of a fleet hangs, the look at the sessions waits for it.
        tokio::join!(self.live.watch(manager), sweep);
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
        let Some(place) = self.table.find(host_name(&host), &path)? else { return Ok(None) };
        let route = &self.routes[place];
        let rewritten = table::rewrite(&route.config, &path)?;
        let target = target(&head.uri, &rewritten)?;
        Ok(Some(Destination { route, target, host }))
    }
}

/// Why the routes' upstreams could not be trusted; at most one error each.
pub(crate) fn check_trust(routes: &[RouteConfig]) -> impl Iterator<Item = TrustError> {
    routes.iter().filter_map(|config| connector(config).err())
}

fn connector(config: &RouteConfig) -> Result<Connector, TrustError> {
    Connector::new(&config.upstream, config.upstream_ca.as_deref(), &config.prefix)
}

/// Forwards a request and answers with what the upstream says.
pub(crate) async fn handle(
    app: &App,
    destination: &Destination<'_>,
    head: &Parts,
    body: RequestBody,
    session: &Presented,
    peer: &Peer,
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
    let mut body = Source::of(body, route).await?;
    let mut exchange = Exchange {
        app,
        head,
        onward: Onward {
            route: &route.config,
            own_names: &app.forwarder.own_names,
            cookie: app.cookie,
            peer_is_trusted: app.trusts(peer.ip()),
            peer,
            id: request_id,
            version: head.version,
            upgrade: upgrade.as_ref(),
            host: &destination.host,
            authority: &route.upstream.authority,
        },
        destination,
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
async fn identify<'a>(app: &App, head: &Parts, session: &'a Presented, upgrades: bool) -> Result<Caller<'a>, Problem> {
    let id = session.id()?;
    // A page may open a tunnel to any site, cookie included, and then read from it: no method is safe for that.
    if upgrades || !head.method.is_safe() {
        csrf::check_cookie_only(&head.headers, &app.origins)?;
    }
    let key = id.key();
    burst::gather(&app.manager, key).await;
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
    let next = head.uri.path_and_query().map(PathAndQuery::as_str).filter(|next| login_page::stays_here(next));
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

/// A host without its port, and without the dot that may stand at the end of a whole name (RFC 1034, section 3.1).
fn host_name(host: &str) -> &str {
    let name = match host.rfind(':') {
        Some(at) if !host.ends_with(']') => &host[..at],
        _ => host,
    };
    name.strip_suffix('.').unwrap_or(name)
}

/// The upstream's target: the path as rewritten, the query byte for byte.
fn target<'a>(uri: &'a Uri, path: &str) -> Result<Cow<'a, PathAndQuery>, Problem> {
    let whole = match (uri.path_and_query(), uri.query()) {
        // An empty path is `/` (RFC 9110, section 4.2.3), but not written.
        (Some(same), _) if same.path() == path && same.as_str().starts_with('/') => return Ok(Cow::Borrowed(same)),
        (_, Some(query)) => format!("{path}?{query}"),
        (_, None) => path.to_owned(),
    };
    PathAndQuery::try_from(whole).map(Cow::Owned).map_err(|_| Problem::AmbiguousPath)
}

impl From<Ambiguous> for Problem {
    fn from(_: Ambiguous) -> Self {
        Self::AmbiguousPath
    }
}
