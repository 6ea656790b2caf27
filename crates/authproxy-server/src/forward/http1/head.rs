//! The head of an answer (RFC 9112, sections 4 and 5).

use std::mem::MaybeUninit;

use bytes::{Buf, Bytes, BytesMut};
use http::{HeaderName, HeaderValue, Response, StatusCode, Version};
use httparse::{ParserConfig, Status};
use hyper::ext::ReasonPhrase;

use super::Malformed;

/// The most header fields of an answer.
const MAX_FIELDS: usize = 100;
/// The most bytes of an answer's head.
const MAX_HEAD: usize = 128 * 1024;

/// Room for what is added before the browser gets it: growing a map costs as much as filling it.
const ADDED: usize = 4;

/// Takes a head off the front of what was read; `None` while it is not whole.
pub(super) fn parse(unread: &mut BytesMut) -> Result<Option<Response<()>>, Malformed> {
    let mut fields = [const { MaybeUninit::uninit() }; MAX_FIELDS];
    let mut parsed = httparse::Response::new(&mut []);
    let status = ParserConfig::default().parse_response_with_uninit_headers(&mut parsed, unread, &mut fields);
    let end = match status.map_err(Malformed::Head)? {
        Status::Complete(end) => end,
        Status::Partial if unread.len() > MAX_HEAD => return Err(Malformed::HeadTooLong),
        Status::Partial => return Ok(None),
    };
    let status = parsed.code.and_then(|code| StatusCode::from_u16(code).ok());
    let mut head = Response::new(());
    *head.status_mut() = status.ok_or(Malformed::Head(httparse::Error::Status))?;
    *head.version_mut() = if parsed.version == Some(0) { Version::HTTP_10 } else { Version::HTTP_11 };
    if let Some(reason) = parsed.reason.filter(|reason| head.status().canonical_reason() != Some(reason))
        && let Ok(reason) = ReasonPhrase::try_from(reason.as_bytes())
    {
        head.extensions_mut().insert(reason);
    }
    // One copy, which all values share.
    let text = Bytes::copy_from_slice(&unread[..end]);
    let headers = head.headers_mut();
    headers.reserve(parsed.headers.len() + ADDED);
    for field in parsed.headers.iter() {
        let name = HeaderName::from_bytes(field.name.as_bytes());
        let begin = field.value.as_ptr().addr() - unread.as_ptr().addr();
        let value = HeaderValue::from_maybe_shared(text.slice(begin..begin + field.value.len()));
        match (name, value) {
            (Ok(name), Ok(value)) => _ = headers.append(name, value),
            (Err(_), _) => return Err(Malformed::Head(httparse::Error::HeaderName)),
            (_, Err(_)) => return Err(Malformed::Head(httparse::Error::HeaderValue)),
        }
    }
    unread.advance(end);
    Ok(Some(head))
}
