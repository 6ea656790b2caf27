//! An auth service in one process, by the seed's contract: for `authproxy dev`, examples and tests.
//!
//! argon2id passwords, signed JWT access tokens, rotating opaque refresh tokens with reuse detection (RFC 9700,
//! section 4.14.2), a grace for answers that were lost, revocation (RFC 7009). Users and tokens live in memory, within
//! bounds, and end with the process.
//!
//! ```no_run
//! # async fn example() -> std::io::Result<()> {
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:9000").await?;
//! let service = authproxy_embedded::EmbeddedAuth::builder().build();
//! authproxy_embedded::run(listener, service, async { let _ = tokio::signal::ctrl_c().await; }).await;
//! # Ok(()) }
//! ```

mod access;
mod api;
mod families;
mod input;
mod passwords;
mod server;
mod service;

pub use self::{
    server::run,
    service::{EmbeddedAuth, EmbeddedAuthBuilder, Stats},
};
