//! The session proxy as a library: [`Server`] serves on a listener.
//!
//! The library sets no process globals: no signal handler, no logger, no environment. `main.rs` does.
//!
//! [`Config`]: config::Config

pub mod config;
pub mod routes;

mod body;
mod cookie;
mod csrf;
mod framing;
mod handlers;
mod handoff;
mod openapi;
mod origin;
mod problem;
mod response;
mod server;
mod service;
mod socket;
mod target;
mod telemetry;
mod validate;

pub use self::{
    openapi::to_json as openapi_json,
    origin::OriginError,
    server::{Report, ServeError, Server},
};
