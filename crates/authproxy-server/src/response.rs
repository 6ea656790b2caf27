//! Answers: how they are made, and what every one of them carries.

use authproxy_core::backend::Reply;
use bytes::Bytes;
use http::{
    HeaderMap, HeaderName, HeaderValue, StatusCode,
    header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, STRICT_TRANSPORT_SECURITY,
        X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
    },
};
use serde::Serialize;

use crate::{body::Body, problem::Problem, routes::Credential};

/// An answer.
pub(crate) type Response = http::Response<Body>;

pub(crate) const JSON: HeaderValue = HeaderValue::from_static("application/json");
pub(crate) const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=utf-8");
pub(crate) const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
const PRIVATE: HeaderValue = HeaderValue::from_static("private, no-store");

const CROSS_ORIGIN_RESOURCE_POLICY: HeaderName = HeaderName::from_static("cross-origin-resource-policy");

/// An answer of which the content type is known.
pub(crate) fn with_body(status: StatusCode, content_type: HeaderValue, body: impl Into<Bytes>) -> Response {
    let mut response = Response::new(Body::whole(body));
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

/// An answer in JSON.
pub(crate) fn json(status: StatusCode, value: &impl Serialize) -> Response {
    let body = serde_json::to_vec(value).expect("maps with text keys are always written");
    with_body(status, JSON, body)
}

/// An answer of the auth service, passed on as it is.
///
/// # Errors
///
/// [`Problem::Refused`] when it is no success: then its body goes under `detail`, with `challenge` beside a 401.
pub(crate) fn pass_on(reply: Reply, challenge: &'static str) -> Result<Response, Problem> {
    if !reply.status.is_success() {
        return Err(Problem::Refused { challenge, reply });
    }
    let content_type = if reply.is_json { JSON } else { TEXT };
    Ok(with_body(reply.status, content_type, reply.body))
}

/// Adds what every answer carries. What a handler set by itself stays, except that a cookie's owner is never cached.
pub(crate) fn harden(headers: &mut HeaderMap, credential: Option<Credential>, has_cookie: bool) {
    let fixed = [
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (X_FRAME_OPTIONS, "DENY"),
        (REFERRER_POLICY, "no-referrer"),
        (CROSS_ORIGIN_RESOURCE_POLICY, "same-origin"),
        (CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'"),
    ];
    for (name, value) in fixed {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
    if credential == Some(Credential::Public) {
        headers.entry(CACHE_CONTROL).or_insert(NO_STORE);
    } else {
        headers.insert(CACHE_CONTROL, if has_cookie { PRIVATE } else { NO_STORE });
    }
}

/// Has browsers come back over TLS only, where they came over TLS (RFC 6797); also with an upstream's answers.
pub(crate) fn secure_transport(headers: &mut HeaderMap, https: bool) {
    if https {
        headers.entry(STRICT_TRANSPORT_SECURITY).or_insert(HeaderValue::from_static("max-age=31536000"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cache_control(set: Option<&'static str>, credential: Option<Credential>, has_cookie: bool) -> String {
        let mut headers = HeaderMap::new();
        if let Some(value) = set {
            headers.insert(CACHE_CONTROL, HeaderValue::from_static(value));
        }
        harden(&mut headers, credential, has_cookie);
        headers[CACHE_CONTROL].to_str().expect("ASCII").to_owned()
    }

    #[test]
    fn only_public_routes_may_be_cached() {
        let public = Some("public, max-age=60");
        for (set, credential, has_cookie, expected) in [
            (public, Some(Credential::Public), true, "public, max-age=60"),
            (None, Some(Credential::Public), false, "no-store"),
            (public, Some(Credential::Session), true, "private, no-store"),
            (public, Some(Credential::Bearer), false, "no-store"),
            (None, Some(Credential::Body), true, "private, no-store"),
            (None, None, true, "private, no-store"),
            (None, None, false, "no-store"),
        ] {
            assert_eq!(cache_control(set, credential, has_cookie), expected, "{set:?} {credential:?} {has_cookie}");
        }
    }

    #[test]
    fn transport_security_is_promised_with_tls_only() {
        for https in [false, true] {
            let mut headers = HeaderMap::new();
            harden(&mut headers, None, false);
            secure_transport(&mut headers, https);
            assert_eq!(headers.contains_key(STRICT_TRANSPORT_SECURITY), https);
            assert_eq!(headers[X_CONTENT_TYPE_OPTIONS], "nosniff");
            assert_eq!(headers[X_FRAME_OPTIONS], "DENY");
        }
    }
}
