//! Why an upstream gave no answer. What it says reaches the browser as a kind only, never with an address.

use std::{error::Error, io};

use super::http1::Failed;

type BoxError = Box<dyn Error + Send + Sync>;

/// What went wrong between us and an upstream.
#[derive(Debug, thiserror::Error)]
pub(crate) enum UpstreamError {
    #[error("the upstream cannot be reached")]
    Unreachable(#[source] io::Error),
    #[error("the upstream's TLS failed")]
    Tls(#[source] io::Error),
    #[error("no connection to the upstream in time")]
    ConnectTimeout,
    #[error("every connection to the upstream is in use")]
    Full,
    #[error("the upstream ended the connection before it answered")]
    Closed(#[source] BoxError),
    #[error("the upstream's answer is malformed")]
    Malformed(#[source] BoxError),
    #[error("the upstream changed the protocol unasked")]
    UnaskedUpgrade,
    #[error("the upstream did not answer in time")]
    TooSlow,
    /// The session ended while its request waited.
    #[error("the session ended before the upstream answered")]
    SessionEnded,
}

impl UpstreamError {
    /// What an exchange over HTTP/2 that broke off says of the upstream.
    pub(super) fn http2(error: hyper::Error) -> Self {
        if error.is_parse() { Self::Malformed(error.into()) } else { Self::Closed(error.into()) }
    }
}

impl From<Failed> for UpstreamError {
    fn from(failed: Failed) -> Self {
        match failed {
            Failed::Unsent(_, error) | Failed::Closed(error) => Self::Closed(error.into()),
            Failed::Malformed(what) => Self::Malformed(what.into()),
        }
    }
}
