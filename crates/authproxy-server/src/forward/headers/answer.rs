//! The browser's answer header, made of the upstream's.

use http::{
    HeaderMap, HeaderValue, Version,
    header::{ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_ORIGIN, CACHE_CONTROL, ORIGIN, SET_COOKIE, VIA},
};

use super::{HOP_BY_HOP, remove_where, strip_hop_by_hop, via};
use crate::{
    config::{RouteAccess, RouteConfig},
    cookie::SessionCookie,
    origin::Origins,
};

/// Which of the fields that are looked at one by one are there. One look at all names costs less than a search for each.
#[derive(Default)]
#[expect(clippy::struct_excessive_bools, reason = "each says that one is there")]
struct There {
    of_one_hop: bool,
    set_cookie: bool,
    caching: bool,
    other_origins: bool,
}

impl There {
    fn among(upstreams: &HeaderMap) -> Self {
        let mut there = Self::default();
        for name in upstreams.keys() {
            match name.as_str() {
                "set-cookie" => there.set_cookie = true,
                "access-control-allow-origin" | "access-control-allow-credentials" => there.other_origins = true,
                "cache-control" => there.caching = true,
                other if is_for_shared_caches(other) => there.caching = true,
                other => there.of_one_hop |= HOP_BY_HOP.contains(&other),
            }
        }
        there
    }
}

/// Makes the browser's answer header of the upstream's; `request` is the browser's.
pub(crate) fn answer(
    headers: &mut HeaderMap,
    route: &RouteConfig,
    cookie: SessionCookie,
    version: Version,
    request: &HeaderMap,
    origins: &Origins,
) {
    let there = There::among(headers);
    if there.of_one_hop {
        strip_hop_by_hop(headers);
    }
    if there.set_cookie {
        strip_set_cookie(headers, cookie);
    }
    headers.append(VIA, via(version));
    if route.access != RouteAccess::Public {
        keep_private(headers, there.caching);
        if there.other_origins {
            keep_from_others(headers, request.get(ORIGIN), origins);
        }
    }
    for name in &route.remove_response_headers {
        headers.remove(name);
    }
    for (name, value) in &route.add_response_headers {
        headers.insert(name, value.clone());
    }
}

/// What a session answers is nobody else's to read, whatever the upstream says of other origins.
fn keep_from_others(headers: &mut HeaderMap, request_origin: Option<&HeaderValue>, origins: &Origins) {
    let may_read =
        request_origin.is_none_or(|from| origins.is_public(from.as_bytes()) || origins.is_allowed(from.as_bytes()));
    if !may_read || headers.get(ACCESS_CONTROL_ALLOW_ORIGIN).is_some_and(|origin| origin == "*") {
        headers.remove(ACCESS_CONTROL_ALLOW_ORIGIN);
        headers.remove(ACCESS_CONTROL_ALLOW_CREDENTIALS);
    }
}

/// Makes an answer one that only its own browser may keep: nothing is shared, and nothing is kept unless the upstream
/// says how.
fn keep_private(headers: &mut HeaderMap, has_word: bool) {
    if !has_word {
        // Without a word from the upstream the browser may keep the answer, but asks before each use.
        headers.insert(CACHE_CONTROL, HeaderValue::from_static("private, no-cache"));
        return;
    }
    remove_where(headers, |name| is_for_shared_caches(name.as_str()));
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

/// Whether a field is `Cache-Control` in other words, for some caches only (RFC 9213 and those before it).
fn is_for_shared_caches(name: &str) -> bool {
    name.ends_with("-cache-control") || matches!(name, "surrogate-control" | "edge-control" | "x-accel-expires")
}

/// Drops an upstream's cookies that bear our name: only a login gives a session.
fn strip_set_cookie(headers: &mut HeaderMap, cookie: SessionCookie) {
    let is_ours = |value: &HeaderValue| {
        // A browser sends the value of a cookie without a name as it is: that of `=name=value` comes back as ours.
        let is_front = |byte: &u8| matches!(byte, b'=' | b' ' | b'\t');
        let start = value.as_bytes().iter().position(|byte| !is_front(byte)).unwrap_or(value.len());
        let pair = &value.as_bytes()[start..];
        let end = pair.iter().position(|byte| matches!(byte, b'=' | b';')).unwrap_or(pair.len());
        pair[..end].trim_ascii() == cookie.name().as_bytes()
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
