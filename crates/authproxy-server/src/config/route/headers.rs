//! Which headers a route may set and remove.

use http::{HeaderName, header::AUTHORIZATION};

use super::{RouteAccess, RouteConfig};
use crate::forward::is_about_the_asker;

/// What of a message a header belongs to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Side {
    Request,
    Response,
}

/// A header by its meaning to those who read `_` as `-` (CGI, WSGI): two such spellings are one header.
pub(super) fn normalised(name: &HeaderName) -> String {
    name.as_str().replace('_', "-")
}

/// Why no route may set a header, as the end of a sentence that begins with it.
pub(super) fn not_to_set(name: &HeaderName, side: Side) -> Option<&'static str> {
    not_to_touch(name).or(match (normalised(name).as_str(), side) {
        // An upstream would get it in place of the browser's own cookies.
        ("cookie", Side::Request) => Some("would replace the browser's cookies"),
        // One value for every browser, under any name, the session's included.
        ("set-cookie", Side::Response) => Some("would give every browser the same cookie"),
        _ => None,
    })
}

/// Why no route may remove a header, as the end of a sentence that begins with it.
///
/// `Cookie` and `Set-Cookie` may be removed: our own cookie never reaches an upstream, and is put into an answer after
/// the upstream's headers were changed.
pub(super) fn not_to_touch(name: &HeaderName) -> Option<&'static str> {
    match normalised(name).as_str() {
        "connection" | "http2-settings" | "keep-alive" | "te" | "trailer" | "transfer-encoding" | "upgrade" => {
            Some("belongs to one connection, which is authproxy's own")
        }
        name if name.starts_with("proxy-") => Some("belongs to one connection, which is authproxy's own"),
        "content-length" => Some("says where the body ends, which only its sender knows"),
        "host" => Some("is decided by preserve_host"),
        _ => None,
    }
}

/// Why no route may let a browser's header with an underscore through, as the end of a sentence that begins with it.
pub(super) fn not_to_let_through(name: &HeaderName) -> Option<&'static str> {
    let meant = normalised(name);
    if meant == name.as_str() {
        return Some("has no underscore, and needs no permission");
    }
    let is_identity = matches!(meant.as_str(), "authorization" | "cookie") || is_about_the_asker(&meant);
    not_to_touch(name).or(is_identity.then_some("would say who is asking, to servers that read _ as -"))
}

/// The request headers that a route sets itself, each with the key that says so, in the order in which they count.
pub(super) fn set_by(route: &RouteConfig) -> Vec<(&'static str, &HeaderName)> {
    let token = match route.access {
        RouteAccess::Session => route.token_header.as_ref().or(Some(&AUTHORIZATION)),
        RouteAccess::Bearer => Some(&AUTHORIZATION),
        RouteAccess::Public => None,
    };
    let tokens = token.map(|name| ("token_header", name));
    let users = route.user_header.as_ref().map(|name| ("user_header", name));
    let claims = route.claim_headers.iter().map(|(name, _)| ("claim_headers", name));
    let added = route.add_request_headers.iter().map(|(name, _)| ("add_request_headers", name));
    tokens.into_iter().chain(users).chain(claims).chain(added).collect()
}
