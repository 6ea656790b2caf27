//! Which header fields cross the proxy. In each direction: hop-by-hop fields go first, so that no peer can name
//! ours in `Connection` and have them taken away; then what only we may say; then ours are added.

use authproxy_core::manager::ReadyToken;
use bytes::{BufMut, BytesMut};
use http::{
    HeaderMap, HeaderName, HeaderValue, Version,
    header::{
        AUTHORIZATION, CACHE_CONTROL, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE,
        COOKIE, EXPECT, HOST, SET_COOKIE, TE, TRAILER, TRANSFER_ENCODING, UPGRADE, VIA,
    },
};

mod answer;
mod names;
mod value;

pub(crate) use self::{answer::answer, names::Names, value::Value};
use super::claims;
use crate::{
    config::{RouteAccess, RouteConfig},
    cookie::{self, SessionCookie},
    http1::fields,
    service::Peer,
    telemetry::{RequestId, TRACEPARENT, X_REQUEST_ID, has_trace, traceparent},
};

const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
const TRACESTATE: HeaderName = HeaderName::from_static("tracestate");
const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");

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
const IDENTITY: [&str; 7] =
    ["forwarded", "x-real-ip", "remote-user", "client-cert", "client-cert-chain", "x-remote-user", "x-user"];
const IDENTITY_PREFIXES: [&str; 5] = ["x-forwarded-", "x-original-", "x-auth-request-", "x-user-", "x-client-cert"];

/// What a request is forwarded with.
pub(crate) struct Onward<'a> {
    pub(crate) route: &'a RouteConfig,
    /// What only we say about who is asking, on whichever route.
    pub(crate) own_names: &'a Names,
    pub(crate) cookie: SessionCookie,
    pub(crate) peer: &'a Peer,
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

/// Which of the fields that are looked at one by one are there. One look at all names costs less than a search for each.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each says that one is there")]
struct There {
    connection: bool,
    te: bool,
    trace: bool,
    forwarded_for: bool,
}

impl There {
    fn among(browsers: &HeaderMap) -> Self {
        let mut there = Self::default();
        for name in browsers.keys() {
            match name.as_str() {
                "connection" => there.connection = true,
                "te" => there.te = true,
                "traceparent" => there.trace = true,
                "x-forwarded-for" => there.forwarded_for = true,
                _ => {}
            }
        }
        there
    }
}

impl Onward<'_> {
    /// Says every field of the upstream's request header, made of the browser's; not what delimits a body.
    pub(crate) fn request(
        &self,
        browsers: &HeaderMap,
        token: Option<&ReadyToken>,
        say: &mut dyn FnMut(&HeaderName, Value<'_>),
    ) {
        let route = self.route;
        let there = There::among(browsers);
        let nominated = if there.connection { nominated(browsers) } else { Vec::new() };
        let crosses = |name: &HeaderName| !is_of_one_hop(name, &nominated) && !self.is_ours_to_say(name);
        let keeps_trace = there.trace && crosses(&TRACEPARENT) && has_trace(browsers);
        let is_routes_own = |name: &HeaderName| {
            route.remove_request_headers.contains(name) || route.add_request_headers.iter().any(|(own, _)| own == name)
        };
        let (mut has_host, mut has_proto) = (false, false);
        for (name, value) in browsers {
            match name.as_str() {
                // Said below. What is expected is answered here, as soon as the body is wanted.
                "host" | "te" | "expect" | "content-length" | "cookie" | "x-forwarded-for" | "x-request-id" => continue,
                "traceparent" | "tracestate" if !keeps_trace => continue,
                _ if !crosses(name) => continue,
                "x-forwarded-host" => has_host = true,
                "x-forwarded-proto" => has_proto = true,
                _ => {}
            }
            if !is_routes_own(name) {
                say(name, Value::Kept(value));
            }
        }
        let mut ours = |name: &HeaderName, value: Option<&HeaderValue>| {
            if let Some(value) = value.filter(|_| !is_routes_own(name)) {
                say(name, Value::Kept(value));
            }
        };
        ours(&COOKIE, cookies_of_others(browsers, self.cookie.name()).filter(|_| crosses(&COOKIE)).as_ref());
        let asked_for = HeaderValue::from_str(self.host).ok();
        ours(&HOST, if route.preserve_host { asked_for.as_ref() } else { Some(self.authority) });
        let gateways = Some(browsers).filter(|_| there.forwarded_for && crosses(&X_FORWARDED_FOR));
        ours(&X_FORWARDED_FOR, self.forwarded_for(gateways).as_ref());
        ours(&X_FORWARDED_HOST, asked_for.as_ref().filter(|_| !has_host));
        let scheme = HeaderValue::from_static(if self.peer.is_secure() { "https" } else { "http" });
        ours(&X_FORWARDED_PROTO, Some(&scheme).filter(|_| !has_proto));
        ours(&VIA, Some(&via(self.version)));
        ours(&X_REQUEST_ID, Some(self.id.header()));
        if !keeps_trace {
            ours(&TRACEPARENT, Some(&traceparent()));
        }
        if there.te && browsers.get_all(TE).iter().any(|value| fields::lists(value, "trailers")) {
            ours(&TE, Some(&HeaderValue::from_static("trailers")));
        }
        if let Some(protocol) = self.upgrade {
            ours(&CONNECTION, Some(&HeaderValue::from_static("upgrade")));
            ours(&UPGRADE, Some(protocol));
        }
        let mut said = Vec::new();
        if let Some(token) = token {
            self.identity(token, &mut |name, value| {
                said.extend((!route.add_request_headers.is_empty()).then(|| name.clone()));
                say(name, value);
            });
        }
        for (name, value) in route.add_request_headers.iter().filter(|(name, _)| !said.contains(name)) {
            say(name, Value::Kept(value));
        }
    }

    /// Says who is asking.
    fn identity(&self, token: &ReadyToken, say: &mut dyn FnMut(&HeaderName, Value<'_>)) {
        let route = self.route;
        match &route.token_header {
            None => say(&AUTHORIZATION, Value::Authorization(token)),
            Some(name) if *name == AUTHORIZATION => say(name, Value::Authorization(token)),
            Some(name) => say(name, Value::Kept(&claims::bare(token))),
        }
        if let Some(name) = &route.user_header
            && let Some(user) = claims::text(token.user())
        {
            say(name, Value::Kept(&user));
        }
        if !route.claim_headers.is_empty() {
            let claims = claims::of(token);
            for (name, claim) in &route.claim_headers {
                if let Some(value) = claims.header(claim) {
                    say(name, Value::Kept(&value));
                }
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
            return !route.underscore_headers.contains(name) || self.own_names.contain_spelled(name);
        }
        let is_believed = self.peer_is_trusted && is_of_a_gateway(text);
        self.own_names.contain(name) || (is_about_the_asker(text) && !is_believed)
    }

    /// Whoever a believed gateway speaks for, and the peer.
    fn forwarded_for(&self, gateways: Option<&HeaderMap>) -> Option<HeaderValue> {
        let peer = self.peer.forwarded_for();
        let Some(headers) = gateways else {
            return Some(peer.clone());
        };
        let mut list = BytesMut::new();
        for value in headers.get_all(X_FORWARDED_FOR) {
            list.put_slice(value.as_bytes());
            list.put_slice(b", ");
        }
        list.put_slice(peer.as_bytes());
        HeaderValue::from_maybe_shared(list.freeze()).ok()
    }
}

/// The protocol that a request wants the connection changed to; `None` when it wants nothing of the kind.
pub(crate) fn upgrade(headers: &HeaderMap, version: Version) -> Option<HeaderValue> {
    let mut protocols = headers.get_all(UPGRADE).iter();
    let is_wanted = || headers.get_all(CONNECTION).iter().any(|value| fields::lists(value, "upgrade"));
    match (protocols.next(), protocols.next()) {
        // A change to HTTP/2 is between two neighbours only, and obsolete (RFC 9113, section 3.1).
        (Some(protocol), None) if version == Version::HTTP_11 && !fields::lists(protocol, "h2c") && is_wanted() => {
            Some(protocol.clone())
        }
        _ => None,
    }
}

/// Takes out what concerns one connection only.
pub(crate) fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let nominated = nominated(headers);
    remove_where(headers, |name| is_of_one_hop(name, &nominated));
}

/// Takes out of an answer before the answer what no answer may carry, and what is not the browser's.
pub(crate) fn clean_interim(headers: &mut HeaderMap) {
    headers.remove(SET_COOKIE);
    strip_hop_by_hop(headers);
}

/// What `Connection` says is for one connection only (RFC 9110, section 7.6.1).
fn nominated(headers: &HeaderMap) -> Vec<HeaderName> {
    headers
        .get_all(CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|byte| *byte == b','))
        .filter_map(|name| HeaderName::from_bytes(name.trim_ascii()).ok())
        // These say where a message ends, where it goes, and who may send it: no connection option can take them away.
        .filter(|name| ![CONTENT_LENGTH, TRANSFER_ENCODING, HOST, AUTHORIZATION].contains(name))
        .collect()
}

fn is_of_one_hop(name: &HeaderName, nominated: &[HeaderName]) -> bool {
    HOP_BY_HOP.contains(&name.as_str()) || nominated.contains(name)
}

/// Takes fields out by their names: one look at each that is there, instead of a search for each that might be.
fn remove_where(headers: &mut HeaderMap, is_doomed: impl Fn(&HeaderName) -> bool) {
    let doomed: Vec<_> = headers.keys().filter(|name| is_doomed(name)).cloned().collect();
    for name in doomed {
        headers.remove(name);
    }
}

/// The peer's cookies without ours, byte for byte; `None` when there are no others.
fn cookies_of_others(headers: &HeaderMap, name: &str) -> Option<HeaderValue> {
    let is_ours = |(cookie, _): (&[u8], Option<&[u8]>)| cookie == name.as_bytes();
    let mut lines = headers.get_all(COOKIE).iter();
    match (lines.next()?, lines.next()) {
        (only, None) if !cookie::pairs(only).any(is_ours) => return Some(only.clone()),
        (only, None) if cookie::pairs(only).all(is_ours) => return None,
        _ => {}
    }
    let mut kept = BytesMut::new();
    for line in headers.get_all(COOKIE) {
        let texts = line.as_bytes().split(|byte| *byte == b';').map(<[u8]>::trim_ascii);
        for (pair, text) in cookie::pairs(line).zip(texts) {
            if !is_ours(pair) && !text.is_empty() {
                kept.put_slice(if kept.is_empty() { b"" } else { b"; " });
                kept.put_slice(text);
            }
        }
    }
    let mut value = HeaderValue::from_maybe_shared(kept.freeze()).ok().filter(|value| !value.is_empty())?;
    value.set_sensitive(true);
    Some(value)
}

/// What a trailer may never say: how a message is framed, routed and traced, and who is asking (RFC 9110, section 6.5.1).
const NEVER_IN_TRAILERS: [HeaderName; 17] = [
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
    TRACEPARENT,
    TRACESTATE,
    UPGRADE,
    VIA,
    X_REQUEST_ID,
];

/// Takes out of trailers what must stand in a header or nowhere; `own` is what only we say there.
pub(crate) fn clean_trailers(trailers: &mut HeaderMap, own: &Names) {
    strip_hop_by_hop(trailers);
    let is_bad = |name: &&HeaderName| {
        let text = name.as_str();
        NEVER_IN_TRAILERS.contains(name) || own.contain(name) || text.contains('_') || is_about_the_asker(text)
    };
    remove_where(trailers, |name| is_bad(&name));
}

/// Whether upstreams may believe a header of this name about who is asking.
pub(crate) fn is_about_the_asker(name: &str) -> bool {
    IDENTITY.contains(&name) || IDENTITY_PREFIXES.iter().any(|front| name.starts_with(front))
}

/// RFC 9110, section 7.6.3.
fn via(version: Version) -> HeaderValue {
    HeaderValue::from_static(match version {
        Version::HTTP_10 => "1.0 authproxy",
        Version::HTTP_2 => "2 authproxy",
        _ => "1.1 authproxy",
    })
}

/// What a gateway says of the way behind it.
fn is_of_a_gateway(name: &str) -> bool {
    matches!(
        name,
        "x-forwarded-for" | "x-forwarded-host" | "x-forwarded-proto" | "x-forwarded-port" | "x-real-ip" | "forwarded"
    )
}

#[cfg(test)]
mod tests;
