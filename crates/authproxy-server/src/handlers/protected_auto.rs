//! `GET /protected-auto`: the auth service's protected resource, with the session's token, refreshed when needed.

use authproxy_core::{backend::Reply, manager::ReadyToken, session::SessionKey};
use http::StatusCode;

use crate::{
    problem::{self, Problem},
    response::{self, Response},
    service::{App, Request},
};

/// Calls the protected resource on behalf of the session.
#[utoipa::path(
    get,
    path = "/protected-auto",
    tag = "Sessions",
    summary = "The protected resource, with your session",
    description = "Uses the session cookie. The access token behind it is refreshed when needed.",
    security(("session" = [])),
    responses(
        (status = 200, description = "The auth service's answer", body = serde_json::Value),
        (status = 401, description = "No session, or it has ended: log in again", body = crate::openapi::Detail),
        (status = 503, description = "Not now: the session lives; see `Retry-After`", body = crate::openapi::Detail),
    )
)]
pub(crate) async fn handle(app: &App, request: &Request) -> Result<Response, Problem> {
    let id = request.session_id()?;
    let key = id.key();
    let mut token = app.manager.access_token(&key).await?;
    let outcome = match call(app, &token).await {
        Ok(reply) if reply.status == StatusCode::UNAUTHORIZED => replay(app, &key, &mut token, reply).await,
        outcome => outcome,
    };
    let outcome = outcome.and_then(|reply| response::pass_on(reply, problem::COOKIE));
    let mut response = outcome.unwrap_or_else(|problem| app.problem(problem, request));
    app.announce(&mut response, id, &token);
    Ok(response)
}

async fn call(app: &App, token: &ReadyToken) -> Result<Reply, Problem> {
    app.backend.protected(&token.access_token()).await.map_err(Problem::Outage)
}

/// Tries once more with a newer token, where there is one. The second answer stands, whatever it is.
async fn replay(app: &App, key: &SessionKey, token: &mut ReadyToken, refused: Reply) -> Result<Reply, Problem> {
    app.manager.report_rejected(key, token.version());
    let fresh = app.manager.access_token(key).await?;
    if fresh.version() == token.version() {
        return Ok(refused);
    }
    *token = fresh;
    call(app, token).await
}
