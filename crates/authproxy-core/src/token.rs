//! Tokens and what is known about them: [`AccessToken`], [`RefreshToken`], [`TokenSet`].
//!
//! A token's text leaves these types through one method only, `expose_secret`. Nothing here has a `Display`
//! or a `Serialize`, `Debug` prints `[redacted]`, and the bytes are wiped when the last holder drops them.

use std::{fmt, time::Duration};

use bytes::Bytes;
use http::HeaderValue;
use zeroize::Zeroizing;

use crate::clock::Timestamp;

pub(crate) const BEARER: &str = "Bearer ";

/// A bearer access token (RFC 6750), kept as the `Authorization` value it will be sent as.
///
/// Cloning shares the buffer; it is wiped when the last clone is dropped.
#[derive(Clone)]
pub struct AccessToken(HeaderValue);

impl AccessToken {
    /// Takes a token as the auth service issued it.
    ///
    /// # Errors
    ///
    /// [`MalformedToken`] when it is empty or holds anything but visible ASCII (RFC 6749, appendix A.12), so that
    /// no token can break out of a header.
    pub fn new(token: &str) -> Result<Self, MalformedToken> {
        check(token)?;
        let mut buffer = Zeroizing::new(Vec::with_capacity(BEARER.len() + token.len()));
        buffer.extend_from_slice(BEARER.as_bytes());
        buffer.extend_from_slice(token.as_bytes());
        Ok(Self::in_memory_of(buffer))
    }

    /// The token whose `Authorization` value `owner` holds, for as long as anybody holds the token.
    pub(crate) fn in_memory_of(owner: impl AsRef<[u8]> + Send + 'static) -> Self {
        let mut header = HeaderValue::from_maybe_shared(Bytes::from_owner(owner)).expect("checked to be visible ASCII");
        header.set_sensitive(true);
        Self(header)
    }

    /// The token's text. Whoever calls this answers for where it goes.
    pub fn expose_secret(&self) -> &str {
        std::str::from_utf8(&self.0.as_bytes()[BEARER.len()..]).expect("checked to be ASCII when it was made")
    }

    /// The whole `Authorization` value, `Bearer <token>`, marked sensitive. Cloning it copies no bytes.
    pub fn authorization(&self) -> &HeaderValue {
        &self.0
    }
}

/// A refresh token (RFC 6749, section 1.5).
#[derive(Clone)]
pub struct RefreshToken(Zeroizing<Box<str>>);

impl RefreshToken {
    /// Takes a token as the auth service issued it.
    ///
    /// # Errors
    ///
    /// [`MalformedToken`] when it is empty or holds anything but visible ASCII (RFC 6749, appendix A.17).
    pub fn new(token: &str) -> Result<Self, MalformedToken> {
        check(token)?;
        Ok(Self(Zeroizing::new(token.into())))
    }

    /// The token's text. Whoever calls this answers for where it goes.
    pub fn expose_secret(&self) -> &str {
        &self.0
    }
}

/// A token that is empty or holds characters that no token may hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the token is empty or holds characters that a token may not hold")]
pub struct MalformedToken;

fn check(token: &str) -> Result<(), MalformedToken> {
    let visible = |byte: u8| (0x20..=0x7e).contains(&byte);
    if token.is_empty() || token.trim() != token || !token.bytes().all(visible) {
        return Err(MalformedToken);
    }
    Ok(())
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AccessToken([redacted])")
    }
}

impl fmt::Debug for RefreshToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("RefreshToken([redacted])")
    }
}

/// What an auth service issues at a login or a refresh (RFC 6749, section 5.1), with expiries as instants.
#[derive(Clone, Debug)]
pub struct TokenSet {
    /// The access token.
    pub access_token: AccessToken,
    /// When the access token stops being usable. `None`: the service did not say; the manager's default applies.
    pub access_expires_at: Option<Timestamp>,
    /// The refresh token. `None` at a refresh means that the one presented stays valid (RFC 6749, section 6).
    pub refresh_token: Option<RefreshToken>,
    /// When the refresh token stops being usable. `None`: the service did not say; the manager's default applies.
    pub refresh_expires_at: Option<Timestamp>,
    /// After how long the service asks to be asked again, where it says so (`refresh_in`). Wins over the soft limit.
    pub refresh_in: Option<Duration>,
}
