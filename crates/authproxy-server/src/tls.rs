//! TLS to browsers: the certificate, read again when its files change, and the handshake.

mod certificate;

use std::{io, path::Path, sync::Arc, time::Duration};

use rustls::{
    ServerConfig,
    crypto::aws_lc_rs,
    server::{ClientHello, ResolvesServerCert},
    sign::CertifiedKey,
    version::{TLS12, TLS13},
};
use tokio::{
    net::TcpStream,
    time::{interval_at, timeout},
};
use tokio_rustls::{TlsAcceptor, server::TlsStream};

use self::certificate::Certificate;
pub use self::certificate::TlsError;
use crate::{config::TlsConfig, telemetry};

/// How often the files are looked at.
const RELOAD_EVERY: Duration = Duration::from_secs(30);
/// The first byte of whoever speaks TLS: a record that holds a handshake (RFC 8446, section 5.1).
const HANDSHAKE: u8 = 22;
const H2: &[u8] = b"h2";
const HTTP_1_1: &[u8] = b"http/1.1";

/// What makes connections secure.
#[derive(Clone)]
pub(crate) struct Tls {
    acceptor: TlsAcceptor,
    certificate: Arc<Certificate>,
}

/// A connection after its handshake.
pub(crate) enum Accepted {
    /// The peer has chosen HTTP/2.
    Http2(Box<TlsStream<TcpStream>>),
    /// The peer has chosen HTTP/1.1, or does not know that there is a choice.
    Http1(Box<TlsStream<TcpStream>>),
    /// The peer does not speak TLS. Nothing was read of what it says.
    NotTls(TcpStream),
    /// No connection came of it.
    Nothing,
}

impl Tls {
    /// Reads the certificate and its key; `None` when neither is configured.
    ///
    /// TLS 1.2 and 1.3 are spoken, with h2 before http/1.1 by ALPN (RFC 7301).
    ///
    /// # Errors
    ///
    /// [`TlsError`]: the server must not start.
    pub(crate) fn load(config: &TlsConfig) -> Result<Option<Self>, TlsError> {
        let (cert, key) = match (config.cert.as_deref(), config.key.as_deref()) {
            (None, None) => return Ok(None),
            (Some(cert), Some(key)) => (cert, key),
            _ => return Err(TlsError::HalfConfigured),
        };
        Self::from_files(cert, key).map(Some)
    }

    fn from_files(cert: &Path, key: &Path) -> Result<Self, TlsError> {
        let provider = Arc::new(aws_lc_rs::default_provider());
        let certificate = Arc::new(Certificate::load(cert, key, provider.clone())?);
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&[&TLS13, &TLS12])
            .expect("the provider has cipher suites for both versions")
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(Current(certificate.clone())));
        config.alpn_protocols = vec![H2.to_vec(), HTTP_1_1.to_vec()];
        Ok(Self { acceptor: TlsAcceptor::from(Arc::new(config)), certificate })
    }

    /// Shakes hands with a peer that has `within` for all of it.
    ///
    /// # Cancel safety
    ///
    /// Dropping it closes the connection.
    pub(crate) async fn accept(&self, stream: TcpStream, within: Duration) -> Accepted {
        let shaken = timeout(within, async {
            let mut first = [0];
            if stream.peek(&mut first).await? == 1 && first != [HANDSHAKE] {
                return Ok(Accepted::NotTls(stream));
            }
            let stream = Box::new(self.acceptor.accept(stream).await?);
            let is_h2 = stream.get_ref().1.alpn_protocol() == Some(H2);
            Ok(if is_h2 { Accepted::Http2(stream) } else { Accepted::Http1(stream) })
        });
        let outcome: io::Result<_> = shaken.await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()));
        outcome.unwrap_or_else(|error| {
            tracing::debug!(cause = %telemetry::chain(&error), "a TLS handshake failed");
            Accepted::Nothing
        })
    }

    /// Looks for a new certificate now and then, for ever. One that cannot be used leaves the last one in use.
    ///
    /// # Cancel safety
    ///
    /// Dropping it stops the looking.
    pub(crate) async fn watch(&self) {
        let mut ticks = interval_at(tokio::time::Instant::now() + RELOAD_EVERY, RELOAD_EVERY);
        loop {
            ticks.tick().await;
            let certificate = self.certificate.clone();
            // A file system may be slow; the runtime's threads are not to wait for it.
            match tokio::task::spawn_blocking(move || certificate.reload()).await {
                Ok(Ok(false)) => {}
                Ok(Ok(true)) => tracing::info!("the TLS certificate was read again"),
                Ok(Err(error)) => tracing::error!(%error, "the new TLS certificate cannot be used; the old one stays"),
                Err(_stopping) => return,
            }
        }
    }
}

/// Shows every peer the newest certificate.
#[derive(Debug)]
struct Current(Arc<Certificate>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(self.0.current())
    }
}

#[cfg(test)]
mod tests;
