//! Which header fields cross the proxy. In each direction: hop-by-hop fields go first, so that no peer can name
//! ours in `Connection` and have them taken away; then what only we may say; then ours are added.

use authproxy_core::manager::ReadyToken;
use bytes::{BufMut, BytesMut};
use http::{
    HeaderMap, HeaderName, HeaderValue, Version,
    header::{
        ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_ORIGIN, AUTHORIZATION, CACHE_CONTROL, CONNECTION,
        CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, COOKIE, EXPECT, HOST, SET_COOKIE, TE, TRAILER,
        TRANSFER_ENCODING, UPGRADE, VIA,
    },
};

use super::claims;
use crate::{
    config::{RouteAccess, RouteConfig},
    cookie::{self, SessionCookie},
    origin::Origins,
    service::Peer,
    telemetry::{RequestId, X_REQUEST_ID, traceparent},
};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const TRACEPARENT: HeaderName = HeaderName::from_static("traceparent");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");

/// Meant for one connection only (RFC 9110, section 7.6.1). `TE` and `Upgrade` are looked at one by one; `Trailer`
/// crosses, because without it no trailer does.
const HOP_BY_HOP: [&str; 8] = [
    "connection",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "transfer-encoding",
    "http2-settings",
    "upgrade",
];

/// What upstreams believe about who is asking and how they were reached; only a trusted gateway or we may say it.
const IDENTITY: [&str; 6] =
    ["forwarded", "x-real-ip", "remote-user", "client-cert", "client-cert-chain", "x-remote-user"];
const IDENTITY_PREFIXES: [&str; 5] = ["x-forwarded-", "x-original-", "x-auth-request-", "x-user-", "x-client-cert"];

/// What a request is forwarded with.
pub(crate) struct Onward<'a> {
    pub(crate) route: &'a RouteConfig,
    pub(crate) cookie: SessionCookie,
    pub(crate) peer: Peer,
    /// Whether the peer is a gateway of ours, whose `X-Forwarded-*` are believed.
    pub(crate) peer_is_trusted: bool,
    pub(crate) id: &'a RequestId,
    pub(crate) version: Version,
    /// Whether the connection is to change its protocol (RFC 9110, section 7.8).
    pub(crate) upgrade: Option<&'a HeaderValue>,
    /// The host that the peer asked for.
    pub(crate) host: &'a str,
    /// The upstream's own `Host`.
    pub(crate) authority: &'a HeaderValue,
}

impl Onward<'_> {
    /// Makes the upstream's request header of the peer's.
    pub(crate) fn request(&self, headers: &mut HeaderMap, token: Option<&ReadyToken>) {
        let te_trailers = headers.get_all(TE).iter().any(|value| lists(value, "trailers"));
        strip_hop_by_hop(headers);
        // What is expected is answered here, as soon as the body is wanted.
        remove_where(headers, |name| *name == TE || *name == EXPECT || self.is_ours_to_say(name));
        strip_cookie(headers, self.cookie.name());
        self.say_how_it_was_reached(headers);
        if te_trailers {
            headers.insert(TE, HeaderValue::from_static("trailers"));
        }
        if let Some(protocol) = self.upgrade {
            headers.insert(CONNECTION, HeaderValue::from_static("upgrade"));
            headers.insert(UPGRADE, protocol.clone());
        }
        for name in &self.route.remove_request_headers {
            headers.remove(name);
        }
        for (name, value) in &self.route.add_request_headers {
            headers.insert(name, value.clone());
        }
        if let Some(token) = token {
            self.identify(headers, token);
        }
    }

    /// Says who is asking.
    fn identify(&self, headers: &mut HeaderMap, token: &ReadyToken) {
        let token_header = self.route.token_header.as_ref().unwrap_or(&AUTHORIZATION);
        let authorization = token.access_token().authorization();
        let value = if *token_header == AUTHORIZATION { authorization.clone() } else { claims::bare(token) };
        headers.insert(token_header, value);
        if let Some(name) = &self.route.user_header {
            insert_or_remove(headers, name, claims::text(token.user()));
        }
        if !self.route.claim_headers.is_empty() {
            let claims = claims::of(token);
            for (name, claim) in &self.route.claim_headers {
                insert_or_remove(headers, name, claims.header(claim));
            }
        }
    }

    /// Whether the peer's own field of this name is dropped. Names are compared as lenient upstreams read them.
    fn is_ours_to_say(&self, name: &HeaderName) -> bool {
        let text = name.as_str();
        let route = self.route;
        if *name == AUTHORIZATION {
            return route.access == RouteAccess::Session;
        }
        if text.contains('_') {
            return !route.underscore_headers.contains(name);
        }
        let is_believed = self.peer_is_trusted && is_of_a_gateway(text);
        own_names(route).any(|own| own == name) || (is_about_the_asker(text) && !is_believed)
    }

    /// Whoever a believed gateway speaks for, and the peer.
    fn forwarded_for(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let peer = self.peer.forwarded_for();
        if !headers.contains_key(X_FORWARDED_FOR) {
            return Some(peer.clone());
        }
        let mut list = BytesMut::new();
        for value in headers.get_all(X_FORWARDED_FOR) {
            list.put_slice(value.as_bytes());
            list.put_slice(b", ");
        }
        list.put_slice(peer.as_bytes());
        HeaderValue::from_maybe_shared(list.freeze()).ok()
    }

    fn say_how_it_was_reached(&self, headers: &mut HeaderMap) {
        let forwarded_for = self.forwarded_for(headers);
        insert_or_remove(headers, &X_FORWARDED_FOR, forwarded_for);
        if !headers.contains_key(X_FORWARDED_HOST) {
            insert_or_remove(headers, &X_FORWARDED_HOST, HeaderValue::from_str(self.host).ok());
        }
        headers.entry(X_FORWARDED_PROTO).or_insert(HeaderValue::from_static(if self.peer.is_secure() {
            "https"
        } else {
            "http"
        }));
        if self.route.preserve_host {
            insert_or_remove(headers, &HOST, HeaderValue::from_str(self.host).ok());
        } else {
            headers.insert(HOST, self.authority.clone());
        }
        headers.append(VIA, via(self.version));
        headers.insert(X_REQUEST_ID, self.id.header());
        if !headers.get(TRACEPARENT).is_some_and(is_traceparent) || headers.get_all(TRACEPARENT).iter().count() > 1 {
            headers.insert(TRACEPARENT, traceparent());
            headers.remove(TRACESTATE); // it belongs to the trace that was not taken over
        }
    }
}

/// Makes the browser's answer header of the upstream's.
pub(crate) fn answer(
    headers: &mut HeaderMap,
    route: &RouteConfig,
    cookie: SessionCookie,
    version: Version,
    request_origin: Option<&HeaderValue>,
    origins: &Origins,
) {
    strip_hop_by_hop(headers);
    strip_set_cookie(headers, cookie);
    headers.append(VIA, via(version));
    if route.access != RouteAccess::Public {
        keep_private(headers);
        let may_read =
            request_origin.is_none_or(|from| origins.is_public(from.as_bytes()) || origins.is_allowed(from.as_bytes()));
        // What a session answers is nobody else's to read, whatever the upstream says of other origins.
        if !may_read || headers.get(ACCESS_CONTROL_ALLOW_ORIGIN).is_some_and(|origin| origin == "*") {
            headers.remove(ACCESS_CONTROL_ALLOW_ORIGIN);
            headers.remove(ACCESS_CONTROL_ALLOW_CREDENTIALS);
        }
    }
    for name in &route.remove_response_headers {
        headers.remove(name);
    }
    for (name, value) in &route.add_response_headers {
        headers.insert(name, value.clone());
    }
}

/// Makes an answer one that only its own browser may keep: nothing is shared, and nothing is kept unless the upstream
/// says how.
fn keep_private(headers: &mut HeaderMap) {
    let shared = ["cdn-cache-control", "surrogate-control", "cloudflare-cdn-cache-control"];
    remove_where(headers, |name| shared.contains(&name.as_str()));
    if !headers.contains_key(CACHE_CONTROL) {
        // Without a word from the upstream the browser may keep the answer, but asks before each use.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
        return;
    }
    let mut kept = Vec::new();
    for value in headers.get_all(CACHE_CONTROL) {
        let text = String::from_utf8_lossy(value.as_bytes()).into_owned();
        let directives = text.split(',').map(|directive| directive.trim().to_owned());
        kept.extend(directives.filter(|directive| {
            let name = directive.split('=').next().unwrap_or_default().trim().to_ascii_lowercase();
            !matches!(name.as_str(), "" | "public" | "private" | "s-maxage" | "proxy-revalidate")
        }));
    }
    let rest = if kept.is_empty() { "no-cache".to_owned() } else { kept.join(", ") };
    let value = HeaderValue::try_from(format!("private, {rest}"));
    headers.insert(CACHE_CONTROL, value.unwrap_or(HeaderValue::from_static("private, no-store")));
}

/// The protocol that a request wants the connection changed to; `None` when it wants nothing of the kind.
pub(crate) fn upgrade(headers: &HeaderMap, version: Version) -> Option<HeaderValue> {
    let wanted = headers.get_all(CONNECTION).iter().any(|value| lists(value, "upgrade"));
    let mut protocols = headers.get_all(UPGRADE).iter();
    match (protocols.next(), protocols.next()) {
        // A change to HTTP/2 is between two neighbours only, and obsolete (RFC 9113, section 3.1).
        (Some(protocol), None) if wanted && version == Version::HTTP_11 && !lists(protocol, "h2c") => {
            Some(protocol.clone())
        }
        _ => None,
    }
}

/// Takes out what concerns one connection only.
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let nominated: Vec<HeaderName> = headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        // These say where a message ends and where it goes: no connection option can take them away.
        .filter(|name| ![CONTENT_LENGTH, TRANSFER_ENCODING, HOST].contains(name))
        .collect();
    remove_where(headers, |name| HOP_BY_HOP.contains(&name.as_str()) || nominated.contains(name));
}

/// Takes fields out by their names: one look at each that is there, instead of a search for each that might be.
fn remove_where(headers: &mut HeaderMap, is_doomed: impl Fn(&HeaderName) -> bool) {
    let doomed: Vec<_> = headers.keys().filter(|name| is_doomed(name)).cloned().collect();
    for name in doomed {
        headers.remove(name);
    }
}

/// Takes our cookie out of the peer's, and leaves the others as they are, byte for byte.
fn strip_cookie(headers: &mut HeaderMap, name: &str) {
    let is_ours = |(cookie, _): (&[u8], Option<&[u8]>)| cookie == name.as_bytes();
    let mut lines = headers.get_all(COOKIE).iter();
    match (lines.next(), lines.next()) {
        (None, _) => return,
        (Some(only), None) if !cookie::pairs(only).any(is_ours) => return,
        (Some(only), None) if cookie::pairs(only).all(is_ours) => return drop(headers.remove(COOKIE)),
        _ => {}
    }
    let lines: Vec<_> = headers.get_all(COOKIE).iter().cloned().collect();
    let mut kept = BytesMut::new();
    for line in &lines {
        let texts = line.as_bytes().split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        for ((cookie, _), text) in cookie::pairs(line).zip(texts) {
            if cookie != name.as_bytes() && !text.is_empty() {
                kept.put_slice(if kept.is_empty() { b"" } else { b"; " });
                kept.put_slice(text);
            }
        }
    }
    headers.remove(COOKIE);
    if let (false, Ok(mut value)) = (kept.is_empty(), HeaderValue::from_maybe_shared(kept.freeze())) {
        value.set_sensitive(true);
        headers.insert(COOKIE, value);
    }
}

/// What a trailer may never say: how a message is framed or routed, and who is asking (RFC 9110, section 6.5.1).
const NEVER_IN_TRAILERS: [HeaderName; 14] = [
    AUTHORIZATION,
    CACHE_CONTROL,
    CONTENT_ENCODING,
    CONTENT_LENGTH,
    CONTENT_RANGE,
    CONTENT_TYPE,
    COOKIE,
    EXPECT,
    HOST,
    SET_COOKIE,
    TE,
    TRAILER,
    UPGRADE,
    VIA,
];

/// Takes out of trailers what must stand in a header or nowhere; `own` is what only we say on this route.
pub(crate) fn clean_trailers(trailers: &mut HeaderMap, own: &[HeaderName]) {
    strip_hop_by_hop(trailers);
    let is_bad = |name: &&HeaderName| {
        let text = name.as_str();
        NEVER_IN_TRAILERS.contains(name) || own.contains(name) || text.contains('_') || is_about_the_asker(text)
    };
    remove_where(trailers, |name| is_bad(&name));
}

/// The names that only we say on a route.
pub(crate) fn own_names(route: &RouteConfig) -> impl Iterator<Item = &HeaderName> {
    route.token_header.iter().chain(&route.user_header).chain(route.claim_headers.iter().map(|(name, _)| name))
}

/// Whether upstreams may believe a header of this name about who is asking.
pub(crate) fn is_about_the_asker(name: &str) -> bool {
    IDENTITY.contains(&name) || IDENTITY_PREFIXES.iter().any(|front| name.starts_with(front))
}

/// Drops an upstream's cookies that bear our name: only a login gives a session.
fn strip_set_cookie(headers: &mut HeaderMap, cookie: SessionCookie) {
    let is_ours = |value: &HeaderValue| {
        let end = value.as_bytes().iter().position(|byte| matches!(byte, b'=' | b';')).unwrap_or(value.len());
        value.as_bytes()[..end].trim_ascii() == cookie.name().as_bytes()
    };
    if !headers.get_all(SET_COOKIE).iter().any(is_ours) {
        return;
    }
    let kept: Vec<_> = headers.get_all(SET_COOKIE).iter().filter(|value| !is_ours(value)).cloned().collect();
    headers.remove(SET_COOKIE);
    for value in kept {
        headers.append(SET_COOKIE, value);
    }
}

/// RFC 9110, section 7.6.3.
fn via(version: Version) -> HeaderValue {
    HeaderValue::from_static(match version {
        Version::HTTP_10 => "1.0 authproxy",
        Version::HTTP_2 => "2 authproxy",
        _ => "1.1 authproxy",
    })
}

fn insert_or_remove(headers: &mut HeaderMap, name: &HeaderName, value: Option<HeaderValue>) {
    match value {
        Some(value) => drop(headers.insert(name, value)),
        None => drop(headers.remove(name)),
    }
}

/// What a gateway says of the way behind it.
fn is_of_a_gateway(name: &str) -> bool {
    matches!(
        name,
        "x-forwarded-for" | "x-forwarded-host" | "x-forwarded-proto" | "x-forwarded-port" | "x-real-ip" | "forwarded"
    )
}

/// Whether a comma-separated list names `word`.
fn lists(value: &HeaderValue, word: &str) -> bool {
    value.as_bytes().split(|byte| *byte == b',').any(|item| {
        let end = item.iter().position(|byte| *byte == b';').unwrap_or(item.len());
        item[..end].trim_ascii().eq_ignore_ascii_case(word.as_bytes())
    })
}

/// W3C Trace Context, section 3.2.2, version 00.
fn is_traceparent(value: &HeaderValue) -> bool {
    let bytes = value.as_bytes();
    let hex = |part: &[u8]| part.iter().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    let zero = |part: &[u8]| part.iter().all(|byte| *byte == b'0');
    bytes.len() == 55
        && bytes.starts_with(b"00-")
        && (bytes[35], bytes[52]) == (b'-', b'-')
        && hex(&bytes[3..35])
        && hex(&bytes[36..52])
        && hex(&bytes[53..])
        && !zero(&bytes[3..35])
        && !zero(&bytes[36..52])
}

#[cfg(test)]
mod tests;
