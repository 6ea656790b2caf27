//! `GET /session`: what a page may know of its session. Never a token, and not counted as use.

use http::StatusCode;
use serde_json::json;

use crate::{
    problem::Problem,
    response::{self, Response},
    service::{App, Request},
};

/// Says who is logged in, and how many seconds the access token and the session still live.
#[utoipa::path(
    get,
    path = "/session",
    tag = "Sessions",
    summary = "Your session",
    description = "What a page may know: the user and the seconds that are left. Asking does not prolong the session.",
    security(("session" = [])),
    responses(
        (status = 200, description = "There is a session", body = crate::openapi::SessionStatus),
        (status = 401, description = "There is none", body = crate::openapi::Detail),
        (status = 503, description = "Not now; see `Retry-After`", body = crate::openapi::Detail),
    )
)]
pub(crate) async fn handle(app: &App, request: &Request) -> Result<Response, Problem> {
    let id = request.session_id()?;
    let session = app.manager.session(&id.key()).await?;
    let access_life = session.expires_at().since(app.manager.now());
    let body = json!({
        "user": session.user(),
        "access_expires_in": access_life.as_secs(),
        "session_expires_in": app.session_life(&session).as_secs(),
    });
    let mut response = response::json(StatusCode::OK, &body);
    app.announce(&mut response, id, &session);
    Ok(response)
}
