//! The one table of what a route can say. The reader, `print-config` and the README are held against it.

use http::HeaderValue;

use super::{
    super::{
        field::{Field, put, quoted, quoted_list},
        keys::rows,
        load::Shown,
        mistake::Refusal,
        raw::Raw,
    },
    RouteAccess, RouteConfig,
    value::{
        quoted_pairs, read_claims, read_header, read_headers, read_host, read_methods, read_prefix, read_upstream,
        read_values,
    },
};

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const GIB: u64 = 1 << 30;

const PATH: &str = "a path such as /api, without escapes, dots and empty segments";
const HEADER: &str = "a header name, such as X-User";
const HEADERS: &str = "a list of header names";
const VALUES: &str = "a table of header names and texts, such as { X-Api = \"2\" }";

/// One key of a route.
pub struct RouteKey {
    /// As the file writes it: `strip_prefix`.
    pub name: &'static str,
    /// As it would be written; empty where nothing is set.
    pub default: &'static str,
    /// What it does, in a sentence without its full stop.
    pub about: &'static str,
    kind: Kind,
}

enum Kind {
    /// As other parts of the configuration have them.
    Plain(Field<RouteConfig>),
    /// What it takes, and how it is read.
    Own(&'static str, fn(&Raw, &mut RouteConfig) -> Result<Shown, Refusal>),
}

impl RouteKey {
    const fn new(name: &'static str, default: &'static str, about: &'static str, kind: Kind) -> Self {
        Self { name, default, about, kind }
    }

    /// What it takes, such as `true or false`.
    pub fn allowed(&self) -> String {
        match &self.kind {
            Kind::Plain(field) => field.allowed(),
            Kind::Own(allowed, _) => (*allowed).into(),
        }
    }

    /// Reads a value into the route, which stays as it was when the value is refused.
    pub(super) fn apply(&self, raw: &Raw, route: &mut RouteConfig) -> Result<Shown, Refusal> {
        match &self.kind {
            Kind::Plain(field) => field.apply(raw, route),
            Kind::Own(_, read) => read(raw, route),
        }
    }
}

/// Every key of a route, in the order of the documentation.
pub static ROUTE_KEYS: &[RouteKey] = &[
    RouteKey::new(
        "prefix",
        "",
        "the paths it serves: this one and those below it; required; the longest prefix wins",
        Kind::Own(PATH, |raw, route| Ok(put(&mut route.prefix, read_prefix(raw)?, |prefix| quoted(prefix)))),
    ),
    RouteKey::new(
        "host",
        "",
        "the host it serves, when not every one; wins over a route for every host with the same prefix",
        Kind::Own("a host name without a port", |raw, route| {
            let host = read_host(raw)?;
            Ok(put(&mut route.host, Some(host.clone()), |_| quoted(&host)))
        }),
    ),
    RouteKey::new(
        "upstream",
        "",
        "where the resource server is; required",
        Kind::Own("an http or https URL, such as http://127.0.0.1:9000, or unix:/path/to/socket", |raw, route| {
            Ok(put(&mut route.upstream, read_upstream(raw)?, |url| quoted(&url.to_string())))
        }),
    ),
    RouteKey::new(
        "upstream_ca",
        "",
        "PEM file with the authorities that an https upstream's certificate must come from; when not set, the system's",
        Kind::Plain(Field::File(|r| &mut r.upstream_ca)),
    ),
    RouteKey::new(
        "strip_prefix",
        "false",
        "whether the upstream gets the path without the prefix",
        Kind::Plain(Field::Switch(|r| &mut r.strip_prefix)),
    ),
    RouteKey::new(
        "rewrite_prefix",
        "",
        "what the upstream gets instead of the prefix",
        Kind::Own(PATH, |raw, route| {
            let prefix = read_prefix(raw)?;
            Ok(put(&mut route.rewrite_prefix, Some(prefix.clone()), |_| quoted(&prefix)))
        }),
    ),
    RouteKey::new(
        "access",
        "session",
        "who may call it: those with a session, those who bring a Bearer token, or everyone",
        Kind::Plain(Field::OneOf(&[
            ("session", |r| r.access = RouteAccess::Session),
            ("bearer", |r| r.access = RouteAccess::Bearer),
            ("public", |r| r.access = RouteAccess::Public),
        ])),
    ),
    RouteKey::new(
        "methods",
        "",
        "the methods it serves; when not set, all of them",
        Kind::Own("a list of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS", |raw, route| {
            Ok(put(&mut route.methods, read_methods(raw)?, |list| quoted_list(list)))
        }),
    ),
    RouteKey::new(
        "preserve_host",
        "false",
        "whether the upstream gets the browser's Host instead of its own",
        Kind::Plain(Field::Switch(|r| &mut r.preserve_host)),
    ),
    RouteKey::new(
        "login_page",
        "",
        "where a navigation without a session is sent; other requests, and all when it is not set, get 401",
        Kind::Plain(Field::LoginPage(|r| &mut r.login_page)),
    ),
    RouteKey::new(
        "token_header",
        "",
        "the header that carries the access token, bare; when not set, Authorization, as Bearer",
        Kind::Own("a header name, such as X-Access-Token", |raw, route| {
            let name = read_header(raw)?;
            Ok(put(&mut route.token_header, Some(name.clone()), |_| quoted(name.as_str())))
        }),
    ),
    RouteKey::new(
        "user_header",
        "",
        "the header that carries the user's name",
        Kind::Own(HEADER, |raw, route| {
            let name = read_header(raw)?;
            Ok(put(&mut route.user_header, Some(name.clone()), |_| quoted(name.as_str())))
        }),
    ),
    RouteKey::new(
        "claim_headers",
        "",
        "headers that carry a claim of a JWT access token, which is not checked",
        Kind::Own("a table of header names and claims, such as { X-Email = \"email\" }", |raw, route| {
            Ok(put(&mut route.claim_headers, read_claims(raw)?, |list| {
                quoted_pairs(list.iter().map(|(name, claim)| (name, claim.as_str())))
            }))
        }),
    ),
    RouteKey::new(
        "add_request_headers",
        "",
        "headers that the upstream gets instead of the browser's own; the values are kept secret",
        Kind::Own(VALUES, |raw, route| {
            let mut values = read_values(raw)?;
            for (_, value) in &mut values {
                value.set_sensitive(true);
            }
            Ok(put(&mut route.add_request_headers, values, |_| Shown::Masked))
        }),
    ),
    RouteKey::new(
        "remove_request_headers",
        "",
        "headers of the browser that the upstream does not get",
        Kind::Own(HEADERS, |raw, route| {
            Ok(put(&mut route.remove_request_headers, read_headers(raw)?, |list| quoted_list(list)))
        }),
    ),
    RouteKey::new(
        "underscore_headers",
        "",
        "headers of the browser with an underscore in their name that the upstream gets; others are dropped, for many \
         servers read _ as -",
        Kind::Own(HEADERS, |raw, route| {
            Ok(put(&mut route.underscore_headers, read_headers(raw)?, |list| quoted_list(list)))
        }),
    ),
    RouteKey::new(
        "add_response_headers",
        "",
        "headers that the browser gets instead of the upstream's own",
        Kind::Own(VALUES, |raw, route| {
            Ok(put(&mut route.add_response_headers, read_values(raw)?, |list| {
                let text = HeaderValue::to_str;
                quoted_pairs(list.iter().map(|(name, value)| (name, text(value).unwrap_or_default())))
            }))
        }),
    ),
    RouteKey::new(
        "remove_response_headers",
        "",
        "headers of the upstream that the browser does not get",
        Kind::Own(HEADERS, |raw, route| {
            Ok(put(&mut route.remove_response_headers, read_headers(raw)?, |list| quoted_list(list)))
        }),
    ),
    RouteKey::new(
        "connect_timeout",
        "2s",
        "for connecting to the upstream, TLS included, and for waiting for a free connection",
        Kind::Plain(Field::Duration(1..=5 * MINUTE, |r| &mut r.connect_timeout)),
    ),
    RouteKey::new(
        "first_byte_timeout",
        "30s",
        "from the end of the request to the first byte of the upstream's answer",
        Kind::Plain(Field::Duration(1..=HOUR, |r| &mut r.first_byte_timeout)),
    ),
    RouteKey::new(
        "idle_timeout",
        "5m",
        "the longest silence inside a body, in either direction, and of a tunnel",
        Kind::Plain(Field::Duration(1..=24 * HOUR, |r| &mut r.idle_timeout)),
    ),
    RouteKey::new(
        "body_limit",
        "10MiB",
        "the most bytes of a request's body",
        Kind::Plain(Field::Size(0..=1024 * GIB, |r| &mut r.body_limit)),
    ),
    RouteKey::new(
        "max_connections",
        "512",
        "the most connections to the upstream at once",
        Kind::Plain(Field::Count(1..=100_000, |r| &mut r.max_connections)),
    ),
];

/// The table for the README, in Markdown.
pub fn markdown() -> String {
    rows(ROUTE_KEYS.iter().map(|key| [format!("`{}`", key.name), key.default.into(), key.about.into(), key.allowed()]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::UpstreamUrl;

    #[test]
    fn the_table_holds_the_defaults_of_the_code() {
        let default = RouteConfig::new("/", UpstreamUrl::nowhere());
        let mut route = default.clone();
        for key in ROUTE_KEYS.iter().filter(|key| !key.default.is_empty()) {
            let applied = key.apply(&Raw::loose(key.default), &mut route);
            assert_eq!(route, default, "{}: {:?}", key.name, applied.err());
        }
    }

    #[test]
    fn the_readmes_table_has_one_row_for_each_key() {
        let table = markdown();
        assert_eq!(table.lines().count(), 2 + ROUTE_KEYS.len());
        assert!(table.lines().all(|row| row.matches('|').count() == 5), "{table}");
    }
}
