//! `POST /register`: the auth service creates an account.

use authproxy_core::backend::Registration;

use crate::{
    problem::{self, Problem},
    response::{self, Response},
    service::{App, Request},
    validate,
};

/// The longest address (RFC 5321 allows 254 octets) and password that are forwarded, in characters.
const LONGEST_EMAIL: usize = 320;
const LONGEST_PASSWORD: usize = 1024;

/// Forwards the account's address and password as JSON. What the service says of a success comes back as it is, a refusal
/// under `detail`.
#[utoipa::path(
    post,
    path = "/register",
    tag = "Accounts",
    summary = "Create an account",
    description = "Forwarded to the auth service as JSON. Its 2xx status and its JSON come back as they are.",
    request_body = crate::openapi::Registration,
    responses(
        (status = "2XX", description = "The auth service's answer", body = serde_json::Value),
        (status = "4XX", description = "The auth service refused: its status, with its JSON under `detail`", body = crate::openapi::Detail),
        (status = 413, description = "The body has more than 16 KiB", body = crate::openapi::Detail),
        (status = 422, description = "The body is not valid", body = crate::openapi::ValidationDetail),
        (status = 502, description = "The auth service cannot be reached, or talks nonsense", body = crate::openapi::Detail),
        (status = 503, description = "The auth service is overloaded; see `Retry-After`", body = crate::openapi::Detail),
        (status = 504, description = "The auth service is slow", body = crate::openapi::Detail),
    )
)]
pub(crate) async fn handle(app: &App, request: &Request) -> Result<Response, Problem> {
    let mut fields = validate::json(&request.headers, &request.body)?;
    let email = fields.required("email", LONGEST_EMAIL).to_string();
    let password = fields.required("password", LONGEST_PASSWORD);
    fields.finish()?;
    let reply = app.backend.register(&Registration { email, password }).await?;
    response::pass_on(reply, problem::BEARER)
}
