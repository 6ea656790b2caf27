//! The built program as its users have it: a child process, real sockets, real signals, a real cookie jar.
#![allow(clippy::unwrap_used)]

mod auth_service;
mod canaries;
mod certificate;
mod command_line;
mod config_file;
mod fleet;
mod http;
mod listening;
mod outages;
mod program;
mod refreshing;
mod signals;
mod streaming;
mod tls;
mod usage;
mod validation;
