//! `POST /login`: opens a session, under a new id whatever cookie came with the request.

use authproxy_core::backend::{Credentials, PasswordOptions};
use authproxy_core::manager::OpenedSession;
use http::{HeaderMap, StatusCode, header::SET_COOKIE};
use serde_json::{Value, json};

use crate::{
    cookie::Presented,
    handoff,
    problem::Problem,
    response::{self, Response},
    service::{App, Request},
    telemetry, validate,
};

const LONGEST_NAME: usize = 320;
const LONGEST_PASSWORD: usize = 1024;
const LONGEST_OPTION: usize = 1024;

/// Logs in with the seed's form and sets the session cookie.
#[utoipa::path(
    post,
    path = "/login",
    tag = "Sessions",
    summary = "Log in",
    description = "Opens a session and sets its cookie. A browser page gets a message and never a token; every other \
                   client gets the auth service's token JSON too (`token_delivery` decides).",
    request_body(content((crate::openapi::LoginForm = "application/x-www-form-urlencoded"), (crate::openapi::LoginForm = "multipart/form-data"))),
    responses(
        (status = 200, description = "Logged in; `Set-Cookie` carries the session", body = crate::openapi::LoggedIn),
        (status = "4XX", description = "The auth service refused: its status, with its JSON under `detail`", body = crate::openapi::Detail),
        (status = 403, description = "The request came from another site's page", body = crate::openapi::Detail),
        (status = 413, description = "The body has more than 16 KiB", body = crate::openapi::Detail),
        (status = 422, description = "The form is not valid", body = crate::openapi::ValidationDetail),
        (status = 502, description = "The auth service cannot be reached, or talks nonsense", body = crate::openapi::Detail),
        (status = 503, description = "No session can be opened now; see `Retry-After`", body = crate::openapi::Detail),
        (status = 504, description = "The auth service is slow", body = crate::openapi::Detail),
    )
)]
pub(crate) async fn handle(app: &App, request: &Request) -> Result<Response, Problem> {
    let credentials = credentials(&request.headers, &request.body).await?;
    let hand_out = app.hands_out_tokens(&request.headers);
    let opened =
        if hand_out { app.manager.open_handing_out(credentials).await? } else { app.manager.open(credentials).await? };
    close_former(app, &request.session).await;

    // As the service said them: counted from now, whole seconds would fall short by the time that the login took.
    let expires_in = opened.session.expires_at().since(opened.asked_at).as_secs();
    let cookie = app.cookie.set(&opened.id, opened.session.session_ends_at().since(opened.asked_at));
    let body = if hand_out { tokens(opened, expires_in) } else { message(expires_in) };
    let mut response = response::json(StatusCode::OK, &body);
    response.headers_mut().insert(SET_COOKIE, cookie);
    Ok(response)
}

async fn credentials(headers: &HeaderMap, body: &[u8]) -> Result<Credentials, Problem> {
    let mut form = validate::form(headers, body).await?;
    let username = form.required("username", LONGEST_NAME).to_string();
    let password = form.required("password", LONGEST_PASSWORD);
    let options = PasswordOptions {
        grant_type: form.optional("grant_type", LONGEST_OPTION).map(|text| text.to_string()),
        scope: form.optional("scope", LONGEST_OPTION).map(|text| text.to_string()),
        client_id: form.optional("client_id", LONGEST_OPTION).map(|text| text.to_string()),
        client_secret: form.optional("client_secret", LONGEST_OPTION),
    };
    form.finish()?;
    Ok(Credentials::Password { username, password, options })
}

/// Ends the session that this browser had until now. The new one stands whether this succeeds or not.
async fn close_former(app: &App, former: &Presented) {
    if let Presented::Id(id) = former
        && let Err(error) = app.manager.close(&id.key()).await
    {
        tracing::warn!(cause = %telemetry::chain(&error), "the browser's former session could not be closed");
    }
}

fn tokens(opened: OpenedSession, expires_in: u64) -> Value {
    handoff::token_json(&opened.tokens, opened.extra, Some(expires_in))
}

fn message(expires_in: u64) -> Value {
    json!({ "message": "Login successful", "expires_in": expires_in })
}
