//! `POST /refresh`: a client that holds its own tokens refreshes them by hand.
//!
//! A page is refused before anything is presented, and so is everybody when tokens are delivered by cookie only. To
//! exchange the token and keep the answer would spend it and lose what came back; to hand the answer to a page is
//! what `token_delivery` forbids. A page needs no refresh: the session behind its cookie is refreshed by itself.

use authproxy_core::token::RefreshToken;
use http::StatusCode;

use crate::{
    handoff,
    problem::Problem,
    response::{self, Response},
    service::{App, Request},
    validate,
};

const LONGEST_TOKEN: usize = 8192;

/// Exchanges a refresh token, through the session's own lineage where it belongs to one.
#[utoipa::path(
    post,
    path = "/refresh",
    tag = "Tokens by hand",
    summary = "Refresh tokens by hand",
    description = "For clients that hold their own tokens. A browser page is refused: it has none, and its session is \
                   refreshed by itself.",
    request_body = crate::openapi::Refresh,
    responses(
        (status = 200, description = "New tokens", body = crate::openapi::Tokens),
        (status = 401, description = "The refresh token is spent, expired or unknown", body = crate::openapi::Detail),
        (status = 403, description = "A browser page asked, or tokens are delivered by cookie only", body = crate::openapi::Detail),
        (status = 413, description = "The body has more than 16 KiB", body = crate::openapi::Detail),
        (status = 422, description = "The body is not valid", body = crate::openapi::ValidationDetail),
        (status = 502, description = "The auth service cannot be reached, or talks nonsense", body = crate::openapi::Detail),
        (status = 503, description = "No refresh is possible now; see `Retry-After`", body = crate::openapi::Detail),
        (status = 504, description = "The auth service is slow", body = crate::openapi::Detail),
    )
)]
pub(crate) async fn handle(app: &App, request: &Request) -> Result<Response, Problem> {
    let mut fields = validate::json(&request.headers, &request.body)?;
    let refresh_token = fields.required("refresh_token", LONGEST_TOKEN);
    fields.finish()?;
    if !app.hands_out_tokens(&request.headers) {
        return Err(Problem::NoTokensForPages);
    }
    // What no service can have issued is not worth a request, and must not break out of one.
    let refresh_token = RefreshToken::new(&refresh_token).map_err(|_| Problem::MalformedRefreshToken)?;
    let exchanged = app.manager.exchange(refresh_token).await?;
    let expires_in = exchanged.tokens.access_expires_at.map(|at| at.since(app.manager.now()).as_secs());
    Ok(response::json(StatusCode::OK, &handoff::token_json(&exchanged.tokens, serde_json::Map::new(), expires_in)))
}
