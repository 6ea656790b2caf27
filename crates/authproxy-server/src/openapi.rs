//! The `OpenAPI` 3.1 document: the route table's endpoints, each described beside its handler.

// The types below are only ever described, never made: the handlers read and write the bodies by hand.
#![allow(dead_code)]

use serde::Serialize;
use utoipa::{
    Modify, OpenApi, ToSchema,
    openapi::security::{ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityScheme},
};

use crate::handlers;

/// The document as text, as `GET /openapi.json` and `authproxy openapi` give it.
pub fn to_json() -> String {
    Document::openapi().to_pretty_json().expect("the document is made of maps with text keys")
}

#[derive(OpenApi)]
#[openapi(
    info(
        title = "authproxy",
        description = "Log in once; the session behind the cookie keeps its tokens fresh. Try it in order: **register**, \
                       **log in**, **/protected-auto**, **log out**.",
    ),
    paths(
        handlers::register::handle,
        handlers::login::handle,
        handlers::protected_auto::handle,
        handlers::session::handle,
        handlers::logout::handle,
        handlers::refresh::handle,
        handlers::protected::handle,
        handlers::verify::handle,
    ),
    modifiers(&Credentials),
    tags(
        (name = "Accounts"),
        (name = "Sessions", description = "With the cookie: nothing to keep, nothing to refresh"),
        (name = "Tokens by hand", description = "For clients that are no browsers"),
        (name = "Gateways", description = "For a gateway that asks before it forwards"),
    ),
)]
struct Document;

struct Credentials;

impl Modify for Credentials {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let components = document.components.get_or_insert_default();
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("An access token from `/login` or `/refresh`, outside a browser page"))
            .build();
        components.add_security_scheme("bearer", SecurityScheme::Http(bearer));
        let cookie = ApiKeyValue::with_description(
            "session_id",
            "Set by `/login`; the browser sends it by itself. Behind https its name is `__Host-session_id`.",
        );
        components.add_security_scheme("session", SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
        // No operation of ours has an id that a reader knows.
        for item in document.paths.paths.values_mut() {
            for operation in [&mut item.get, &mut item.post].into_iter().flatten() {
                operation.operation_id = None;
            }
        }
    }
}

/// An account to be created.
#[derive(ToSchema)]
pub(crate) struct Registration {
    #[schema(example = "user@example.com", max_length = 320)]
    email: String,
    #[schema(example = "password123", format = Password, max_length = 1024)]
    password: String,
}

/// The seed's login form.
#[derive(ToSchema)]
pub(crate) struct LoginForm {
    #[schema(example = "user@example.com", max_length = 320, min_length = 1)]
    username: String,
    #[schema(example = "password123", format = Password, max_length = 1024, min_length = 1)]
    password: String,
    #[schema(example = "password")]
    grant_type: Option<String>,
    #[schema(example = "")]
    scope: Option<String>,
    #[schema(example = "")]
    client_id: Option<String>,
    #[schema(example = "")]
    client_secret: Option<String>,
}

/// A refresh token that a client holds itself.
#[derive(ToSchema)]
pub(crate) struct Refresh {
    #[schema(example = "your-refresh-token", max_length = 8192)]
    refresh_token: String,
}

/// What a login answers: a message for a page, tokens for every other client.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
pub(crate) enum LoggedIn {
    Page(PageLogin),
    Tokens(Tokens),
}

/// What a browser page is told.
#[derive(Serialize, ToSchema)]
pub(crate) struct PageLogin {
    #[schema(example = "Login successful")]
    message: String,
    /// Seconds until the access token behind the session is refreshed at the latest.
    #[schema(example = 120)]
    expires_in: u64,
}

/// The auth service's token response, with all its fields.
#[derive(Serialize, ToSchema)]
pub(crate) struct Tokens {
    access_token: String,
    refresh_token: Option<String>,
    #[schema(example = "bearer")]
    token_type: String,
    #[schema(example = 120)]
    expires_in: Option<u64>,
}

/// What a page may know of its session.
#[derive(ToSchema)]
pub(crate) struct SessionStatus {
    #[schema(example = "user@example.com")]
    user: String,
    /// Seconds that the access token still lives.
    #[schema(example = 117)]
    access_expires_in: u64,
    /// Seconds that the session still lives, unless it is prolonged.
    #[schema(example = 237)]
    session_expires_in: u64,
}

/// A message.
#[derive(ToSchema)]
pub(crate) struct Message {
    #[schema(example = "Logged out successfully")]
    message: String,
}

/// Why not: a text of ours, or the auth service's own JSON.
#[derive(ToSchema)]
pub(crate) struct Detail {
    detail: serde_json::Value,
}

/// What is wrong with the request's body, one entry a field.
#[derive(ToSchema)]
pub(crate) struct ValidationDetail {
    detail: Vec<ValidationEntry>,
}

/// One mistake.
#[derive(ToSchema)]
pub(crate) struct ValidationEntry {
    #[schema(rename = "type", example = "missing")]
    r#type: String,
    /// Where: `body`, then a field's name or an offset in characters.
    #[schema(example = json!(["body", "password"]))]
    loc: Vec<serde_json::Value>,
    #[schema(example = "Field required")]
    msg: String,
    ctx: Option<serde_json::Value>,
}

#[cfg(test)]
mod tests;
