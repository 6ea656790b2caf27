//! [`Value`]: what a field says, made a header value only where one is needed.

use authproxy_core::manager::ReadyToken;
use http::HeaderValue;

/// A field's value.
#[derive(Clone, Copy)]
pub(crate) enum Value<'a> {
    /// It is at hand.
    Kept(&'a HeaderValue),
    /// `Bearer` and the token, which stand with the session: HTTP/1.1 writes them from there.
    Authorization(&'a ReadyToken),
}

impl<'a> Value<'a> {
    pub(crate) fn as_bytes(self) -> &'a [u8] {
        match self {
            Self::Kept(value) => value.as_bytes(),
            Self::Authorization(token) => token.expose_authorization(),
        }
    }

    pub(crate) fn to_header(self) -> HeaderValue {
        match self {
            Self::Kept(value) => value.clone(),
            Self::Authorization(token) => token.access_token().authorization().clone(),
        }
    }
}
