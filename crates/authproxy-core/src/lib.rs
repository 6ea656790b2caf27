//! Server-side OAuth sessions: access tokens that are always fresh, refresh tokens that are never presented twice.
//!
//! A program logs its users in through a [`TokenManager`], keeps only a [`SessionId`] with each browser or job, and
//! asks for an access token whenever it needs one:
//!
//! ```no_run
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! use std::sync::Arc;
//! use authproxy_core::{Credentials, HttpBackend, MemoryStore, TokenManager};
//!
//! let backend = HttpBackend::builder("https://auth.example.com").build()?;
//! let manager = TokenManager::builder(Arc::new(backend), Arc::new(MemoryStore::new(100_000))).build();
//!
//! let opened = manager.open(Credentials::password("user@example.com", "password123")).await?;
//! let token = manager.access_token(&opened.id.key()).await?;
//! let authorization = token.access_token().authorization().clone(); // "Bearer ...", ready to send
//! # let _ = authorization; Ok(()) }
//! ```
//!
//! # Features
//!
//! - `http`, on by default: [`HttpBackend`], the auth service spoken to over HTTP with reqwest.
//! - `redis`: `store::RedisStore`, sessions that a fleet shares in Redis or Valkey.
//!
//! `authproxy-testing`, in this repository and published nowhere, has suites that check a store or a backend of your own,
//! and fakes of both.
//!
//! # What it guarantees
//!
//! - A refresh token is presented to the auth service at most once, however many tasks and nodes want a new access
//!   token, unless the service's declared [`RotationContract`] makes a second presentation safe. Not "exactly once":
//!   no network allows that.
//! - A caller waits for a refresh only when the token at hand is unusable, and cannot break one by going away.
//! - Only a definite verdict of the auth service ends a session. Outages of the service or the store do not.
//! - After [`TokenManager::close`] has returned, nothing brings the session back.
//!
//! # What it does not promise
//!
//! With a service that rotates strictly and forgives nothing, a session whose refresh was cut off between sending and
//! answer cannot be refreshed again; it ends with its access token. Nobody can do better without the service's help.
//!
//! [`RotationContract`]: backend::RotationContract

pub mod backend;
pub mod clock;
pub mod error;
pub mod manager;
pub mod session;
pub mod store;
pub mod token;

#[cfg(feature = "http")]
pub use crate::backend::HttpBackend;
pub use crate::{
    backend::{AuthBackend, Credentials},
    error::{OpenError, TokenError},
    manager::{ReadyToken, TokenManager},
    session::{SessionId, SessionKey},
    store::{MemoryStore, SessionStore},
    token::{AccessToken, RefreshToken, TokenSet},
};

#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;
