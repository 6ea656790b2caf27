//! The fakes and suites of authproxy-testing, held against themselves.

#![allow(clippy::unwrap_used)]

mod backend_contract;
mod canary;
mod fake_auth;
mod fake_backend;
mod fake_upstream;
mod faulty_store;
mod flawed_backend;
mod flawed_store;
mod port;
mod redis;
mod store_contract;
