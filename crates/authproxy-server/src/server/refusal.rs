//! What a peer is told when its request does not reach the service: in the shape of every other error.

use http::HeaderMap;

use crate::{
    cookie::SessionCookie,
    problem::Problem,
    response::{self, Response},
};

/// The answer.
pub(super) fn response(problem: Problem) -> Response {
    let mut response = problem.into_response(&HeaderMap::new(), SessionCookie::new(false));
    response::harden(response.headers_mut(), None, false);
    response
}
