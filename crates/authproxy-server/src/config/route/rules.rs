//! What the values of a route must be to each other, and to those of the other routes. Pure.

use std::{fmt, net::SocketAddr};

use http::HeaderName;

use super::{
    super::login_page,
    RouteAccess, RouteConfig,
    headers::{self, Side, normalised, not_to_let_through, not_to_set, not_to_touch},
    overlap,
    value::{self, METHODS},
};

/// One thing that is wrong with a route. `Display` writes one line.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct RouteMistake {
    /// Which one, counted from 0.
    pub route: usize,
    /// Which other route it collides with.
    pub other: Option<usize>,
    /// The key that is wrong.
    pub key: &'static str,
    /// What is wrong: the end of a sentence that begins with the key.
    pub problem: String,
    /// What would be right.
    pub allowed: &'static str,
    /// The keys that were looked at.
    pub(in crate::config) keys: &'static [&'static str],
}

impl fmt::Display for RouteMistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "route {}: {}: {}", self.route + 1, self.key, self.problem)?;
        self.other.map_or(Ok(()), |other| write!(f, " (route {})", other + 1))?;
        write!(f, "; allowed: {}", self.allowed)
    }
}

/// Everything that is wrong with a set of routes; at least one mistake. `Display` writes a line each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RouteMistakes(Vec<RouteMistake>);

impl RouteMistakes {
    /// One by one: what is wrong with each route, then what collides.
    pub fn iter(&self) -> impl Iterator<Item = &RouteMistake> {
        self.0.iter()
    }
}

impl fmt::Display for RouteMistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines: Vec<_> = self.iter().map(ToString::to_string).collect();
        f.write_str(&lines.join("\n"))
    }
}

impl std::error::Error for RouteMistakes {}

/// Checks routes that are to be served together, by a server that listens at `listen`, where that is known.
///
/// A request belongs to the route with the longest prefix of its path, by whole segments; of two with the same prefix, to
/// the one with the request's host. Routes for which this would not say which, or which no request could reach, are
/// mistakes.
///
/// # Errors
///
/// Every mistake that can be found, not only the first.
pub fn check_routes(routes: &[RouteConfig], listen: Option<SocketAddr>) -> Result<(), RouteMistakes> {
    let mut found = Vec::new();
    for (number, route) in routes.iter().enumerate() {
        one(route, &mut Finder { number, found: &mut found });
    }
    overlap::check(routes, listen, &mut found);
    if found.is_empty() { Ok(()) } else { Err(RouteMistakes(found)) }
}

/// Collects the mistakes of one route.
struct Finder<'a> {
    number: usize,
    found: &'a mut Vec<RouteMistake>,
}

impl Finder<'_> {
    /// Adds a mistake of the first of `keys`, which is the one to blame.
    fn add(&mut self, keys: &'static [&'static str], problem: impl Into<String>, allowed: &'static str) {
        let problem = problem.into();
        self.found.push(RouteMistake { route: self.number, other: None, key: keys[0], problem, allowed, keys });
    }
}

fn one(route: &RouteConfig, find: &mut Finder<'_>) {
    paths(route, find);
    limits(route, find);
    access(route, find);
    request_headers(route, find);
    underscore_headers(route, find);
    response_headers(route, find);
}

fn paths(route: &RouteConfig, find: &mut Finder<'_>) {
    const PATH: &str = "a path in its canonical form, such as /api";
    let mut canonical = |keys, text: &str, form: Result<String, &'static str>, allowed| match form {
        Ok(form) if form == *text => {}
        Ok(form) => find.add(keys, format!("\"{text}\" is not written as {form}"), allowed),
        Err(reason) => find.add(keys, format!("\"{}\" {reason}", text.escape_debug()), allowed),
    };
    canonical(&["prefix"], &route.prefix, value::prefix(&route.prefix), PATH);
    if let Some(prefix) = &route.rewrite_prefix {
        canonical(&["rewrite_prefix"], prefix, value::prefix(prefix), PATH);
    }
    if let Some(host) = &route.host {
        canonical(&["host"], host, value::host(host), "a host name in lower case, without a port");
    }
    if route.strip_prefix && route.rewrite_prefix.is_some() {
        find.add(&["rewrite_prefix", "strip_prefix"], "is set together with strip_prefix", "one of the two");
    }
    if route.upstream_ca.is_some() && !route.upstream.is_https() {
        find.add(&["upstream_ca", "upstream"], "would not be used", "an https upstream, or no upstream_ca");
    }
}

fn limits(route: &RouteConfig, find: &mut Finder<'_>) {
    if let Some(method) = route.methods.iter().find(|method| !METHODS.contains(method)) {
        let problem = format!("\"{method}\" is no method that is forwarded");
        find.add(&["methods"], problem, "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS");
    }
    if route.connect_timeout.is_zero() {
        find.add(&["connect_timeout"], "is zero", "at least 1ms");
    }
    if route.first_byte_timeout.is_zero() {
        find.add(&["first_byte_timeout"], "is zero", "at least 1ms");
    }
    if route.idle_timeout.is_zero() {
        find.add(&["idle_timeout"], "is zero", "at least 1ms");
    }
    if route.max_connections == 0 {
        find.add(&["max_connections"], "is zero", "at least 1");
    }
}

/// A key that would never apply is not what its author meant.
fn access(route: &RouteConfig, find: &mut Finder<'_>) {
    const ALLOWED: &str = "access = \"session\"";
    if let Some(page) = &route.login_page
        && let Err(reason) = login_page::check(page)
    {
        find.add(&["login_page"], format!("\"{}\" {reason}", page.escape_debug()), login_page::ALLOWED);
    }
    if route.access == RouteAccess::Session {
        return;
    }
    let problem = "needs a session, which this route does not ask for";
    if route.login_page.is_some() {
        find.add(&["login_page", "access"], problem, ALLOWED);
    }
    if route.token_header.is_some() {
        find.add(&["token_header", "access"], problem, ALLOWED);
    }
    if route.user_header.is_some() {
        find.add(&["user_header", "access"], problem, ALLOWED);
    }
    if !route.claim_headers.is_empty() {
        find.add(&["claim_headers", "access"], problem, ALLOWED);
    }
}

/// A header has one author.
fn request_headers(route: &RouteConfig, find: &mut Finder<'_>) {
    const ALLOWED: &str = "a header that this route does not set yet";
    let set = headers::set_by(route);
    for (n, (key, name)) in set.iter().enumerate() {
        let keys = looked_at(key);
        if let Some(reason) = not_to_set(name, Side::Request) {
            find.add(keys, format!("\"{name}\" {reason}"), "another header");
        } else if let Some((by, _)) = set[..n].iter().find(|(_, other)| normalised(other) == normalised(name)) {
            find.add(keys, format!("\"{name}\" {}", already(by)), ALLOWED);
        }
    }
    for name in &route.remove_request_headers {
        let keys = looked_at("remove_request_headers");
        if let Some(reason) = not_to_touch(name) {
            find.add(keys, format!("\"{name}\" {reason}"), "another header");
        } else if let Some((by, _)) = set.iter().find(|(_, other)| normalised(other) == normalised(name)) {
            find.add(keys, format!("\"{name}\" {}", already(by)), ALLOWED);
        }
    }
}

/// What is let through must not be taken for a header that has another author.
fn underscore_headers(route: &RouteConfig, find: &mut Finder<'_>) {
    let keys = looked_at("underscore_headers");
    for name in &route.underscore_headers {
        if let Some(reason) = not_to_let_through(name) {
            find.add(keys, format!("\"{name}\" {reason}"), "another header");
        } else if let Some((by, _)) =
            headers::set_by(route).iter().find(|(_, other)| normalised(other) == normalised(name))
        {
            find.add(keys, format!("\"{name}\" {}", already(by)), "a header that this route does not set");
        }
    }
}

fn response_headers(route: &RouteConfig, find: &mut Finder<'_>) {
    let is = |name: &HeaderName, other: &HeaderName| normalised(name) == normalised(other);
    let added: Vec<_> = route.add_response_headers.iter().map(|(name, _)| name).collect();
    for (n, name) in added.iter().enumerate() {
        if let Some(reason) = not_to_set(name, Side::Response) {
            find.add(&["add_response_headers"], format!("\"{name}\" {reason}"), "another header");
        } else if added[..n].iter().any(|other| is(name, other)) {
            find.add(&["add_response_headers"], format!("\"{name}\" is there twice"), "each header once");
        }
    }
    for name in &route.remove_response_headers {
        let keys = &["remove_response_headers", "add_response_headers"];
        if let Some(reason) = not_to_touch(name) {
            find.add(keys, format!("\"{name}\" {reason}"), "another header");
        } else if added.iter().any(|other| is(name, other)) {
            let allowed = "a header that add_response_headers does not set";
            find.add(keys, format!("\"{name}\" is set by add_response_headers, which replaces it"), allowed);
        }
    }
}

fn already(key: &str) -> String {
    match key {
        "token_header" => "carries the token of this route".into(),
        key => format!("is already set by {key}"),
    }
}

/// Who sets a header depends on all of these; the first one is to blame.
fn looked_at(key: &str) -> &'static [&'static str] {
    match key {
        "token_header" => &["token_header", "access"],
        "user_header" => &["user_header", "token_header", "access"],
        "claim_headers" => &["claim_headers", "user_header", "token_header", "access"],
        "underscore_headers" => {
            &["underscore_headers", "add_request_headers", "claim_headers", "user_header", "token_header", "access"]
        }
        "add_request_headers" => &["add_request_headers", "claim_headers", "user_header", "token_header", "access"],
        _ => {
            &["remove_request_headers", "add_request_headers", "claim_headers", "user_header", "token_header", "access"]
        }
    }
}
