//! `POST /logout`: ends the session, takes the cookie away.

use http::{StatusCode, header::SET_COOKIE};
use serde_json::json;

use crate::{
    cookie::Presented,
    problem::Problem,
    response::{self, Response},
    service::{App, Request},
};

/// Ends the session, where there is one. When the store does not answer, the cookie stays: the session may live on.
#[utoipa::path(
    post,
    path = "/logout",
    tag = "Sessions",
    summary = "Log out",
    description = "Ends the session of the cookie, with or without one.",
    security(("session" = []), ()),
    responses(
        (status = 200, description = "Logged out", body = crate::openapi::Message),
        (status = 403, description = "The request came from another site's page", body = crate::openapi::Detail),
        (status = 503, description = "The session could not be ended; see `Retry-After`", body = crate::openapi::Detail),
    )
)]
pub(crate) async fn handle(app: &App, request: &Request) -> Result<Response, Problem> {
    if let Presented::Id(id) = &request.session {
        let key = id.key();
        app.manager.close(&key).await?;
        app.forwarder.live.end(&key);
    }
    let mut response = response::json(StatusCode::OK, &json!({ "message": "Logged out successfully" }));
    response.headers_mut().insert(SET_COOKIE, app.cookie.clear());
    Ok(response)
}
