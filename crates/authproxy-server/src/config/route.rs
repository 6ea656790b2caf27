//! `[[route]]`: an API behind the session. Read and checked here; a server that forwards comes later.

use std::time::Duration;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    field::{allowed_duration, duration_in},
    mistake::{Mistake, Refusal, Source, cut},
    origin::{BaseUrl, Origin, parse_path},
    raw::Raw,
    suggest::nearest,
};

/// One API behind the session.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RouteConfig {
    /// The paths it serves: this one and those below it. Begins with a slash; ends with one only when it is `/`.
    pub prefix: String,
    /// The host it serves, in lower case. Default: every host.
    pub host: Option<String>,
    /// The base URL of the resource server.
    pub upstream: String,
    /// Whether the upstream gets the path without the prefix. Default: no.
    pub strip_prefix: bool,
    /// What the upstream gets instead of the prefix. Default: the prefix itself.
    pub rewrite_prefix: Option<String>,
    /// Who may call it. Default: those with a session.
    pub access: RouteAccess,
    /// The methods it serves. Default, when empty: all.
    pub methods: Vec<String>,
    /// For connecting to the upstream. Default: the server's.
    pub connect_timeout: Option<Duration>,
    /// For the first byte of the upstream's answer. Default: the server's.
    pub timeout: Option<Duration>,
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

const KEYS: [&str; 9] =
    ["prefix", "host", "upstream", "strip_prefix", "rewrite_prefix", "access", "methods", "connect_timeout", "timeout"];
const METHODS: [&str; 7] = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"];
const TIMEOUT: std::ops::RangeInclusive<u64> = 1..=3_600_000;

const PATH: &str = "a path such as /api, without escapes, dots and empty segments";
const URL: &str = "an http or https URL, such as http://127.0.0.1:9000";

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
    let route = RouteConfig {
        prefix: reader.read("prefix", PATH, path).unwrap_or_default(),
        host: reader.read("host", "a host name without a port", host),
        upstream: reader.read("upstream", URL, base_url).unwrap_or_default(),
        strip_prefix: reader.read("strip_prefix", "true or false", Raw::switch).unwrap_or_default(),
        rewrite_prefix: reader.read("rewrite_prefix", PATH, path),
        access: reader.read("access", "session, bearer or public", access).unwrap_or_default(),
        methods: reader.read("methods", &METHODS.join(", "), methods).unwrap_or_default(),
        connect_timeout: reader.read("connect_timeout", &allowed_duration(&TIMEOUT), timeout),
        timeout: reader.read("timeout", &allowed_duration(&TIMEOUT), timeout),
    };
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

fn base_url(raw: &Raw) -> Result<String, Refusal> {
    let text = raw.text()?;
    BaseUrl::parse(text).map(|url| url.to_string()).map_err(|reason| Refusal::of_url(text, reason))
}

fn access(raw: &Raw) -> Result<RouteAccess, Refusal> {
    match raw.text()? {
        "session" => Ok(RouteAccess::Session),
        "bearer" => Ok(RouteAccess::Bearer),
        "public" => Ok(RouteAccess::Public),
        text => Err(Refusal::of(text, "is none of the known words")),
    }
}

fn methods(raw: &Raw) -> Result<Vec<String>, Refusal> {
    let items = raw.items()?;
    match items.iter().find(|item| !METHODS.contains(item)) {
        Some(odd) => Err(Refusal::of(odd, "is no method that is forwarded")),
        None if items.is_empty() => Err(Refusal::unseen("is empty")),
        None => Ok(items.into_iter().map(str::to_owned).collect()),
    }
}

fn timeout(raw: &Raw) -> Result<Duration, Refusal> {
    duration_in(raw.text()?, &TIMEOUT)
}
