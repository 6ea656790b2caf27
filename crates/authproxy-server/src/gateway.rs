//! What a gateway says of the request that it asks about (forward-auth).
//!
//! nginx, Traefik and Caddy ask with a GET of their own and name the original method in a header; Envoy asks with the
//! original's method, its path below ours. They are believed when they are in `trusted_proxies`; of anyone else's
//! request only what it is itself counts. Headers that a gateway hands through from the browser can only make the
//! judgement stricter: one unsafe method named anywhere is enough.

use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Uri,
    header::{HOST, SEC_WEBSOCKET_KEY, UPGRADE},
    uri::PathAndQuery,
};

use crate::{login_page, origin::Origins};

/// Where gateways ask; Envoy puts the original path behind it.
pub(crate) const PATH: &str = "/auth/verify";

const X_FORWARDED_METHOD: HeaderName = HeaderName::from_static("x-forwarded-method");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_URI: HeaderName = HeaderName::from_static("x-forwarded-uri");
/// What our configuration for nginx sets, and no other gateway.
const X_ORIGINAL_METHOD: HeaderName = HeaderName::from_static("x-original-method");

/// The longest address that a browser is sent back to after a login, in bytes.
const LONGEST_RETURN: usize = 2048;

/// The request that a gateway has got and asks about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Original<'a> {
    method: &'a Method,
    uri: &'a Uri,
    headers: &'a HeaderMap,
    is_trusted: bool,
}

/// What the original request may do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Effect {
    /// It reads.
    Reads,
    /// It may change something, or opens a tunnel through which that happens.
    MayChange,
    /// A trusted gateway has not said which method it has.
    Untold,
}

impl<'a> Original<'a> {
    /// The original behind a sub-request, from a gateway that is trusted or not.
    pub(crate) fn new(method: &'a Method, uri: &'a Uri, headers: &'a HeaderMap, is_trusted: bool) -> Self {
        Self { method, uri, headers, is_trusted }
    }

    /// Whether the gateway is in `trusted_proxies`.
    pub(crate) fn is_trusted(&self) -> bool {
        self.is_trusted
    }

    /// What it may do, for the CSRF rule.
    pub(crate) fn effect(&self) -> Effect {
        let mut told = [X_FORWARDED_METHOD, X_ORIGINAL_METHOD].into_iter().flat_map(|name| self.said(name)).peekable();
        // A GET at the very path is the gateway's own; one below the path is the browser's.
        let is_told = !self.is_trusted || told.peek().is_some() || self.uri.path() != PATH;
        if !self.method.is_safe() || self.opens_websocket() || !told.all(names_safe_method) {
            return Effect::MayChange;
        }
        if is_told { Effect::Reads } else { Effect::Untold }
    }

    /// Whether a person waits for a page (Fetch Metadata), behind a gateway that passes redirects on.
    pub(crate) fn is_navigation(&self) -> bool {
        // The sub-request's own method says nothing, and what the original's is has been judged.
        self.effect() == Effect::Reads
            && !self.is_behind_nginx()
            && login_page::is_navigation(&Method::GET, self.headers)
    }

    /// Where to send the browser after a login: a path on the public origin, or a URL on an allow-listed one.
    ///
    /// `None` where the gateway does not say it clearly, or names anybody else's origin.
    pub(crate) fn return_address(&self, origins: &Origins) -> Option<String> {
        let target = self.target()?;
        if !login_page::stays_here(target)
            || target.len() > LONGEST_RETURN
            || !target.bytes().all(|byte| byte.is_ascii_graphic())
        {
            return None;
        }
        let origin = format!("{}://{}", self.one(X_FORWARDED_PROTO)?, self.host()?).to_ascii_lowercase();
        match origin.as_bytes() {
            origin if origins.is_public(origin) => Some(target.to_owned()),
            allowed if origins.is_allowed(allowed) => Some(format!("{origin}{target}")),
            _ => None,
        }
    }

    fn target(&self) -> Option<&'a str> {
        if self.said(X_FORWARDED_URI).next().is_some() {
            return self.one(X_FORWARDED_URI);
        }
        let below = self.uri.path_and_query().map(PathAndQuery::as_str)?.strip_prefix(PATH)?;
        below.starts_with('/').then_some(below)
    }

    /// Envoy asks with the original's own `Host`.
    fn host(&self) -> Option<&'a str> {
        if self.said(X_FORWARDED_HOST).next().is_some() { self.one(X_FORWARDED_HOST) } else { self.one(HOST) }
    }

    /// A redirect is a denial like any other for nginx, which makes 500 of it.
    fn is_behind_nginx(&self) -> bool {
        self.said(X_ORIGINAL_METHOD).next().is_some()
    }

    /// nginx drops `Upgrade` from its sub-requests, Envoy lets through what it is told to.
    fn opens_websocket(&self) -> bool {
        let mode = self.headers.get("sec-fetch-mode");
        self.headers.contains_key(UPGRADE)
            || self.headers.contains_key(SEC_WEBSOCKET_KEY)
            || mode.is_some_and(|mode| mode == "websocket")
    }

    /// What a gateway says under a name, when it is believed.
    fn said(&self, name: HeaderName) -> impl Iterator<Item = &'a HeaderValue> + use<'a> {
        let values = self.is_trusted.then(|| self.headers.get_all(name).iter());
        values.into_iter().flatten()
    }

    /// What it says exactly once.
    fn one(&self, name: HeaderName) -> Option<&'a str> {
        let mut values = self.said(name);
        match (values.next(), values.next()) {
            (Some(value), None) => value.to_str().ok(),
            _ => None,
        }
    }
}

fn names_safe_method(value: &HeaderValue) -> bool {
    Method::from_bytes(value.as_bytes()).is_ok_and(|method| method.is_safe())
}

#[cfg(test)]
mod tests;
