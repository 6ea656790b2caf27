//! What can go wrong between a node and Redis, by what is known about the command and what is to be done.

use redis::{RedisError, ServerError, Value};

use super::{connect_error::ConnectError, url::Address};
use crate::error::StoreError;

/// A command brought no answer of its own.
#[derive(Clone, Debug, thiserror::Error)]
pub(super) enum Failure {
    /// It was not sent.
    #[error("no connection to Redis: {0}")]
    Unconnected(ConnectError),
    /// It was refused unprocessed, or failed before it wrote anything.
    #[error("Redis refuses: {0}")]
    Refused(Refusal),
    /// It was possibly applied: no answer in time.
    #[error("no answer from Redis in time")]
    TimedOut,
    /// It was possibly applied: the connection broke.
    #[error("the connection to Redis broke")]
    Lost,
    /// It was possibly applied: the answer makes no sense.
    #[error("Redis answered what it should not")]
    Nonsense,
    /// It was applied, but no replica has said that it has it too.
    #[error("no replica has confirmed the write")]
    Unreplicated,
}

/// Why a command was not processed, by the first word of the server's error.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refusal {
    /// The script is not in this server's cache.
    #[error("the script is not known")]
    NoScript,
    /// The slot belongs to another server for good.
    #[error("the slot is served by {0}")]
    Moved(Address),
    /// This one key may already be at another server.
    #[error("the slot is moving to {0}")]
    Ask(Address),
    /// The slot is being moved; ask again.
    #[error("the slot is being moved")]
    TryAgain,
    /// The Cluster has lost a slot's servers.
    #[error("the cluster is down")]
    ClusterDown,
    /// The server is reading its data from disk.
    #[error("it is loading its data")]
    Loading,
    /// A replica: the primary is elsewhere now.
    #[error("it is a replica")]
    ReadOnly,
    /// `maxmemory` is reached.
    #[error("its memory is full")]
    OutOfMemory,
    /// Too few replicas for its own `min-replicas-to-write`, or it cannot write its snapshot.
    #[error("it takes no writes: {0}")]
    NoWrites(String),
    /// `maxclients` is reached.
    #[error("it has as many connections as it may have")]
    TooManyConnections,
    /// Something else holds it up.
    #[error("it is busy")]
    Busy,
    /// The user may not do this, or has not logged in.
    #[error("the user lacks a permission: {0}")]
    NoPermission(String),
    /// Something other than a record lies under the key.
    #[error("the key holds something else")]
    WrongType,
    /// Anything else, by its code only: the text may repeat what was sent.
    #[error("{0}")]
    Other(String),
}

impl From<Failure> for StoreError {
    fn from(failure: Failure) -> Self {
        Self::new(failure)
    }
}

/// An answer as it is, or the error that stands in its place.
pub(super) fn answered(value: Value) -> Result<Value, Refusal> {
    match value {
        Value::ServerError(error) => Err(refused(&error)),
        value => Ok(value),
    }
}

/// Classifies what the driver says instead of an answer.
pub(super) fn failed(error: &RedisError) -> Failure {
    if error.is_timeout() {
        return Failure::TimedOut;
    }
    match error.code() {
        Some(code) => Failure::Refused(refusal(code, error.detail().unwrap_or_default())),
        None if error.is_io_error() => Failure::Lost,
        None => Failure::Nonsense,
    }
}

fn refused(error: &ServerError) -> Refusal {
    refusal(error.code(), error.details().unwrap_or_default())
}

fn refusal(code: &str, detail: &str) -> Refusal {
    let address = || detail.split_ascii_whitespace().nth(1).and_then(Address::from_redirection);
    match code {
        "NOSCRIPT" => Refusal::NoScript,
        "MOVED" => address().map_or_else(|| Refusal::Other(code.to_owned()), Refusal::Moved),
        "ASK" => address().map_or_else(|| Refusal::Other(code.to_owned()), Refusal::Ask),
        "TRYAGAIN" => Refusal::TryAgain,
        "CLUSTERDOWN" => Refusal::ClusterDown,
        "LOADING" => Refusal::Loading,
        "READONLY" | "MASTERDOWN" | "UNBLOCKED" => Refusal::ReadOnly,
        "OOM" => Refusal::OutOfMemory,
        "NOREPLICAS" | "MISCONF" => Refusal::NoWrites(code.to_owned()),
        "BUSY" => Refusal::Busy,
        "NOPERM" | "NOAUTH" | "WRONGPASS" => Refusal::NoPermission(code.to_owned()),
        "ERR" if detail.contains("max number of clients") => Refusal::TooManyConnections,
        "WRONGTYPE" => Refusal::WrongType,
        _ => Refusal::Other(code.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_refusal_is_told_by_its_first_word() {
        let there = Address::Tcp { host: "10.0.0.1".to_owned(), port: 6379 };
        let six = Address::Tcp { host: "fd00::1".to_owned(), port: 7 };
        for (code, detail, expected) in [
            ("NOSCRIPT", "No matching script.", Refusal::NoScript),
            ("MOVED", "3999 10.0.0.1:6379", Refusal::Moved(there.clone())),
            ("ASK", "3999 fd00::1:7", Refusal::Ask(six)),
            ("MOVED", "3999", Refusal::Other("MOVED".to_owned())),
            ("TRYAGAIN", "", Refusal::TryAgain),
            ("CLUSTERDOWN", "Hash slot not served", Refusal::ClusterDown),
            ("LOADING", "", Refusal::Loading),
            ("READONLY", "You can't write against a read only replica.", Refusal::ReadOnly),
            ("MASTERDOWN", "", Refusal::ReadOnly),
            ("OOM", "command not allowed when used memory > 'maxmemory'.", Refusal::OutOfMemory),
            ("NOREPLICAS", "", Refusal::NoWrites("NOREPLICAS".to_owned())),
            ("MISCONF", "", Refusal::NoWrites("MISCONF".to_owned())),
            ("BUSY", "", Refusal::Busy),
            ("NOPERM", "", Refusal::NoPermission("NOPERM".to_owned())),
            ("NOAUTH", "", Refusal::NoPermission("NOAUTH".to_owned())),
            ("ERR", "max number of clients reached", Refusal::TooManyConnections),
            ("WRONGTYPE", "", Refusal::WrongType),
            ("ERR", "a text that may repeat what was sent", Refusal::Other("ERR".to_owned())),
        ] {
            assert_eq!(refusal(code, detail), expected, "{code} {detail}");
        }
    }
}
