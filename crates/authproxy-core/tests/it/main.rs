//! The manager through its public API, on paused time, against fakes that count every presentation.
//!
//! Numbers in the modules' tests refer to the scenarios that the protocol must survive; the list is in ARCHITECTURE.md.
#![allow(clippy::unwrap_used, missing_docs, unreachable_pub)]

mod admission;
mod callers;
mod clocks;
mod contract;
mod edges;
mod errors;
mod http_backend;
mod lineage;
mod logout;
mod nodes;
mod outages;
mod redis;
mod secrets;
mod shutdown;
mod storms;
mod world;
mod zones;
