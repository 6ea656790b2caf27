//! The embedded auth service by itself: what the nodes of a fleet log in at. For trying things, not for production.
//! Run it: `cargo run -p authproxy-examples --bin auth_service -- 127.0.0.1:9000`
//!
//! Accounts and tokens are in memory. What it promises of refresh tokens is `grace:10s`, for `backend.rotation`. With
//! `--check` it registers and logs in one account on a port of its own, and stops.

use std::{env, net::SocketAddr, pin::pin};

use authproxy_core::{
    Credentials,
    backend::{AuthBackend, Login},
};
use authproxy_embedded::EmbeddedAuth;
use authproxy_examples::{Error, start};
use tokio::{
    net::TcpListener,
    signal::unix::{SignalKind, signal},
};

#[tokio::main]
async fn main() -> Result<(), Error> {
    let service = EmbeddedAuth::builder().max_users(1000).build();
    let listen = env::args().nth(1).unwrap_or_else(|| "127.0.0.1:9000".into());
    if listen == "--check" {
        return check(&service).await;
    }
    let listener = TcpListener::bind(listen.parse::<SocketAddr>()?).await?;
    println!("an auth service on http://{}", listener.local_addr()?);
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let stop = pin!(async {
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
    });
    authproxy_embedded::run(listener, service, stop).await;
    Ok(())
}

async fn check(service: &EmbeddedAuth) -> Result<(), Error> {
    let (backend, url) = start(service).await?;
    let login = backend.login(&Credentials::password("user@example.com", "password123")).await?;
    assert!(matches!(login, Login::Issued(_)), "{login:?}");
    println!("an auth service on {url} that promises {:?}", service.rotation());
    Ok(())
}
