//! Fakes that record and misbehave, and contract suites for stores and backends. Not published.
//!
//! - [`FakeBackend`]: an auth service in memory, on the caller's clock, that counts every presentation.
//! - [`FaultyStore`]: a store around a store, whose calls fail, hang or lose their answers on command.
//! - [`FakeAuthService`]: an auth service on a real socket that misbehaves at the level of bytes.
//! - [`FakeUpstream`]: a resource server that records raw bytes and answers what it is told.
//! - [`store_contract`], [`backend_contract`]: suites to run against your own store or backend.
//! - [`canary`]: a scan of everything that was traced for secrets.

pub mod backend_contract;
pub mod canary;
pub mod fake_auth;
mod fake_backend;
mod fake_upstream;
mod faulty_store;
mod gate;
mod http1;
mod report;
mod server;
mod service;
pub mod store_contract;

pub use self::{
    canary::CANARY,
    fake_auth::FakeAuthService,
    fake_backend::{Call, CallFault, FakeBackend, Scripted, WRONG_PASSWORD},
    fake_upstream::FakeUpstream,
    faulty_store::{Fault, FaultyStore, Verb},
    gate::Gate,
    http1::{Answer, RecordedRequest},
    service::Lifetimes,
};
