//! The fakes and suites of authproxy-testing, held against themselves.

#![allow(clippy::unwrap_used)]

mod flawed_store;
mod store_contract;
