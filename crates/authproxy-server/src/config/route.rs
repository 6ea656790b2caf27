//! `[[route]]`: an API behind the session. Read and checked here; a server that forwards comes later.

use std::{path::PathBuf, time::Duration};

use http::{HeaderName, HeaderValue, Method};
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    mistake::{Mistake, Refusal, Source, cut},
    origin::{Origin, parse_path},
    raw::Raw,
    suggest::nearest,
    upstream::{InvalidUpstream, UpstreamUrl},
};

/// One API behind the session.
///
/// ```
/// use authproxy_server::config::{RouteConfig, UpstreamUrl};
///
/// let upstream: UpstreamUrl = "http://127.0.0.1:9000".parse()?;
/// let mut route = RouteConfig::new("/api", upstream);
/// route.strip_prefix = true;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RouteConfig {
    /// The paths it serves: this one and those below it. Begins with a slash; ends with one only when it is `/`.
    pub prefix: String,
    /// The host it serves, in lower case, without a port. Default: every host.
    pub host: Option<String>,
    /// Where the resource server is.
    pub upstream: UpstreamUrl,
    /// PEM file with the authorities that an https upstream's certificate must come from. Default: the system's.
    pub upstream_ca: Option<PathBuf>,
    /// Whether the upstream gets the path without the prefix. Default: no.
    pub strip_prefix: bool,
    /// What the upstream gets instead of the prefix. Default: the prefix itself.
    pub rewrite_prefix: Option<String>,
    /// Who may call it. Default: those with a session.
    pub access: RouteAccess,
    /// The methods it serves. Default, when empty: all.
    pub methods: Vec<Method>,
    /// Whether the upstream gets the browser's `Host` instead of its own. Default: no.
    pub preserve_host: bool,
    /// Where a navigation without a session is sent to log in, a path or an http(s) URL; other requests get 401.
    /// Default: none, navigations get 401 too.
    pub login_page: Option<String>,
    /// The header that carries the access token. Default: `Authorization`, as `Bearer`; any other holds the bare token.
    pub token_header: Option<HeaderName>,
    /// The header that carries the user's name. Default: none.
    pub user_header: Option<HeaderName>,
    /// Headers that carry a claim of a JWT access token: text, number or boolean, not checked. Default: none.
    pub claim_headers: Vec<(HeaderName, String)>,
    /// What the upstream gets in addition; replaces the browser's own. Default: nothing.
    pub add_request_headers: Vec<(HeaderName, HeaderValue)>,
    /// What the upstream does not get. Default: nothing beyond what no upstream gets.
    pub remove_request_headers: Vec<HeaderName>,
    /// What the browser gets in addition; replaces the upstream's own. Default: nothing.
    pub add_response_headers: Vec<(HeaderName, HeaderValue)>,
    /// What the browser does not get. Default: nothing.
    pub remove_response_headers: Vec<HeaderName>,
    /// For connecting to the upstream, TLS included, and for waiting for a free connection. Default 2 seconds.
    pub connect_timeout: Duration,
    /// From the request's end to the first byte of the upstream's answer. Default 30 seconds.
    pub first_byte_timeout: Duration,
    /// The longest silence inside a body, in either direction, and of a tunnel. Default 5 minutes.
    pub idle_timeout: Duration,
    /// The most bytes of a request's body. Default 10 MiB.
    pub body_limit: u64,
    /// The most connections to the upstream at once. Default 512.
    pub max_connections: usize,
}

impl RouteConfig {
    /// A route for those with a session, with every default.
    pub fn new(prefix: impl Into<String>, upstream: UpstreamUrl) -> Self {
        Self {
            prefix: prefix.into(),
            host: None,
            upstream,
            upstream_ca: None,
            strip_prefix: false,
            rewrite_prefix: None,
            access: RouteAccess::default(),
            methods: Vec::new(),
            preserve_host: false,
            login_page: None,
            token_header: None,
            user_header: None,
            claim_headers: Vec::new(),
            add_request_headers: Vec::new(),
            remove_request_headers: Vec::new(),
            add_response_headers: Vec::new(),
            remove_response_headers: Vec::new(),
            connect_timeout: Duration::from_secs(2),
            first_byte_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(300),
            body_limit: 10 * 1024 * 1024,
            max_connections: 512,
        }
    }
}

/// Who may call a route.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RouteAccess {
    /// Those with a session; the upstream gets the session's access token.
    #[default]
    Session,
    /// Those who bring a Bearer token (RFC 6750), which is passed on.
    Bearer,
    /// Everyone.
    Public,
}

const KEYS: [&str; 7] = ["prefix", "host", "upstream", "strip_prefix", "rewrite_prefix", "access", "methods"];
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];

const PATH: &str = "a path such as /api, without escapes, dots and empty segments";
const UPSTREAM: &str = "an http or https URL, such as http://127.0.0.1:9000, or unix:/path/to/socket";

/// Reads one entry; `at` tells the line of an offset. `None` when it has mistakes, which are added.
pub(super) fn read(
    entry: &Spanned<DeValue<'_>>,
    at: &dyn Fn(usize) -> Source,
    mistakes: &mut Vec<Mistake>,
) -> Option<RouteConfig> {
    let before = mistakes.len();
    let DeValue::Table(table) = entry.get_ref() else {
        mistakes.push(mistake(at(entry.span().start), "route", "is not a table; allowed: [[route]] tables"));
        return None;
    };
    let mut reader = Reader { table, at, mistakes };
    reader.unknown_keys();
    let prefix = reader.read("prefix", PATH, path).unwrap_or_default();
    let upstream = reader.read("upstream", UPSTREAM, upstream);
    let mut route = RouteConfig::new(prefix, upstream.unwrap_or_else(UpstreamUrl::nowhere));
    route.host = reader.read("host", "a host name without a port", host);
    route.strip_prefix = reader.read("strip_prefix", "true or false", Raw::switch).unwrap_or_default();
    route.rewrite_prefix = reader.read("rewrite_prefix", PATH, path);
    route.access = reader.read("access", "session, bearer or public", access).unwrap_or_default();
    route.methods = reader.read("methods", &METHODS.join(", "), methods).unwrap_or_default();
    let start = at(entry.span().start);
    for key in ["prefix", "upstream"].into_iter().filter(|key| !table.contains_key(*key)) {
        mistakes.push(mistake(start.clone(), &format!("route.{key}"), "is required"));
    }
    if route.strip_prefix && route.rewrite_prefix.is_some() {
        let problem = "cannot be set together with route.strip_prefix";
        mistakes.push(mistake(start, "route.rewrite_prefix", problem));
    }
    (mistakes.len() == before).then_some(route)
}

struct Reader<'a, 'i> {
    table: &'a DeTable<'i>,
    at: &'a dyn Fn(usize) -> Source,
    mistakes: &'a mut Vec<Mistake>,
}

impl Reader<'_, '_> {
    fn unknown_keys(&mut self) {
        for word in self.table.keys().filter(|word| !KEYS.contains(&word.get_ref().as_ref())) {
            let problem = match nearest(word.get_ref(), KEYS) {
                Some(key) => format!("unknown key; did you mean route.{key}?"),
                None => format!("unknown key; allowed: {}", KEYS.join(", ")),
            };
            let key = format!("route.{}", cut(word.get_ref()));
            self.mistakes.push(mistake((self.at)(word.span().start), &key, problem));
        }
    }

    fn read<T>(&mut self, key: &str, allowed: &str, parse: fn(&Raw) -> Result<T, Refusal>) -> Option<T> {
        let (word, value) = self.table.get_key_value(key)?;
        match parse(&Raw::from_toml(value.get_ref())) {
            Ok(value) => Some(value),
            Err(refusal) => {
                let source = (self.at)(word.span().start);
                self.mistakes.push(mistake(source, &format!("route.{key}"), refusal.explain(allowed, true)));
                None
            }
        }
    }
}

fn mistake(source: Source, key: &str, problem: impl Into<String>) -> Mistake {
    Mistake { source, key: key.into(), problem: problem.into() }
}

fn path(raw: &Raw) -> Result<String, Refusal> {
    let text = raw.text()?;
    if !text.starts_with('/') {
        return Err(Refusal::of(text, "does not begin with a slash"));
    }
    let odd = |b: u8| !(b.is_ascii_alphanumeric() || b"/-._~!$&'()*+,=:@".contains(&b));
    if text.bytes().any(odd) {
        return Err(Refusal::of(text, "has characters that a prefix cannot have"));
    }
    match parse_path(text) {
        Ok(path) if path.is_empty() => Ok("/".into()),
        Ok(path) => Ok(path),
        Err(reason) => Err(Refusal::of(text, reason)),
    }
}

fn host(raw: &Raw) -> Result<String, Refusal> {
    let text = raw.text()?;
    let refuse = || Refusal::of_url(text, "is not a host name");
    let origin = Origin::parse(&format!("http://{text}")).map_err(|_| refuse())?;
    // A port or a slash would have been dropped by the canonical form.
    if text.eq_ignore_ascii_case(&origin.host()) { Ok(origin.host()) } else { Err(refuse()) }
}

fn upstream(raw: &Raw) -> Result<UpstreamUrl, Refusal> {
    let text = raw.text()?;
    text.parse().map_err(|InvalidUpstream(reason)| Refusal::of_url(text, reason))
}

fn access(raw: &Raw) -> Result<RouteAccess, Refusal> {
    match raw.text()? {
        "session" => Ok(RouteAccess::Session),
        "bearer" => Ok(RouteAccess::Bearer),
        "public" => Ok(RouteAccess::Public),
        text => Err(Refusal::of(text, "is none of the known words")),
    }
}

fn methods(raw: &Raw) -> Result<Vec<Method>, Refusal> {
    let items = raw.items()?;
    match items.iter().find(|item| !METHODS.contains(item)) {
        Some(odd) => Err(Refusal::of(odd, "is no method that is forwarded")),
        None if items.is_empty() => Err(Refusal::unseen("is empty")),
        None => Ok(items.iter().filter_map(|item| item.parse().ok()).collect()),
    }
}
