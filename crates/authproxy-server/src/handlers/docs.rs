//! `GET /docs` and `GET /openapi.json`: the interactive documentation, every byte of it from this program.

use std::sync::{Arc, LazyLock};

use bytes::Bytes;
use http::{
    HeaderValue, StatusCode,
    header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY},
};

use crate::{
    openapi,
    problem::Problem,
    response::{self, Response},
};

/// Scripts and styles from here only, requests to here only, no frames, no forms, no other hosts.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
                      connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Pages and scripts change with the program, under the same names.
const BRIEFLY: HeaderValue = HeaderValue::from_static("public, max-age=300");

const PAGE: &str = include_str!("docs/page.html");
const SCRIPT: &str = include_str!("docs/page.js");

static OPENAPI: LazyLock<Bytes> = LazyLock::new(|| openapi::to_json().into());

/// The document.
pub(crate) fn openapi() -> Response {
    public(response::with_body(StatusCode::OK, response::JSON, OPENAPI.clone()))
}

/// The page.
pub(crate) fn page() -> Response {
    let html = HeaderValue::from_static("text/html; charset=utf-8");
    let mut response = public(response::with_body(StatusCode::OK, html, PAGE));
    response.headers_mut().insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    response
}

/// What the page loads.
///
/// # Errors
///
/// [`Problem::NotFound`], for a path that the route table has and Swagger UI has not.
pub(crate) fn asset(path: &str) -> Result<Response, Problem> {
    const JAVASCRIPT: HeaderValue = HeaderValue::from_static("text/javascript; charset=utf-8");
    let name = path.strip_prefix("/docs/").ok_or(Problem::NotFound)?;
    if name == "authproxy.js" {
        return Ok(public(response::with_body(StatusCode::OK, JAVASCRIPT, SCRIPT)));
    }
    let content_type = match name.rsplit_once('.') {
        Some((_, "js")) => JAVASCRIPT,
        Some((_, "css")) => HeaderValue::from_static("text/css; charset=utf-8"),
        Some((_, "png")) => HeaderValue::from_static("image/png"),
        _ => return Err(Problem::NotFound),
    };
    let unused = Arc::new(utoipa_swagger_ui::Config::from("/openapi.json"));
    let file = utoipa_swagger_ui::serve(name, unused).ok().flatten().ok_or(Problem::NotFound)?;
    Ok(public(response::with_body(StatusCode::OK, content_type, file.bytes.into_owned())))
}

fn public(mut response: Response) -> Response {
    response.headers_mut().insert(CACHE_CONTROL, BRIEFLY);
    response
}
