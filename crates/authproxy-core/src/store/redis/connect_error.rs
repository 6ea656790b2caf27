//! [`ConnectError`]: why there is no connection, by what an operator can do about it.

use std::{fmt, io};

use super::{
    failure::{Failure, Refusal},
    url::Address,
};

/// Redis cannot be used now: where it was looked for, and what stands in the way. Holds no password.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ConnectError {
    /// `host:port` or a socket's path.
    at: String,
    problem: ConnectProblem,
}

/// What stands between this node and Redis.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ConnectProblem {
    /// The name has no address.
    #[error("the host name is not known; check store.url")]
    UnknownHost,
    /// Nobody listens there.
    #[error("nobody listens there; check store.url and whether Redis runs")]
    Refused,
    /// There was no answer in time.
    #[error("no answer in time; check the network and whether Redis hangs")]
    TimedOut,
    /// Redis wants another password or user, or wants one at all.
    #[error("Redis does not accept the user name and password of store.url")]
    Credentials,
    /// The user may not do what a session store does.
    #[error("the user of store.url lacks a permission; it needs +@all on ~ap:* and &ap:*")]
    NoPermission,
    /// The TLS handshake failed.
    #[error("the TLS handshake failed ({0}); check the certificates and whether the server speaks TLS")]
    Tls(String),
    /// Whoever listens there does not speak Redis' protocol, or speaks it in TLS only.
    #[error("whoever listens there does not answer like Redis; if it wants TLS, the URL begins with rediss://")]
    NotRedis,
    /// No Sentinel knows the primary by this name.
    #[error("the Sentinels watch no primary of that name; check the end of store.url")]
    NoSuchMaster,
    /// A replica, or a primary that is about to become one.
    #[error("it is a replica, and no primary is to be found")]
    NotPrimary,
    /// Not part of a Cluster.
    #[error("it is not part of a Redis Cluster; the URL should begin with redis://")]
    NotACluster,
    /// Part of a Cluster.
    #[error("it is part of a Redis Cluster; the URL should begin with redis-cluster://")]
    ACluster,
    /// Part of a Cluster that does not serve all its slots.
    #[error("the cluster is down")]
    ClusterDown,
    /// It has as many connections as it may have.
    #[error("it has as many connections as its maxclients allows")]
    TooManyConnections,
    /// It is older than 7.0, or something else that counts so.
    #[error("version {0} is too old; Redis 7.0 or Valkey is needed")]
    TooOld(String),
    /// It reads its data from disk and will be there later.
    #[error("it is still loading its data")]
    Loading,
    /// The database of the URL does not exist.
    #[error("it has no database of that number")]
    NoSuchDatabase,
    /// Anything else.
    #[error("{0}")]
    Other(String),
}

impl ConnectError {
    pub(super) fn new(at: &Address, problem: ConnectProblem) -> Self {
        Self { at: at.to_string(), problem }
    }

    pub(super) fn of_failure(at: &Address, failure: &Failure) -> Self {
        match failure {
            Failure::Unconnected(error) => error.clone(),
            failure => Self::new(at, ConnectProblem::of_failure(failure)),
        }
    }

    /// What stands in the way.
    pub fn problem(&self) -> &ConnectProblem {
        &self.problem
    }
}

impl ConnectProblem {
    pub(super) fn of_io(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::ConnectionRefused | io::ErrorKind::NotFound => Self::Refused,
            io::ErrorKind::TimedOut => Self::TimedOut,
            // A server that does not take our certificate says so after the handshake.
            io::ErrorKind::InvalidData => Self::Tls(error.to_string()),
            io::ErrorKind::ConnectionReset | io::ErrorKind::UnexpectedEof | io::ErrorKind::BrokenPipe => Self::NotRedis,
            kind => Self::Other(kind.to_string()),
        }
    }

    pub(super) fn of_failure(failure: &Failure) -> Self {
        match failure {
            Failure::Refused(refusal) => Self::of_refusal(refusal),
            Failure::TimedOut => Self::TimedOut,
            Failure::Unconnected(error) => error.problem().clone(),
            Failure::Lost | Failure::Nonsense | Failure::Unreplicated => Self::NotRedis,
        }
    }

    pub(super) fn of_refusal(refusal: &Refusal) -> Self {
        match refusal {
            Refusal::NoPermission(code) if code == "NOPERM" => Self::NoPermission,
            Refusal::NoPermission(_) => Self::Credentials,
            Refusal::TooManyConnections => Self::TooManyConnections,
            Refusal::Loading => Self::Loading,
            Refusal::ReadOnly => Self::NotPrimary,
            Refusal::Moved(_) | Refusal::Ask(_) => Self::ACluster,
            Refusal::ClusterDown => Self::ClusterDown,
            other => Self::Other(other.to_string()),
        }
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redis at {}: {}", self.at, self.problem)
    }
}

impl std::error::Error for ConnectError {}
