//! The server in one process with a fake auth service, over real sockets.
#![allow(clippy::unwrap_used)]

mod auth_service;
mod cookies;
mod cors;
mod csrf;
mod docs;
mod edges;
mod failures;
mod flow;
mod forward;
mod forwarded;
mod framing;
mod harness;
mod http2;
mod limits;
mod readme;
mod secrets;
mod secure;
mod shutdown;
mod tls;
mod validation;
mod verify;
