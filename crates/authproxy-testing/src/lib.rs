//! Fakes that record and misbehave, and contract suites for stores and backends. Not published.
//!
//! - [`FakeBackend`]: an auth service in memory, on the caller's clock, that counts every presentation.
//! - [`FaultyStore`]: a store around a store, whose calls fail, hang or lose their answers on command.
//! - [`FakeAuthService`]: an auth service on a real socket that misbehaves at the level of bytes.
//! - [`FakeUpstream`]: a resource server that records raw bytes and does what it is told, well or badly.
//! - [`DeafListener`]: a port where connections never come about.
//! - [`Port`]: a port that stays one's own, also while nobody listens on it.
//! - [`redis`]: real Redis servers, Clusters and Sentinels as children of the test.
//! - [`store_contract`], [`backend_contract`]: suites to run against your own store or backend.
//! - [`canary`]: a scan of everything that was traced for secrets.

pub mod backend_contract;
pub mod canary;
mod deaf;
pub mod fake_auth;
mod fake_backend;
mod fake_upstream;
mod faulty_store;
mod gate;
mod http1;
mod port;
pub mod redis;
mod report;
mod server;
mod service;
mod socket;
pub mod store_contract;
mod tally;

pub use self::{
    canary::CANARY,
    deaf::DeafListener,
    fake_auth::FakeAuthService,
    fake_backend::{Call, CallFault, FakeBackend, Scripted, WRONG_PASSWORD},
    fake_upstream::{
        CutPoint, EventStream, FakeUpstream, Framing, Malformation, Play, Protocol, ReceivedRequest, Step,
    },
    faulty_store::{Fault, FaultyStore, Verb},
    gate::Gate,
    http1::{Answer, RecordedRequest},
    port::Port,
    service::Lifetimes,
    tally::{Pattern, Tally, Tallying},
};
