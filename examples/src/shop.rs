//! The upstream of the `spa` example: three files for everyone, and an API that wants a Bearer token.
//!
//! It knows nothing of sessions and cookies. It asks the auth service whose token it was sent, as an API without a
//! session proxy would do too.

mod api;
mod tokens;

use std::{convert::Infallible, path::Path, sync::Arc};

use bytes::Bytes;
use http::{
    HeaderValue, Method, Request, Response, StatusCode,
    header::{CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, REFERRER_POLICY, X_CONTENT_TYPE_OPTIONS},
};
use http_body_util::{BodyExt, Full, combinators::UnsyncBoxBody};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{fs, net::TcpListener, task::JoinSet};

use self::api::Api;

type Body = UnsyncBoxBody<Bytes, Infallible>;
type Answer = Response<Body>;

/// Scripts and styles are files of this origin, and nothing else is loaded. `data:` is the empty icon. No form is sent
/// by the browser itself: if the script did not run, a password would end up in an address.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; \
                      base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Serves the page and its API on `listener`, for tokens of the auth service at `auth_url`. Never returns.
///
/// # Cancel safety
///
/// Dropping the future ends every connection at once.
pub async fn serve(listener: TcpListener, auth_url: String) {
    let api = Arc::new(Api::new(auth_url));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            Some(_) = connections.join_next() => continue,
            accepted = listener.accept() => accepted,
        };
        let Ok((stream, _)) = accepted else { continue };
        let api = api.clone();
        let service = service_fn(move |request| answer(api.clone(), request));
        connections.spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
    }
}

async fn answer(api: Arc<Api>, request: Request<Incoming>) -> Result<Answer, Infallible> {
    let path = request.uri().path().to_owned();
    if path.starts_with("/api/") {
        return Ok(api.answer(request, &path).await);
    }
    let file = match (request.method(), path.as_str()) {
        (&Method::GET | &Method::HEAD, "/") => file("index.html", "text/html; charset=utf-8").await,
        (&Method::GET | &Method::HEAD, "/app.js") => file("app.js", "text/javascript; charset=utf-8").await,
        (&Method::GET | &Method::HEAD, "/style.css") => file("style.css", "text/css; charset=utf-8").await,
        _ => None,
    };
    Ok(file.unwrap_or_else(|| with_body(StatusCode::NOT_FOUND, "text/plain; charset=utf-8", "Not Found\n")))
}

/// A file of the page, read at each request: edit it, then reload the page.
async fn file(name: &str, content_type: &'static str) -> Option<Answer> {
    let path = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/spa")).join(name);
    let mut answer = with_body(StatusCode::OK, content_type, fs::read(path).await.ok()?);
    let headers = answer.headers_mut();
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    headers.insert(CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    Some(answer)
}

fn with_body(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Answer {
    let mut answer = Response::new(Full::new(body.into()).boxed_unsync());
    *answer.status_mut() = status;
    answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    answer
}
