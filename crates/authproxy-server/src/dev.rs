//! `authproxy dev`: the embedded auth service and the proxy in front of it, in one process, offline.

mod jar;

use std::{
    io::{self, Write},
    net::{Ipv4Addr, SocketAddr},
};

use authproxy_embedded::EmbeddedAuth;
use tokio::{net::TcpListener, sync::oneshot};

use self::jar::Jar;
use crate::{
    config::{Config, duration, origin::Origin},
    run::{RunError, run_with_store},
    server::Report,
    store::Store,
};

/// Why the demonstration did not run.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DevError {
    /// The embedded auth service found no port on loopback.
    #[error("the embedded auth service cannot listen")]
    AuthService(#[source] io::Error),
    /// The proxy did not start.
    #[error(transparent)]
    Proxy(#[from] RunError),
}

/// Serves on `listener`, in front of an auth service of its own, until `shutdown` resolves, then drains.
///
/// Says on `out` what is running and what to try. `config.tokens` are the lives of the tokens that are issued;
/// `config.auth_url` and `config.backend.rotation` are set to the embedded service's. The cookie jar of what is to be
/// tried is in a folder of its own, which goes with the service.
///
/// # Errors
///
/// [`DevError`], before the first connection is accepted.
///
/// # Cancel safety
///
/// As [`run`](crate::run); the embedded service ends with it.
pub async fn dev(
    listener: TcpListener,
    mut config: Config,
    store: Store,
    out: &mut impl Write,
    shutdown: impl Future<Output = ()>,
) -> Result<Report, DevError> {
    let inner = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.map_err(DevError::AuthService)?;
    let auth_address = inner.local_addr().map_err(DevError::AuthService)?;
    let service =
        EmbeddedAuth::builder().access_ttl(config.tokens.access_ttl).refresh_ttl(config.tokens.refresh_ttl).build();
    config.auth_url = Some(format!("http://{auth_address}"));
    config.backend.rotation = service.rotation();

    let local = listener.local_addr().map_err(DevError::AuthService)?;
    let (stop, stopped) = oneshot::channel::<()>();
    let auth_service = authproxy_embedded::run(inner, service, async {
        let _ = stopped.await;
    });
    let jar = Jar::new();
    // Standard output may be closed; the service is no worse for it.
    let _ = out.write_all(banner(&config, local, auth_address, &jar).as_bytes()).and_then(|()| out.flush());
    let proxy = async {
        let report = run_with_store(listener, config, store, shutdown).await;
        drop(stop); // the proxy's last refreshes and revocations have been answered
        report
    };
    let (report, ()) = tokio::join!(proxy, auth_service);
    Ok(report?)
}

fn banner(config: &Config, local: SocketAddr, auth_service: SocketAddr, jar: &Jar) -> String {
    let url = config.public_url.clone().unwrap_or_else(|| config.default_public_url(local));
    let curl = if is_our_own_tls(config, &url) { "curl -sk" } else { "curl -s" };
    let (access, refresh) = (duration::format(config.tokens.access_ttl), duration::format(config.tokens.refresh_ttl));
    format!(
        "\
authproxy {version} for development: everything in this process, nothing is kept after it

  proxy         {url}
  docs          {url}/docs
  auth service  embedded, on {auth_service}; access tokens live {access}, refresh tokens {refresh}

Try it, in this order:

  {curl} {url}/register -H 'Content-Type: application/json' -d '{{\"email\":\"user@example.com\",\"password\":\"password123\"}}'
  {curl} -c {jar} {url}/login -d username=user@example.com -d password=password123
  {curl} -b {jar} -c {jar} {url}/protected-auto
  {curl} -b {jar} -X POST {url}/logout

Stop it with Ctrl-C.
",
        version = env!("CARGO_PKG_VERSION"),
    )
}

/// Whether the lines speak TLS with this machine. Its certificate is then not checked: it may name another host, or be
/// signed by nobody.
fn is_our_own_tls(config: &Config, url: &str) -> bool {
    let is_here = |origin: &Origin| config.public_url.is_none() || origin.is_loopback();
    Origin::parse(url).is_ok_and(|origin| origin.is_https() && is_here(&origin))
}
