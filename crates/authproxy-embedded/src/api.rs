//! The seed's contract over HTTP: one request in, one answer out.

use bytes::Bytes;
use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use serde_json::{Value, json};

use crate::{
    input::{Invalid, form_fields, json_fields},
    passwords::Denied,
    service::{EmbeddedAuth, IssuedPair},
};

const LARGEST_BODY: usize = 16 * 1024;

pub(crate) type Answer = Response<Full<Bytes>>;

pub(crate) async fn answer(service: &EmbeddedAuth, request: Request<Incoming>) -> Answer {
    match (request.method(), request.uri().path()) {
        (&Method::POST, "/register") => with_body(request, async |body| register(service, &body).await).await,
        (&Method::POST, "/login") => with_body(request, async |body| login(service, &body).await).await,
        (&Method::POST, "/refresh") => with_body(request, async |body| refresh(service, &body)).await,
        (&Method::POST, "/revoke") => with_body(request, async |body| revoke(service, &body)).await,
        (&Method::GET, "/protected") => protected(service, &request),
        (_, "/register" | "/login" | "/refresh" | "/revoke") => wrong_method("POST"),
        (_, "/protected") => wrong_method("GET"),
        _ => detail(StatusCode::NOT_FOUND, "Not Found"),
    }
}

async fn with_body(request: Request<Incoming>, handle: impl AsyncFnOnce(Bytes) -> Answer) -> Answer {
    match Limited::new(request.into_body(), LARGEST_BODY).collect().await {
        Ok(body) => handle(body.to_bytes()).await,
        Err(_) => detail(StatusCode::PAYLOAD_TOO_LARGE, "Request body too large"),
    }
}

async fn register(service: &EmbeddedAuth, body: &[u8]) -> Answer {
    let [email, password] = match json_fields(body, ["email", "password"]) {
        Ok(fields) => fields,
        Err(invalid) => return unprocessable(invalid),
    };
    if !email.contains('@') || password.is_empty() {
        return detail(StatusCode::BAD_REQUEST, "An email address and a password are required");
    }
    match service.register(&email, password).await {
        Ok(()) => {
            let body = json!({ "message": "User registered successfully", "email": email.as_str() });
            json_answer(StatusCode::OK, &body)
        }
        Err(Denied::Taken) => detail(StatusCode::BAD_REQUEST, "Email already registered"),
        Err(Denied::Full | Denied::Busy) => busy(),
    }
}

async fn login(service: &EmbeddedAuth, body: &[u8]) -> Answer {
    let [username, password] = match form_fields(body, ["username", "password"]) {
        Ok(fields) => fields,
        Err(invalid) => return unprocessable(invalid),
    };
    match service.login(&username, password).await {
        Ok(Some(pair)) => tokens(&pair),
        Ok(None) => detail(StatusCode::UNAUTHORIZED, "Invalid credentials"),
        Err(_) => busy(),
    }
}

fn refresh(service: &EmbeddedAuth, body: &[u8]) -> Answer {
    let [refresh_token] = match json_fields(body, ["refresh_token"]) {
        Ok(fields) => fields,
        Err(invalid) => return unprocessable(invalid),
    };
    match service.refresh(&refresh_token) {
        Ok(pair) => tokens(&pair),
        Err(_) => detail(StatusCode::UNAUTHORIZED, "Invalid refresh token"),
    }
}

/// RFC 7009: 200 also for a token that is not known.
fn revoke(service: &EmbeddedAuth, body: &[u8]) -> Answer {
    let [token] = match form_fields(body, ["token"]) {
        Ok(fields) => fields,
        Err(invalid) => return unprocessable(invalid),
    };
    service.revoke(&token);
    json_answer(StatusCode::OK, &json!({}))
}

fn protected(service: &EmbeddedAuth, request: &Request<Incoming>) -> Answer {
    let Some(token) = bearer(request) else {
        return challenge("Not authenticated", "Bearer");
    };
    match service.user_of(token) {
        Some(user) => {
            json_answer(StatusCode::OK, &json!({ "message": "You have access to this protected route", "user": user }))
        }
        None => challenge("Invalid or expired token", r#"Bearer error="invalid_token""#),
    }
}

fn bearer(request: &Request<Incoming>) -> Option<&str> {
    let (scheme, token) = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then_some(token)
}

/// RFC 6749, section 5.1, with the refresh token's lifetime beside it.
fn tokens(pair: &IssuedPair) -> Answer {
    let body = json!({
        "access_token": pair.access_token.as_str(),
        "refresh_token": pair.refresh_token.as_str(),
        "token_type": "bearer",
        "expires_in": pair.expires_in.as_secs(),
        "refresh_expires_in": pair.refresh_expires_in.as_secs(),
    });
    json_answer(StatusCode::OK, &body)
}

fn challenge(text: &str, challenge: &'static str) -> Answer {
    let mut answer = detail(StatusCode::UNAUTHORIZED, text);
    answer.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static(challenge));
    answer
}

fn wrong_method(allow: &'static str) -> Answer {
    let mut answer = detail(StatusCode::METHOD_NOT_ALLOWED, "Method Not Allowed");
    answer.headers_mut().insert(header::ALLOW, HeaderValue::from_static(allow));
    answer
}

fn busy() -> Answer {
    let mut answer = detail(StatusCode::SERVICE_UNAVAILABLE, "Too many requests at once");
    answer.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    answer
}

fn unprocessable(invalid: Invalid) -> Answer {
    json_answer(StatusCode::UNPROCESSABLE_ENTITY, &invalid.detail())
}

fn detail(status: StatusCode, text: &str) -> Answer {
    json_answer(status, &json!({ "detail": text }))
}

fn json_answer(status: StatusCode, body: &Value) -> Answer {
    let mut answer = Response::new(Full::new(Bytes::from(body.to_string())));
    *answer.status_mut() = status;
    let headers = answer.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
