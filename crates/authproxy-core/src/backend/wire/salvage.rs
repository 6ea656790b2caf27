//! Tokens out of an answer that cannot be read whole: a service that rotated has spent the old token, so whatever its
//! broken answer still holds of the new ones must not be lost.

use crate::token::{AccessToken, RefreshToken};

/// No more of a broken answer is searched.
const SEARCHED: usize = 64 * 1024;

/// What a broken answer still held, each token only if it is there from quote to quote.
#[derive(Debug, Default)]
pub(in crate::backend) struct Salvaged {
    pub(in crate::backend) access_token: Option<AccessToken>,
    pub(in crate::backend) refresh_token: Option<RefreshToken>,
}

/// Searches the beginning of `body` for `"access_token": "..."` and `"refresh_token": "..."`.
///
/// A name that occurs twice is not trusted, and neither is a value with an escape in it: no token needs one.
pub(in crate::backend) fn salvage(body: &[u8]) -> Salvaged {
    let body = &body[..body.len().min(SEARCHED)];
    if !body.trim_ascii_start().starts_with(b"{") {
        return Salvaged::default();
    }
    Salvaged {
        access_token: member(body, b"\"access_token\"").and_then(|token| AccessToken::new(token).ok()),
        refresh_token: member(body, b"\"refresh_token\"").and_then(|token| RefreshToken::new(token).ok()),
    }
}

fn member<'a>(body: &'a [u8], name: &[u8]) -> Option<&'a str> {
    let mut found = body.windows(name.len()).enumerate().filter(|(_, window)| *window == name).map(|(at, _)| at);
    let (at, None) = (found.next()?, found.next()) else { return None };
    let rest = body[at + name.len()..].trim_ascii_start().strip_prefix(b":")?.trim_ascii_start().strip_prefix(b"\"")?;
    let value = &rest[..rest.iter().position(|byte| *byte == b'"')?];
    if value.contains(&b'\\') {
        return None;
    }
    std::str::from_utf8(value).ok()
}
