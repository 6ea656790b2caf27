//! Server-side OAuth sessions: access tokens that are always fresh, refresh tokens that are never presented twice.

pub mod backend;
pub mod clock;
pub mod error;
pub mod manager;
pub mod session;
pub mod store;
pub mod token;
