//! Which pages of other origins may read answers (CORS; Fetch Standard, section 3.3): none, unless `allowed_origins` lists
//! theirs.
//!
//! A listed origin's page may do what one of ours may: send with the cookie, and read what comes back. So it is answered
//! here, for everything that a session or a token guards. What is public answers for itself, and so does a gateway.

use http::{
    HeaderMap, HeaderValue, Method, StatusCode,
    header::{
        ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
        ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_EXPOSE_HEADERS, ACCESS_CONTROL_MAX_AGE,
        ACCESS_CONTROL_REQUEST_HEADERS, ACCESS_CONTROL_REQUEST_METHOD, ORIGIN, VARY,
    },
    request::Parts,
};

use crate::{body::Body, origin::Origins, response::Response};

/// What a page needs beyond what every page may read: when to come back, and what to name in a report.
const EXPOSED: HeaderValue = HeaderValue::from_static("retry-after, x-request-id");
/// How long a browser may remember a permission: what browsers commonly allow at least.
const TEN_MINUTES: HeaderValue = HeaderValue::from_static("600");

/// The answer to a listed origin's preflight, which never carries a cookie; `None` for every other request.
///
/// Which header fields a page sends is its own business: a listed origin is trusted with the cookie already.
pub(crate) fn preflight(head: &Parts, origins: &Origins, methods: impl FnOnce() -> String) -> Option<Response> {
    let is_preflight = head.method == Method::OPTIONS && head.headers.contains_key(ACCESS_CONTROL_REQUEST_METHOD);
    if !is_preflight || listed(&head.headers, origins).is_none() {
        return None;
    }
    let mut response = Response::new(Body::whole(""));
    *response.status_mut() = StatusCode::NO_CONTENT;
    let headers = response.headers_mut();
    let methods = HeaderValue::try_from(methods()).expect("names of methods are visible ASCII");
    headers.insert(ACCESS_CONTROL_ALLOW_METHODS, methods);
    if let Some(wanted) = head.headers.get(ACCESS_CONTROL_REQUEST_HEADERS) {
        headers.insert(ACCESS_CONTROL_ALLOW_HEADERS, wanted.clone());
    }
    headers.insert(ACCESS_CONTROL_MAX_AGE, TEN_MINUTES);
    Some(response)
}

/// Lets a listed origin's page read an answer, the one to its preflight too.
pub(crate) fn open(request: &HeaderMap, answer: &mut HeaderMap, origins: &Origins) {
    if !origins.lists_any() {
        return;
    }
    answer.append(VARY, HeaderValue::from_static("Origin"));
    if let Some(origin) = listed(request, origins) {
        answer.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
        answer.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
        answer.entry(ACCESS_CONTROL_EXPOSE_HEADERS).or_insert(EXPOSED);
    }
}

/// The only `Origin` of a request, where it is a listed one.
fn listed<'a>(headers: &'a HeaderMap, origins: &Origins) -> Option<&'a HeaderValue> {
    let mut values = headers.get_all(ORIGIN).iter();
    match (values.next(), values.next()) {
        (Some(origin), None) if origins.is_allowed(origin.as_bytes()) => Some(origin),
        _ => None,
    }
}
