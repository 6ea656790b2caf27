//! How the body of an answer is delimited, and whether its connection goes on behind it.

use http::{
    Method, Response, StatusCode, Version,
    header::{CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING},
};

use super::Malformed;
use crate::http1::{
    decoder::{Chunks, Decoder},
    fields,
};

/// What follows the head of an answer.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Rest {
    pub(super) body: Decoder,
    /// Whether the connection may carry another exchange afterwards.
    pub(super) keeps_alive: bool,
}

/// Reads out of a head what follows it (RFC 9112, sections 6.3 and 9.3).
pub(super) fn rest(head: &Response<()>, method: &Method) -> Result<Rest, Malformed> {
    let (status, headers, version) = (head.status(), head.headers(), head.version());
    let (mut length, mut coding, mut closes) = (None, None, false);
    // One look at all of them costs less than a search for each.
    for (name, value) in headers {
        let is_repeated = match *name {
            CONTENT_LENGTH => length.replace(fields::decimal(value).ok_or(Malformed::Length)?).is_some(),
            TRANSFER_ENCODING => coding.replace(value).is_some(),
            CONNECTION => {
                closes |= fields::lists(value, "close");
                false
            }
            _ => false,
        };
        if is_repeated {
            return Err(Malformed::Length);
        }
    }
    if length.is_some() && coding.is_some() {
        return Err(Malformed::Length);
    }
    let keeps_alive = version == Version::HTTP_11 && !closes;
    let has_none = *method == Method::HEAD
        || status.is_informational()
        || [StatusCode::NO_CONTENT, StatusCode::NOT_MODIFIED].contains(&status);
    let body = match (length, coding) {
        _ if has_none => Decoder::none(),
        (None, Some(coding)) => {
            // What is coded in another way could not be passed on: `Transfer-Encoding` stays on this connection.
            let is_chunked = coding.as_bytes().trim_ascii().eq_ignore_ascii_case(b"chunked");
            if !is_chunked || version != Version::HTTP_11 {
                return Err(Malformed::Coding);
            }
            Decoder::chunked(Chunks::Extended)
        }
        (Some(length), _) => Decoder::length(length),
        (None, None) => return Ok(Rest { body: Decoder::until_closed(), keeps_alive: false }),
    };
    Ok(Rest { body, keeps_alive })
}

#[cfg(test)]
mod tests;
