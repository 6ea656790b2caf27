//! What a Redis URL says. Several hosts may be named where Sentinels or a Cluster are asked.

use std::{fmt, path::PathBuf};

use percent_encoding::percent_decode_str;

const REDIS_PORT: u16 = 6379;
const SENTINEL_PORT: u16 = 26379;

/// Where a Redis is and how it is to be spoken to.
#[derive(Clone)]
pub(super) struct Target {
    pub(super) layout: Layout,
    pub(super) tls: bool,
    pub(super) credentials: Credentials,
    pub(super) database: u16,
}

/// What a server asks for.
#[derive(Clone, Default)]
pub(super) struct Credentials {
    pub(super) user: Option<String>,
    pub(super) password: Option<String>,
}

/// How the servers stand to each other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Layout {
    Single(Address),
    Sentinels { sentinels: Vec<Address>, master: String },
    Cluster(Vec<Address>),
}

/// Where one server listens.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(super) enum Address {
    Tcp { host: String, port: u16 },
    Unix(PathBuf),
}

/// The URL cannot be used. Does not repeat it: it may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRedisUrl {
    /// Not a scheme that is spoken here.
    #[error(
        "the scheme is none of redis, rediss, redis+unix, unix, redis-cluster, rediss-cluster, redis-sentinel and \
         rediss-sentinel"
    )]
    Scheme,
    /// A host is missing or malformed.
    #[error("a host is missing or malformed")]
    Host,
    /// A port is not a number from 1 to 65535.
    #[error("a port is not a number from 1 to 65535")]
    Port,
    /// Several hosts where one is expected.
    #[error("only redis-cluster:// and redis-sentinel:// take several hosts")]
    SeveralHosts,
    /// The database is not a number, or not 0 in a Cluster.
    #[error("the database is not a number, or not 0 with a Cluster")]
    Database,
    /// `redis-sentinel://` without the name under which the Sentinels watch the primary.
    #[error("the name that the Sentinels know the primary by is missing: redis-sentinel://host:port/NAME")]
    Master,
    /// A user name or password that is not percent-encoded UTF-8.
    #[error("the user name or password is not percent-encoded UTF-8")]
    Credentials,
    /// A path, query or fragment that means nothing here.
    #[error("a path, query or fragment that means nothing here")]
    Rest,
}

impl Target {
    /// Reads a URL.
    pub(super) fn parse(url: &str) -> Result<Self, InvalidRedisUrl> {
        if url.contains(|character: char| character.is_whitespace() || character.is_control()) {
            return Err(InvalidRedisUrl::Host);
        }
        let (scheme, rest) = url.split_once("://").ok_or(InvalidRedisUrl::Scheme)?;
        if matches!(scheme, "unix" | "redis+unix" | "valkey+unix") {
            return Self::unix(rest);
        }
        if rest.contains(['?', '#']) {
            return Err(InvalidRedisUrl::Rest);
        }
        // A password may hold anything percent-encoded, and an unencoded "@" is a common mistake that does no harm.
        let (credentials, rest) = match rest.rsplit_once('@') {
            Some((credentials, rest)) => (Credentials::parse(credentials)?, rest),
            None => (Credentials::default(), rest),
        };
        let (hosts, path) = rest.split_once('/').unwrap_or((rest, ""));
        let (layout, tls, database) = match scheme {
            "redis" | "rediss" | "valkey" | "valkeys" => {
                let mut hosts = hosts_of(hosts, REDIS_PORT)?;
                let host = hosts.pop().ok_or(InvalidRedisUrl::Host)?;
                if !hosts.is_empty() {
                    return Err(InvalidRedisUrl::SeveralHosts);
                }
                (Layout::Single(host), matches!(scheme, "rediss" | "valkeys"), database_of(path)?)
            }
            "redis-cluster" | "rediss-cluster" => {
                if database_of(path)? != 0 {
                    return Err(InvalidRedisUrl::Database);
                }
                (Layout::Cluster(hosts_of(hosts, REDIS_PORT)?), scheme == "rediss-cluster", 0)
            }
            "redis-sentinel" | "rediss-sentinel" => {
                let (master, database) = path.split_once('/').unwrap_or((path, ""));
                let master = decoded(master)?;
                if master.is_empty() {
                    return Err(InvalidRedisUrl::Master);
                }
                let sentinels = hosts_of(hosts, SENTINEL_PORT)?;
                (Layout::Sentinels { sentinels, master }, scheme == "rediss-sentinel", database_of(database)?)
            }
            _ => return Err(InvalidRedisUrl::Scheme),
        };
        Ok(Self { layout, tls, credentials, database })
    }

    /// `redis+unix:///path?db=1&user=name&pass=word`.
    fn unix(rest: &str) -> Result<Self, InvalidRedisUrl> {
        let (path, query) = rest.split_once('?').unwrap_or((rest, ""));
        if !path.starts_with('/') || path.ends_with('/') {
            return Err(InvalidRedisUrl::Host);
        }
        let layout = Layout::Single(Address::Unix(decoded(path)?.into()));
        let mut target = Self { layout, tls: false, credentials: Credentials::default(), database: 0 };
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=').ok_or(InvalidRedisUrl::Rest)? {
                (_, "") => {}
                ("db", database) => target.database = database_of(database)?,
                ("user", user) => target.credentials.user = Some(decoded(user)?),
                ("pass", password) => target.credentials.password = Some(decoded(password)?),
                _ => return Err(InvalidRedisUrl::Rest),
            }
        }
        Ok(target)
    }
}

impl Credentials {
    fn parse(text: &str) -> Result<Self, InvalidRedisUrl> {
        let (user, password) = text.split_once(':').ok_or(InvalidRedisUrl::Credentials)?;
        let given = |text: String| (!text.is_empty()).then_some(text);
        Ok(Self { user: given(decoded(user)?), password: given(decoded(password)?) })
    }
}

impl Address {
    /// Reads `host:port`, as Redis writes it in MOVED: an IPv6 address has no brackets there.
    pub(super) fn from_redirection(text: &str) -> Option<Self> {
        let (host, port) = text.rsplit_once(':')?;
        let port = port.parse().ok()?;
        Some(Self::Tcp { host: host.trim_matches(['[', ']']).to_owned(), port })
    }

    /// The host; `None` for a socket's path.
    pub(super) fn host(&self) -> Option<&str> {
        match self {
            Self::Tcp { host, .. } => Some(host),
            Self::Unix(_) => None,
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp { host, port } if host.contains(':') => write!(f, "[{host}]:{port}"),
            Self::Tcp { host, port } => write!(f, "{host}:{port}"),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Target").field("layout", &self.layout).field("tls", &self.tls).finish_non_exhaustive()
    }
}

fn hosts_of(text: &str, default_port: u16) -> Result<Vec<Address>, InvalidRedisUrl> {
    text.split(',').map(|host| address_of(host, default_port)).collect()
}

fn address_of(text: &str, default_port: u16) -> Result<Address, InvalidRedisUrl> {
    let (host, port) = if let Some(rest) = text.strip_prefix('[') {
        let (host, port) = rest.split_once(']').ok_or(InvalidRedisUrl::Host)?;
        host.parse::<std::net::Ipv6Addr>().map_err(|_| InvalidRedisUrl::Host)?;
        let port = if port.is_empty() { None } else { Some(port.strip_prefix(':').ok_or(InvalidRedisUrl::Host)?) };
        (host, port)
    } else {
        text.split_once(':').map_or((text, None), |(host, port)| (host, Some(port)))
    };
    let named = |character: char| character.is_ascii_alphanumeric() || "-._:".contains(character);
    if host.is_empty() || !host.chars().all(named) {
        return Err(InvalidRedisUrl::Host);
    }
    let port = port.map_or(Ok(default_port), |port| port.parse().map_err(|_| InvalidRedisUrl::Port))?;
    if port == 0 {
        return Err(InvalidRedisUrl::Port);
    }
    Ok(Address::Tcp { host: host.to_owned(), port })
}

fn database_of(text: &str) -> Result<u16, InvalidRedisUrl> {
    let text = text.trim_end_matches('/');
    if text.is_empty() { Ok(0) } else { text.parse().map_err(|_| InvalidRedisUrl::Database) }
}

fn decoded(text: &str) -> Result<String, InvalidRedisUrl> {
    let text = percent_decode_str(text).decode_utf8().map_err(|_| InvalidRedisUrl::Credentials)?;
    Ok(text.into_owned())
}

#[cfg(test)]
mod tests;
