//! What a peer is told when its request does not reach the service: in the shape of every other error.

use bytes::Bytes;
use http::{HeaderMap, Version};
use http_body_util::{BodyExt, Collected};
use tokio::io::{AsyncRead, AsyncWrite};

use crate::{
    cookie::SessionCookie,
    problem::Problem,
    response::{self, Response},
    socket::Socket,
};

/// The answer.
pub(super) fn response(problem: Problem) -> Response {
    let mut response = problem.into_response(&HeaderMap::new(), SessionCookie::new(false));
    response::harden(response.headers_mut(), None, false);
    response
}

/// Tells a peer of HTTP/1 why its bytes are not read any further, and closes.
pub(super) async fn refuse(mut socket: Socket<impl AsyncRead + AsyncWrite + Unpin>, problem: Problem) {
    socket.answer(&serialize(response(problem)).await).await;
    socket.close().await;
}

/// An answer as bytes, for a connection that hyper has given up.
async fn serialize(response: Response) -> Vec<u8> {
    let (head, body) = response.into_parts();
    let body = body.collect().await.map_or_else(|_| Bytes::new(), Collected::to_bytes);
    let mut bytes = format!("{:?} {}\r\n", Version::HTTP_11, head.status).into_bytes();
    for (name, value) in &head.headers {
        bytes.extend_from_slice(name.as_str().as_bytes());
        bytes.extend_from_slice(b": ");
        bytes.extend_from_slice(value.as_bytes());
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(format!("content-length: {}\r\n\r\n", body.len()).as_bytes());
    bytes.extend_from_slice(&body);
    bytes
}
