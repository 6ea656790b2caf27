//! Why an upstream gave no answer. What it says reaches the browser as a kind only, never with an address.

use std::io;

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
    Closed(#[source] hyper::Error),
    #[error("the upstream's answer is malformed")]
    Malformed(#[source] hyper::Error),
    #[error("the upstream's answer has two lengths")]
    TwoLengths,
    #[error("the upstream changed the protocol unasked")]
    UnaskedUpgrade,
    #[error("the upstream did not answer in time")]
    TooSlow,
    /// The session ended while its request waited.
    #[error("the session ended before the upstream answered")]
    SessionEnded,
}

impl UpstreamError {
    /// What an exchange that broke off says of the upstream.
    pub(crate) fn exchange(error: hyper::Error) -> Self {
        if error.is_parse() { Self::Malformed(error) } else { Self::Closed(error) }
    }
}
