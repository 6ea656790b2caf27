//! The session proxy as a library: [`run()`] makes everything from a [`Config`] and serves on a
//! listener, [`Server`] serves with a manager and a backend of your own.
//!
//! The library sets no process globals: no signal handler, no logger, no environment. `main.rs` does.
//!
//! [`Config`]: config::Config

pub mod cli;
pub mod config;
pub mod routes;

mod alarm;
mod ascii;
mod body;
mod boxed;
mod burst;
mod cookie;
mod cors;
mod csrf;
mod date;
mod dev;
mod files;
mod forward;
mod gateway;
mod handlers;
mod handoff;
mod heads;
mod http1;
mod login_page;
mod openapi;
mod origin;
mod problem;
mod response;
mod run;
mod seldom;
mod server;
mod service;
mod socket;
mod store;
mod target;
mod telemetry;
mod tls;
mod tunnel;
mod validate;
mod workers;

pub use self::{
    dev::{DevError, dev},
    files::{FileError, check_files},
    forward::TrustError,
    openapi::to_json as openapi_json,
    origin::OriginError,
    run::{RunError, run, run_with_store},
    server::{Report, ServeError, Server},
    store::{Store, StoreError},
    tls::TlsError,
    workers::Workers,
};
