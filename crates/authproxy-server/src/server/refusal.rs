//! What a peer is told when its request does not reach the service: in the shape of every other error.

use authproxy_core::clock::{Clock, SystemClock};
use http::HeaderMap;

use crate::{
    cookie::SessionCookie,
    date,
    problem::Problem,
    response::{self, Response},
};

/// The answer.
pub(super) fn response(problem: Problem) -> Response {
    let mut response = problem.into_response(&HeaderMap::new(), SessionCookie::new(false));
    response::harden(response.headers_mut(), None, false);
    // No session is concerned, whose clock it would have to agree with.
    date::say(response.headers_mut(), || SystemClock::new().now());
    response
}
