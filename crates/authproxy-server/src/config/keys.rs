//! The one table of what can be configured. The loader, `print-config` and the README are held against it.

use std::fmt::Write as _;

use super::{Durability, LogFormat, LogLevel, TokenDelivery, field::Field};

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const YEAR: u64 = 365 * 24 * HOUR;

/// One key.
pub struct Key {
    /// As the file and `--set` write it: `tokens.access_ttl`.
    pub name: &'static str,
    /// As it would be written; empty where nothing is set.
    pub default: &'static str,
    /// What it does, in a sentence without its full stop.
    pub about: &'static str,
    pub(super) field: Field,
}

impl Key {
    const fn new(name: &'static str, default: &'static str, about: &'static str, field: Field) -> Self {
        Self { name, default, about, field }
    }

    /// The variable that sets it: `AUTHPROXY_TOKENS__ACCESS_TTL`.
    pub fn env_name(&self) -> String {
        format!("{ENV_PREFIX}{}", self.name.replace('.', "__").to_ascii_uppercase())
    }

    /// The key that names a file with the value instead, where the value may be a secret: `store.secrets_file`.
    pub fn file_key(&self) -> Option<String> {
        self.field.is_secret().then(|| format!("{}{FILE_SUFFIX}", self.name))
    }

    /// What it takes, such as `true or false`.
    pub fn allowed(&self) -> String {
        self.field.allowed()
    }

    /// Whether the value may be or hold a secret: it is never repeated.
    pub fn is_secret(&self) -> bool {
        self.field.is_secret()
    }
}

/// What every variable begins with, but for the seed's own `AUTH_URL`.
pub const ENV_PREFIX: &str = "AUTHPROXY_";
/// The variable that names the configuration file.
pub const CONFIG_ENV: &str = "AUTHPROXY_CONFIG";
/// The seed's variable; `AUTHPROXY_AUTH_URL` wins over it.
pub const AUTH_URL_ENV: &str = "AUTH_URL";
/// The key whose value is a list of tables.
pub(super) const ROUTE: &str = "route";
const FILE_SUFFIX: &str = "_file";

/// Every key, in the order of the documentation.
pub static KEYS: &[Key] = &[
    Key::new("listen", "127.0.0.1:8000", "where browsers and apps connect", Field::Address(|c| &mut c.listen)),
    Key::new(
        "admin.listen",
        "off",
        "where operators connect; not available in this version (later, `dev` will use 127.0.0.1:8001)",
        Field::AddressOrOff(|c| &mut c.admin.listen),
    ),
    Key::new(
        "auth_url",
        "",
        "the auth service's base URL; required by `serve`; also set by AUTH_URL",
        Field::BaseUrl(|c| &mut c.auth_url),
    ),
    Key::new(
        "public_url",
        "",
        "the origin under which browsers reach authproxy; when not set, http:// (https:// with tls.cert) and the address \
         of listen",
        Field::Origin(|c| &mut c.public_url),
    ),
    Key::new(
        "allow_insecure_http",
        "false",
        "lets the session cookie travel over plain HTTP to hosts other than this machine",
        Field::Switch(|c| &mut c.allow_insecure_http),
    ),
    Key::new(
        "allowed_origins",
        "",
        "other origins whose pages may send requests with the cookie and read the answers (CORS); browsers send it from the same site only",
        Field::Origins(|c| &mut c.allowed_origins),
    ),
    Key::new(
        "token_delivery",
        "auto",
        "who gets tokens in the body of an answer: everyone but browser pages, everyone, or nobody",
        Field::OneOf(&[
            ("auto", |c| c.token_delivery = TokenDelivery::Auto),
            ("body", |c| c.token_delivery = TokenDelivery::Body),
            ("cookie", |c| c.token_delivery = TokenDelivery::Cookie),
        ]),
    ),
    Key::new(
        "tokens.access_ttl",
        "2m",
        "the life of an access token whose service does not say; what `dev` issues",
        Field::Duration(1..=YEAR, |c| &mut c.tokens.access_ttl),
    ),
    Key::new(
        "tokens.refresh_ttl",
        "4m",
        "the life of a refresh token whose service does not say; what `dev` issues",
        Field::Duration(1..=YEAR, |c| &mut c.tokens.refresh_ttl),
    ),
    Key::new(
        "session.max_lifetime",
        "12h",
        "the longest life of a session, however often it is refreshed",
        Field::Duration(SECOND..=YEAR, |c| &mut c.session.max_lifetime),
    ),
    Key::new(
        "session.idle_timeout",
        "off",
        "how long a session lives without being used",
        Field::DurationOrOff(SECOND..=YEAR, |c| &mut c.session.idle_timeout),
    ),
    Key::new(
        "store.url",
        "memory:",
        "where sessions are kept: in this process, or in a Redis or Valkey that a fleet shares",
        Field::StoreUrl(|c| &mut c.store.url),
    ),
    Key::new(
        "store.capacity",
        "1000000",
        "the most sessions in memory; a full store refuses logins, it drops nobody",
        Field::Count(1..=100_000_000, |c| &mut c.store.capacity),
    ),
    Key::new(
        "store.secrets",
        "",
        "what seals sessions in Redis: the first seals, all open; required with Redis",
        Field::Secrets(|c| &mut c.store.secrets),
    ),
    Key::new(
        "store.near_ttl",
        "5s",
        "how long a copy of a session in Redis is used without asking, 0s for never; it bounds how late a logout on \
         another node is heard of when its message is lost",
        Field::Duration(0..=5 * MINUTE, |c| &mut c.store.near_ttl),
    ),
    Key::new(
        "store.stale_max",
        "60s",
        "how long a copy is used while Redis does not answer, as long as its access token lives",
        Field::Duration(0..=HOUR, |c| &mut c.store.stale_max),
    ),
    Key::new(
        "store.durability",
        "async",
        "when a write to Redis counts: when the primary has it, or a replica too",
        Field::OneOf(&[
            ("async", |c| c.store.durability = Durability::Async),
            ("replica", |c| c.store.durability = Durability::Replica),
        ]),
    ),
    Key::new(
        "store.wait",
        "off",
        "how long the start waits for Redis; off: a Redis that cannot be used at the start is an error",
        Field::DurationOrOff(SECOND..=24 * HOUR, |c| &mut c.store.wait),
    ),
    Key::new(
        "store.tls.ca",
        "",
        "PEM file with the authorities that are trusted for Redis; when not set, the system's",
        Field::File(|c| &mut c.store.tls.ca),
    ),
    Key::new(
        "store.tls.cert",
        "",
        "PEM file with the certificate that authproxy shows to Redis; together with store.tls.key",
        Field::File(|c| &mut c.store.tls.cert),
    ),
    Key::new(
        "store.tls.key",
        "",
        "PEM file with that certificate's private key",
        Field::File(|c| &mut c.store.tls.key),
    ),
    Key::new(
        "backend.connect_timeout",
        "2s",
        "for connecting to the auth service; by default never more than backend.timeout",
        Field::Duration(1..=5 * MINUTE, |c| &mut c.backend.connect_timeout),
    ),
    Key::new(
        "backend.timeout",
        "10s",
        "for a whole call to the auth service; by default never more than limits.request_timeout",
        Field::Duration(1..=5 * MINUTE, |c| &mut c.backend.timeout),
    ),
    Key::new(
        "backend.rotation",
        "strict",
        "what the auth service promises about a refresh token that is presented again",
        Field::Rotation(|c| &mut c.backend.rotation),
    ),
    Key::new(
        "limits.connections",
        "10000",
        "connections served at once; as many may wait to be accepted, where the system allows it",
        Field::Count(1..=1_000_000, |c| &mut c.limits.connections),
    ),
    Key::new(
        "limits.header_timeout",
        "10s",
        "from the first byte of a request to the end of its header",
        Field::Duration(1..=10 * MINUTE, |c| &mut c.limits.header_timeout),
    ),
    Key::new(
        "limits.body_timeout",
        "10s",
        "for a request's whole body",
        Field::Duration(1..=10 * MINUTE, |c| &mut c.limits.body_timeout),
    ),
    Key::new(
        "limits.request_timeout",
        "30s",
        "for a whole request",
        Field::Duration(1..=10 * MINUTE, |c| &mut c.limits.request_timeout),
    ),
    Key::new(
        "limits.idle_timeout",
        "75s",
        "how long an idle connection is kept",
        Field::Duration(1..=HOUR, |c| &mut c.limits.idle_timeout),
    ),
    Key::new(
        "limits.drain_timeout",
        "30s",
        "how long a shutdown waits for requests and refreshes",
        Field::Duration(0..=HOUR, |c| &mut c.limits.drain_timeout),
    ),
    Key::new(
        "log.format",
        "text",
        "lines for people, or one JSON object a line",
        Field::OneOf(&[("text", |c| c.log.format = LogFormat::Text), ("json", |c| c.log.format = LogFormat::Json)]),
    ),
    Key::new(
        "log.level",
        "info",
        "the least important level that is written",
        Field::OneOf(&[
            ("error", |c| c.log.level = LogLevel::Error),
            ("warn", |c| c.log.level = LogLevel::Warn),
            ("info", |c| c.log.level = LogLevel::Info),
            ("debug", |c| c.log.level = LogLevel::Debug),
            ("trace", |c| c.log.level = LogLevel::Trace),
        ]),
    ),
    Key::new(
        "tls.cert",
        "",
        "PEM file with the server's certificate and those that lead from it to an authority; together with tls.key",
        Field::File(|c| &mut c.tls.cert),
    ),
    Key::new("tls.key", "", "PEM file with the certificate's private key", Field::File(|c| &mut c.tls.key)),
    Key::new(
        "trusted_proxies",
        "",
        "the gateways whose X-Forwarded-* headers are believed; they must not pass browsers' requests for /auth/verify on",
        Field::Networks(|c| &mut c.trusted_proxies),
    ),
    Key::new(
        "verify.login_page",
        "",
        "where /auth/verify sends a navigation without a session, for gateways that pass a redirect on (not nginx)",
        Field::LoginPage(|c| &mut c.verify.login_page),
    ),
    // The last one: what follows a [[route]] in a file belongs to it.
    Key::new(ROUTE, "", "APIs behind the session: see Routes", Field::Routes),
];

/// The table for the README, in Markdown.
pub fn markdown() -> String {
    rows(KEYS.iter().map(|key| {
        let or_file = key.file_key().map_or_else(String::new, |file_key| format!(" (or `{file_key}`)"));
        [format!("`{}`{or_file}", key.name), key.default.into(), key.about.into(), key.allowed()]
    }))
}

/// A table of keys, each with its names in backticks, its default, its purpose and what it takes.
pub(super) fn rows(keys: impl Iterator<Item = [String; 4]>) -> String {
    let mut table = String::from("| key | default | what it is | allowed |\n|---|---|---|---|\n");
    for [names, default, about, allowed] in keys {
        let default = if default.is_empty() { "none".to_owned() } else { format!("`{default}`") };
        let row = [names, default, about, allowed];
        let _ = writeln!(table, "| {} |", row.join(" | ").replace('<', "&lt;")); // a String takes every write
    }
    table
}

/// A known key, and whether the name is that of the key for a file with its value.
pub(super) fn find(name: &str) -> Option<(&'static Key, bool)> {
    KEYS.iter().find_map(|key| match key.file_key() {
        _ if key.name == name => Some((key, false)),
        Some(file_key) if file_key == name => Some((key, true)),
        _ => None,
    })
}

/// Every name that [`find`] knows.
pub(super) fn names() -> Vec<String> {
    KEYS.iter().flat_map(|key| std::iter::once(key.name.to_owned()).chain(key.file_key())).collect()
}

/// Whether there are keys `name.something`.
pub(super) fn is_group(name: &str) -> bool {
    KEYS.iter().any(|key| key.name.strip_prefix(name).is_some_and(|rest| rest.starts_with('.')))
}

/// The default configuration's own word for `Config::default`, so that both can be compared.
#[cfg(test)]
pub(super) fn apply_defaults(config: &mut super::Config) {
    for key in KEYS.iter().filter(|key| !key.default.is_empty()) {
        let applied = key.field.apply(&super::raw::Raw::loose(key.default), config);
        assert!(applied.is_ok(), "{}: {:?}", key.name, applied.err());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_readmes_table_has_one_row_for_each_key() {
        let table = markdown();
        assert_eq!(table.lines().count(), 2 + KEYS.len());
        assert!(table.lines().all(|row| row.matches('|').count() == 5), "{table}");
        let row = "| `tokens.access_ttl` | `2m` | the life of an access token whose service does not say; what `dev` issues | a \
                   duration from 1ms to 365d, written like 500ms, 2m or 1h30m |";
        assert!(table.lines().any(|line| line == row), "{table}");
        assert!(table.contains("\n| `store.secrets` (or `store.secrets_file`) | none | "), "{table}");
    }

    #[test]
    fn a_key_has_one_variable_and_maybe_one_for_a_file() {
        let name = |key: &str| find(key).map(|(key, _)| key.env_name());
        assert_eq!(name("tokens.access_ttl").as_deref(), Some("AUTHPROXY_TOKENS__ACCESS_TTL"));
        assert_eq!(name("store.secrets_file").as_deref(), Some("AUTHPROXY_STORE__SECRETS"));
        assert_eq!(name("listen_file"), None);
        let mut all = names();
        all.sort();
        all.dedup();
        assert_eq!(all.len(), KEYS.len() + 2);
    }
}
