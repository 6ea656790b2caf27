//! The real gateways in front of authproxy, with the configurations in `deploy/`: what users copy is what runs here.
//!
//! Each claim is a function in `claims/`; a gateway's file says which claims hold of it, and what else does.
#![allow(clippy::unwrap_used)]

mod caddy;
mod claims;
mod envoy;
mod fleet;
mod gateway;
mod nginx;
mod program;
mod traefik;
mod websocket;
mod world;
