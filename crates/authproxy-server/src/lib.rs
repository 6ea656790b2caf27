//! The session proxy as a library: [`config`], and a server to run on a listener.

pub mod cli;
pub mod config;
