//! `/auth/verify`: answers a gateway whether a request may pass, and with which token (forward-auth).
//!
//! 200 is the only "yes" that nginx, Traefik, Caddy and Envoy have in common; its headers are what the gateway adds to
//! the request. The sub-request's body is never read.

use http::{
    HeaderName,
    header::{AUTHORIZATION, SET_COOKIE},
};

use crate::{
    body::Body,
    burst, csrf,
    forward::claims,
    gateway::{Effect, Original},
    login_page,
    problem::Problem,
    response::Response,
    service::{App, Request},
};

const X_AUTH_REQUEST_USER: HeaderName = HeaderName::from_static("x-auth-request-user");
const X_AUTH_REQUEST_PREFERRED_USERNAME: HeaderName = HeaderName::from_static("x-auth-request-preferred-username");
const X_AUTH_REQUEST_EMAIL: HeaderName = HeaderName::from_static("x-auth-request-email");

/// Lets the original request pass with the session's token, or says why not.
#[utoipa::path(
    get,
    path = "/auth/verify",
    tag = "Gateways",
    summary = "May this request pass?",
    description = "For nginx `auth_request`, Traefik ForwardAuth, Caddy `forward_auth`, Envoy `ext_authz`: any method, \
                   and any path below it. The answer's headers are for the upstream.",
    security(("session" = [])),
    responses(
        (status = 200, description = "Yes: add `Authorization` and `X-Auth-Request-*` to the request"),
        (status = 302, description = "No session: a navigation goes to `verify.login_page`, where that is set"),
        (status = 401, description = "No session", body = crate::openapi::Detail),
        (status = 403, description = "Another site's page, or a page behind a gateway that is not trusted", body = crate::openapi::Detail),
        (status = 503, description = "Not now: the session lives; see `Retry-After`", body = crate::openapi::Detail),
    )
)]
pub(crate) async fn handle(app: &App, request: &Request) -> Result<Response, Problem> {
    let is_trusted = app.trusts(request.peer.ip());
    let original = Original::new(&request.method, &request.uri, &request.headers, is_trusted);
    match allow(app, request, original).await {
        Err(problem) if problem.asks_for_login() => Ok(to_login(app, request, original, problem)),
        outcome => outcome,
    }
}

async fn allow(app: &App, request: &Request, original: Original<'_>) -> Result<Response, Problem> {
    let id = request.session_id()?;
    guard(app, request, original)?;
    let key = id.key();
    burst::gather(&app.manager, key).await;
    let token = app.manager.access_token(&key).await?;

    let mut response = Response::new(Body::whole(""));
    let headers = response.headers_mut();
    headers.insert(AUTHORIZATION, token.access_token().authorization().clone());
    if let Some(user) = claims::text(token.user()) {
        if is_email(token.user()) {
            headers.insert(X_AUTH_REQUEST_EMAIL, user.clone());
        }
        headers.insert(X_AUTH_REQUEST_PREFERRED_USERNAME, user.clone());
        headers.insert(X_AUTH_REQUEST_USER, user);
    }
    if token.take_prolonged_by_gateway() {
        headers.insert(SET_COOKIE, app.cookie.set(id, app.session_life(&token)));
    }
    Ok(response)
}

/// Keeps other sites' pages from acting with the cookie, and every page from getting the token.
fn guard(app: &App, request: &Request, original: Original<'_>) -> Result<(), Problem> {
    if !original.is_trusted() {
        // What a page wants to do stands in headers that are not believed, and it could read the answer itself.
        if csrf::made_by_page(&request.headers) || !app.hands_out_tokens(&request.headers) {
            return Err(Problem::UntrustedGateway);
        }
    }
    match original.effect() {
        Effect::Reads => {}
        Effect::MayChange => csrf::check_cookie_only(&request.headers, &app.origins)?,
        // A page says where it comes from whenever it may change something; what says nothing is no page.
        Effect::Untold => csrf::check(&request.headers, &app.origins)?,
    }
    Ok(())
}

/// Sends a person who has to log in to the login page, where there is one; a program gets its 401.
fn to_login(app: &App, request: &Request, original: Original<'_>, problem: Problem) -> Response {
    let refusal = app.problem(problem, request);
    let page = app.verify.login_page.as_deref().filter(|_| original.is_trusted() && original.is_navigation());
    let Some(page) = page else { return refusal };
    // Absolute, for Traefik resolves a path against the address where it asks us.
    let origin = if page.starts_with('/') { app.origins.public() } else { "" };
    login_page::redirect(&format!("{origin}{page}"), original.return_address(&app.origins).as_deref(), refusal)
}

/// Whether a login name is an e-mail address, as the auth service's contract says it is: one `@` between two names.
fn is_email(user: &str) -> bool {
    let mut parts = user.split('@');
    let is_name = |part: Option<&str>| part.is_some_and(|part| !part.is_empty() && !part.contains(char::is_whitespace));
    is_name(parts.next()) && is_name(parts.next()) && parts.next().is_none()
}
