//! Every answer that is not the wanted one, in one table: status, text, challenge, `Retry-After`, cookie, log level.
//!
//! The shape is the seed's `{"detail": ...}`, or RFC 9457's for who accepts `application/problem+json`.

mod from;

use std::{error::Error, time::Duration};

use authproxy_core::{
    backend::{BackendError, Reply},
    error::{CloseError, Unavailability},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use tracing::Level;

use crate::{
    cookie::SessionCookie,
    forward::UpstreamError,
    heads::Refusal,
    response::{self, Response},
    telemetry::Verdict,
    validate::Invalid,
};

/// RFC 6750, section 3.
pub(crate) const BEARER: &str = "Bearer";
/// RFC 6750, section 3.1.
pub(crate) const BEARER_REFUSED: &str = "Bearer error=\"invalid_token\"";
/// RFC 9110, section 15.5.2, wants a challenge with each 401; no scheme for cookies is registered.
pub(crate) const COOKIE: &str = "Cookie realm=\"session\"";
/// The most characters of a body that is no JSON.
const TEXT_LIMIT: usize = 1024;

/// Why a request did not get what it asked for.
#[derive(Debug)]
pub(crate) enum Problem {
    Framing(Refusal),
    BadHost,
    BadTarget,
    NotImplemented,
    NotFound,
    MethodNotAllowed(String),
    ConflictingCookies,
    CrossSite,
    UntrustedGateway,
    BodyTooLarge,
    BodyTooSlow,
    BodyUnreadable,
    Invalid(Invalid),
    NoBearer,
    NoCookie,
    UnknownSession,
    SessionExpired,
    RefreshTokenSpent,
    MalformedRefreshToken,
    NoTokensForPages,
    Refused { challenge: &'static str, reply: Reply },
    Backend(BackendError),
    Outage(BackendError),
    Unavailable { reason: Unavailability, retry_after: Duration },
    Full,
    LogoutFailed(CloseError),
    AmbiguousPath,
    Upstream(UpstreamError),
    TooSlow,
    TooManyConnections,
    NotTls,
    Internal,
}

/// One row of the table.
struct Row {
    status: StatusCode,
    detail: Value,
    challenge: Option<&'static str>,
    retry_after: Option<Duration>,
    clears_cookie: bool,
    /// What is left of the request on the connection cannot be trusted, or is not worth reading.
    closes: bool,
    level: Level,
}

impl Row {
    fn new(status: StatusCode, detail: impl Into<Value>) -> Self {
        let level = if status.is_server_error() { Level::WARN } else { Level::INFO };
        let detail = detail.into();
        Self { status, detail, challenge: None, retry_after: None, clears_cookie: false, closes: false, level }
    }

    fn challenge(self, challenge: &'static str) -> Self {
        Self { challenge: Some(challenge), ..self }
    }

    fn retry_after(self, retry_after: Duration) -> Self {
        Self { retry_after: Some(retry_after), ..self }
    }

    fn clears_cookie(self) -> Self {
        Self { clears_cookie: true, ..self }
    }

    fn closes(self) -> Self {
        Self { closes: true, ..self }
    }

    fn level(self, level: Level) -> Self {
        Self { level, ..self }
    }
}

impl Problem {
    fn row(&self) -> Row {
        use StatusCode as S;
        match self {
            Self::Framing(Refusal::Malformed) => Row::new(S::BAD_REQUEST, "Malformed request").closes(),
            Self::Framing(Refusal::TargetTooLong) => Row::new(S::URI_TOO_LONG, "URI Too Long").closes(),
            Self::Framing(Refusal::HeadTooLarge) => {
                Row::new(S::REQUEST_HEADER_FIELDS_TOO_LARGE, "Request Header Fields Too Large").closes()
            }
            Self::Framing(Refusal::HeadTooSlow) | Self::BodyTooSlow => {
                Row::new(S::REQUEST_TIMEOUT, "The request did not arrive in time").closes()
            }
            Self::BadHost => Row::new(S::BAD_REQUEST, "Invalid host header").closes(),
            Self::BadTarget => Row::new(S::BAD_REQUEST, "Invalid request target").closes(),
            Self::NotImplemented => Row::new(S::NOT_IMPLEMENTED, "Not Implemented").closes().level(Level::INFO),
            Self::NotFound => Row::new(S::NOT_FOUND, "Not Found"),
            Self::MethodNotAllowed(_) => Row::new(S::METHOD_NOT_ALLOWED, "Method Not Allowed"),
            Self::ConflictingCookies => Row::new(S::BAD_REQUEST, "Two different session cookies"),
            Self::CrossSite => Row::new(S::FORBIDDEN, "Cross-site request refused"),
            // A misconfiguration that nobody else would hear of: the gateway shows its own page.
            Self::UntrustedGateway => {
                Row::new(S::FORBIDDEN, "A page's request, from an address that is not in `trusted_proxies`")
                    .level(Level::WARN)
            }
            Self::BodyTooLarge => Row::new(S::PAYLOAD_TOO_LARGE, "Request body too large").closes(),
            Self::BodyUnreadable => Row::new(S::BAD_REQUEST, "There was an error parsing the body").closes(),
            Self::Invalid(invalid) => Row::new(S::UNPROCESSABLE_ENTITY, invalid.to_json()),
            Self::NoBearer => Row::new(S::UNAUTHORIZED, "Not authenticated").challenge(BEARER),
            Self::NoCookie => {
                Row::new(S::UNAUTHORIZED, "No session cookie found. Please login first.").challenge(COOKIE)
            }
            // The cookie stays: clearing it could take away the one that a later login has set meanwhile.
            Self::UnknownSession => Row::new(S::UNAUTHORIZED, "Invalid session. Please login again.").challenge(COOKIE),
            Self::SessionExpired => Row::new(S::UNAUTHORIZED, "Session expired").challenge(COOKIE).clears_cookie(),
            Self::RefreshTokenSpent => Row::new(S::UNAUTHORIZED, "The refresh token is spent").challenge(BEARER),
            Self::MalformedRefreshToken => Row::new(S::UNAUTHORIZED, "Invalid refresh token").challenge(BEARER),
            Self::NoTokensForPages => Row::new(
                S::FORBIDDEN,
                "Tokens are not handed out here. The session behind the cookie is refreshed by itself.",
            ),
            Self::Refused { challenge, reply } => refused(reply, challenge),
            Self::Backend(error) => backend(error),
            // Behind a session the service's failure is a pause, and never the session's end.
            Self::Outage(error) => {
                let row = backend(error);
                let pause = row.retry_after.unwrap_or(SOON);
                Row { status: S::SERVICE_UNAVAILABLE, ..row }.retry_after(pause)
            }
            Self::Unavailable { reason, retry_after } => unavailable(*reason).retry_after(*retry_after),
            Self::Full => Row::new(S::SERVICE_UNAVAILABLE, "There is no room for another session")
                .retry_after(Duration::from_secs(30))
                .level(Level::ERROR),
            Self::LogoutFailed(_) => {
                Row::new(S::SERVICE_UNAVAILABLE, "The session could not be ended; try again").retry_after(SOON)
            }
            Self::AmbiguousPath => Row::new(S::BAD_REQUEST, "Ambiguous path"),
            Self::Upstream(error) => upstream(error),
            Self::TooSlow => Row::new(S::GATEWAY_TIMEOUT, "The request took too long").closes(),
            Self::TooManyConnections => {
                Row::new(S::SERVICE_UNAVAILABLE, "Too many connections").retry_after(SOON).closes()
            }
            Self::NotTls => Row::new(S::BAD_REQUEST, "This port speaks TLS: use https").closes(),
            Self::Internal => Row::new(S::INTERNAL_SERVER_ERROR, "Internal Server Error").level(Level::ERROR),
        }
    }

    /// Whether a new login is what helps.
    pub(crate) fn asks_for_login(&self) -> bool {
        matches!(self, Self::NoCookie | Self::UnknownSession | Self::SessionExpired)
    }

    /// What went wrong underneath, for the log.
    fn cause(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Backend(error) | Self::Outage(error) => Some(error),
            Self::LogoutFailed(error) => Some(error),
            Self::Upstream(error) => Some(error),
            Self::Unavailable { reason, .. } => Some(reason),
            _ => None,
        }
    }

    /// The answer to a request with these headers.
    pub(crate) fn into_response(self, headers: &HeaderMap, cookie: SessionCookie) -> Response {
        let mut row = self.row();
        let mut response = if accepts_problem_json(headers) {
            rfc_9457(&self, row.status, row.detail.take())
        } else {
            response::json(row.status, &json!({ "detail": row.detail.take() }))
        };
        let headers = response.headers_mut();
        headers.insert(header::VARY, HeaderValue::from_static("Accept"));
        if let Some(challenge) = row.challenge {
            headers.insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
        }
        if let Some(retry_after) = row.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(whole_seconds(retry_after)));
        }
        if row.clears_cookie {
            headers.insert(header::SET_COOKIE, cookie.clear());
        }
        if row.closes {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        if let Self::MethodNotAllowed(allow) = &self {
            headers.insert(header::ALLOW, HeaderValue::from_str(allow).expect("names of methods are visible ASCII"));
        }
        response.extensions_mut().insert(Verdict::new(row.level, self.cause()));
        response
    }
}

const SOON: Duration = Duration::from_secs(2);

fn refused(reply: &Reply, challenge: &'static str) -> Row {
    if !reply.status.is_client_error() {
        return Row::new(StatusCode::BAD_GATEWAY, NO_USABLE_ANSWER);
    }
    let parsed = if reply.is_json { serde_json::from_slice(&reply.body).ok() } else { None };
    let detail = parsed.unwrap_or_else(|| {
        let text = String::from_utf8_lossy(&reply.body);
        Value::from(text.chars().take(TEXT_LIMIT).collect::<String>())
    });
    let mut row = Row::new(reply.status, detail);
    if reply.status == StatusCode::UNAUTHORIZED {
        row.challenge = Some(challenge);
    }
    row.retry_after = reply.retry_after;
    row
}

const NO_USABLE_ANSWER: &str = "The auth service gave no usable answer";

/// What an upstream did instead of answering; never where it is.
fn upstream(error: &UpstreamError) -> Row {
    use StatusCode as S;
    match error {
        UpstreamError::Unreachable(_) => Row::new(S::BAD_GATEWAY, "The upstream cannot be reached"),
        UpstreamError::Tls(_) => Row::new(S::BAD_GATEWAY, "No secure connection to the upstream"),
        UpstreamError::Closed(_) => Row::new(S::BAD_GATEWAY, "The upstream closed the connection without an answer"),
        UpstreamError::Malformed(_) | UpstreamError::UnaskedUpgrade => {
            Row::new(S::BAD_GATEWAY, "The upstream's answer is malformed")
        }
        UpstreamError::ConnectTimeout => Row::new(S::GATEWAY_TIMEOUT, "Connecting to the upstream took too long"),
        UpstreamError::TooSlow => Row::new(S::GATEWAY_TIMEOUT, "The upstream did not answer in time"),
        UpstreamError::Full => {
            Row::new(S::SERVICE_UNAVAILABLE, "All connections to the upstream are in use").retry_after(SOON)
        }
        UpstreamError::SessionEnded => {
            Row::new(S::UNAUTHORIZED, "Session expired").challenge(COOKIE).level(Level::INFO)
        }
    }
}

fn backend(error: &BackendError) -> Row {
    match error {
        BackendError::Unreachable(_) => Row::new(StatusCode::BAD_GATEWAY, "The auth service cannot be reached"),
        BackendError::TimedOut => Row::new(StatusCode::GATEWAY_TIMEOUT, "The auth service did not answer in time"),
        BackendError::Overloaded { retry_after } => {
            Row::new(StatusCode::SERVICE_UNAVAILABLE, "The auth service is overloaded")
                .retry_after(retry_after.unwrap_or(SOON))
        }
        // `BackendError` may grow; whatever comes is an answer that we cannot use.
        _ => Row::new(StatusCode::BAD_GATEWAY, NO_USABLE_ANSWER),
    }
}

fn unavailable(reason: Unavailability) -> Row {
    let (detail, level) = match reason {
        Unavailability::Backend => ("The auth service is not available; the session is kept", Level::WARN),
        Unavailability::Misconfigured => ("The auth service refuses this proxy", Level::ERROR),
        Unavailability::Store => ("The session store is not available", Level::ERROR),
        Unavailability::Deadline => ("The auth service is slow; the session is kept", Level::WARN),
        Unavailability::Overloaded => ("Too many refreshes are waiting; the session is kept", Level::WARN),
        Unavailability::ShuttingDown => ("The server is shutting down", Level::INFO),
        _ => ("The session is not available now", Level::ERROR),
    };
    Row::new(StatusCode::SERVICE_UNAVAILABLE, detail).level(level)
}

/// Rounded up, and at least one: zero would be an invitation to a hot loop.
fn whole_seconds(duration: Duration) -> u64 {
    (duration.as_secs() + u64::from(duration.subsec_nanos() > 0)).max(1)
}

fn rfc_9457(problem: &Problem, status: StatusCode, detail: Value) -> Response {
    let title = status.canonical_reason().unwrap_or("Error");
    let mut body = json!({ "type": "about:blank", "title": title, "status": status.as_u16() });
    match (problem, detail) {
        (_, Value::String(text)) => body["detail"] = Value::String(text),
        (Problem::Invalid(_), errors) => {
            body["detail"] = "The request is not valid".into();
            body["errors"] = errors;
        }
        (_, answer) => {
            body["detail"] = "The auth service refused the request".into();
            body["auth_service"] = answer;
        }
    }
    let mut response = response::json(status, &body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
    response
}

/// Whether `Accept` names `application/problem+json` and does not rule it out. A wildcard does not name it.
fn accepts_problem_json(headers: &HeaderMap) -> bool {
    let ranges = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    ranges.flat_map(|value| value.split(',')).any(|range| {
        let mut parts = range.split(';').map(str::trim);
        let named = parts.next().is_some_and(|name| name.eq_ignore_ascii_case("application/problem+json"));
        let ruled_out = parts
            .filter_map(|part| part.split_once('='))
            .any(|(name, weight)| name.eq_ignore_ascii_case("q") && weight.parse::<f32>().is_ok_and(|q| q <= 0.0));
        named && !ruled_out
    })
}

#[cfg(test)]
mod tests;
