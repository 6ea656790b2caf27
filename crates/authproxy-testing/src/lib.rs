//! Fakes that record and misbehave, and contract suites for stores and backends. Not published.
//!
//! - [`FakeBackend`]: an auth service in memory, on the caller's clock, that counts every presentation.
//! - [`FaultyStore`]: a store around a store, whose calls fail, hang or lose their answers on command.
//! - [`FakeAuthService`]: an auth service on a real socket that misbehaves at the level of bytes.
//! - [`store_contract`], [`backend_contract`]: suites to run against your own store or backend.
//! - [`canary`]: a scan of everything that was traced for secrets.

pub mod canary;
mod fake_backend;
mod faulty_store;
mod gate;
pub mod store_contract;

pub use self::{
    canary::CANARY,
    fake_backend::{FakeBackend, Scripted},
    faulty_store::{Fault, FaultyStore, Verb},
    gate::Gate,
};
