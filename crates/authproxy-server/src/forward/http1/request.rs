//! A request as it is written (RFC 9112, section 3).

use http::{HeaderName, Method, uri::PathAndQuery};
use http_body::Body as _;

use super::super::{headers::Value, upload::Upload};
use crate::http1::fields;

/// Room for the head of most requests, with an access token.
const USUAL_HEAD: usize = 2 * 1024;

/// A request, ready to be sent.
pub(in crate::forward) struct Outgoing<'a> {
    pub(super) method: &'a Method,
    /// Its head, and its body where that is kept.
    pub(super) bytes: Vec<u8>,
    /// Its body, for another connection or to be streamed.
    pub(super) body: Upload,
}

impl<'a> Outgoing<'a> {
    /// A request with the fields that `say` says, and those that delimit its body (RFC 9112, section 6).
    pub(in crate::forward) fn new(
        method: &'a Method,
        target: &PathAndQuery,
        body: Upload,
        say: impl FnOnce(&mut dyn FnMut(&HeaderName, Value<'_>)),
    ) -> Self {
        let mut bytes = Vec::with_capacity(USUAL_HEAD);
        bytes.extend_from_slice(method.as_str().as_bytes());
        bytes.push(b' ');
        bytes.extend_from_slice(target.as_str().as_bytes());
        bytes.extend_from_slice(b" HTTP/1.1\r\n");
        say(&mut |name, value| fields::write(&mut bytes, name, value.as_bytes()));
        let takes_body = [Method::POST, Method::PUT, Method::PATCH].contains(method);
        match body.size_hint().exact() {
            Some(0) if !takes_body => {}
            Some(length) => bytes.extend_from_slice(format!("content-length: {length}\r\n").as_bytes()),
            None => bytes.extend_from_slice(b"transfer-encoding: chunked\r\n"),
        }
        bytes.extend_from_slice(b"\r\n");
        if let Upload::Kept(kept) = &body {
            bytes.extend_from_slice(kept);
        }
        Self { method, bytes, body }
    }
}
