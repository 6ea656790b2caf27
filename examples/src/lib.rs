//! What the examples share: an embedded auth service on a port of its own, with one account.

pub mod shop;

use authproxy_core::{
    HttpBackend,
    backend::{AuthBackend, Registration},
};
use authproxy_embedded::EmbeddedAuth;
use tokio::net::TcpListener;

/// Whatever went wrong.
pub type Error = Box<dyn std::error::Error + Send + Sync>;

/// Starts `service`, registers `user@example.com` with `password123`, and returns a backend that speaks to it, and its URL.
///
/// # Errors
///
/// When the port or the service cannot be had.
pub async fn start(service: &EmbeddedAuth) -> Result<(HttpBackend, String), Error> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let url = format!("http://{}", listener.local_addr()?);
    tokio::spawn(authproxy_embedded::run(listener, service.clone(), std::future::pending()));
    let backend = HttpBackend::builder(&url).rotation(service.rotation()).build()?;
    let password = "password123".to_owned().into();
    backend.register(&Registration { email: "user@example.com".into(), password }).await?;
    Ok((backend, url))
}
