//! Connecting to an upstream: TCP or a Unix socket, TLS where its address says so, HTTP/2 where it offers it.

use std::{io, path::Path, sync::Arc, time::Duration};

use hyper::{
    client::conn::http2,
    rt::{Read, Write},
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, ServerName, pem::PemObject};
use tokio::net::{TcpStream, UnixStream};
use tokio_rustls::TlsConnector;

use super::{error::UpstreamError, http1::Wire, upload::Upload, upstream::Line};
use crate::config::{UpstreamUrl, upstream::Location};

/// Finds out that the other end of an HTTP/2 connection is gone without a word.
const PING_EVERY: Duration = Duration::from_secs(20);

/// How much of an answer over HTTP/2 waits here for its reader.
const STREAM_WINDOW: u32 = 256 * 1024;
/// And of all answers of a connection: as much as there can be. Many users share a connection, and those who do not read
/// must not use up what the others need; each answer is bounded by its own window. So at most 256 KiB times
/// `max_connections`, which bounds the requests to an upstream, wait here: 128 MiB with the default of 512.
const CONNECTION_WINDOW: u32 = (1 << 31) - 1;

/// Which protocols a connection may speak.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Protocols {
    /// HTTP/2 or HTTP/1.1, as the upstream likes.
    All,
    /// HTTP/1.1 on a connection of its own: it is to change its protocol.
    Http1,
}

/// Makes connections to one upstream.
pub(crate) struct Connector {
    url: UpstreamUrl,
    tls: Option<Tls>,
}

struct Tls {
    name: ServerName<'static>,
    all: TlsConnector,
    http1: TlsConnector,
}

/// Why an upstream's certificates could not be checked: the server must not start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrustError {
    /// `upstream_ca` cannot be read or holds no certificate.
    #[error("`upstream_ca` of route {prefix} cannot be used: {reason}")]
    File {
        /// The route's prefix.
        prefix: String,
        /// What is wrong with the file.
        reason: String,
    },
    /// This machine has no certificate authorities.
    #[error("no certificate authorities are installed on this machine; set `upstream_ca` of route {prefix}")]
    NoSystemRoots {
        /// The route's prefix.
        prefix: String,
    },
    /// The host cannot stand in a certificate.
    #[error("the upstream of route {prefix} has a host that no certificate can name")]
    Name {
        /// The route's prefix.
        prefix: String,
    },
}

impl Connector {
    /// A connector for the upstream of the route with this prefix.
    ///
    /// # Errors
    ///
    /// [`TrustError`], when an https upstream's certificate could not be checked.
    pub(crate) fn new(url: &UpstreamUrl, ca: Option<&Path>, prefix: &str) -> Result<Self, TrustError> {
        let tls = match url.location() {
            Location::Origin(origin) if origin.is_https() => {
                let prefix = || prefix.to_owned();
                let host = origin.host();
                let name = ServerName::try_from(host.trim_matches(['[', ']']).to_owned())
                    .map_err(|_| TrustError::Name { prefix: prefix() })?;
                let roots = roots(ca, prefix)?;
                let connector = |protocols: &[&[u8]]| TlsConnector::from(Arc::new(client(roots.clone(), protocols)));
                Some(Tls { name, all: connector(&[b"h2", b"http/1.1"]), http1: connector(&[b"http/1.1"]) })
            }
            _ => None,
        };
        Ok(Self { url: url.clone(), tls })
    }

    /// A new connection, ready for its first request. The caller bounds the time.
    pub(super) async fn connect(&self, protocols: Protocols) -> Result<Line, UpstreamError> {
        let origin = match self.url.location() {
            Location::Unix(path) => {
                let stream = UnixStream::connect(path).await.map_err(UpstreamError::Unreachable)?;
                return Ok(Line::Http1(Wire::new(stream)));
            }
            Location::Origin(origin) => origin,
        };
        let host = origin.host();
        let address = (host.trim_matches(['[', ']']), origin.port());
        let stream = TcpStream::connect(address).await.map_err(UpstreamError::Unreachable)?;
        let _ = stream.set_nodelay(true); // a request is written whole; waiting for more only delays it
        let Some(tls) = &self.tls else { return Ok(Line::Http1(Wire::new(stream))) };
        let connector = if protocols == Protocols::All { &tls.all } else { &tls.http1 };
        let stream = connector.connect(tls.name.clone(), stream).await.map_err(UpstreamError::Tls)?;
        if stream.get_ref().1.alpn_protocol() == Some(b"h2") {
            http2(TokioIo::new(stream)).await
        } else {
            Ok(Line::Http1(Wire::new(stream)))
        }
    }
}

async fn http2(io: impl Read + Write + Unpin + Send + 'static) -> Result<Line, UpstreamError> {
    let (sender, connection) = http2::Builder::new(TokioExecutor::new())
        .timer(TokioTimer::new())
        .max_header_list_size(64 * 1024)
        .initial_stream_window_size(STREAM_WINDOW)
        .initial_connection_window_size(CONNECTION_WINDOW)
        .keep_alive_interval(PING_EVERY)
        .keep_alive_timeout(PING_EVERY)
        .handshake::<_, Upload>(io)
        .await
        .map_err(UpstreamError::http2)?;
    tokio::spawn(async move { drop(connection.await) });
    Ok(Line::Http2(sender))
}

fn client(roots: RootCertStore, protocols: &[&[u8]]) -> ClientConfig {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider has cipher suites for both versions of TLS")
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.to_vec()).collect();
    config
}

fn roots(ca: Option<&Path>, prefix: impl Fn() -> String) -> Result<RootCertStore, TrustError> {
    let mut roots = RootCertStore::empty();
    let Some(file) = ca else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        return if roots.is_empty() { Err(TrustError::NoSystemRoots { prefix: prefix() }) } else { Ok(roots) };
    };
    let wrong = |reason: String| TrustError::File { prefix: prefix(), reason };
    let pem = std::fs::read(file).map_err(|error: io::Error| wrong(error.to_string()))?;
    for certificate in CertificateDer::pem_slice_iter(&pem) {
        let certificate = certificate.map_err(|error| wrong(error.to_string()))?;
        roots.add(certificate).map_err(|error| wrong(error.to_string()))?;
    }
    if roots.is_empty() { Err(wrong("it holds no certificate in PEM".into())) } else { Ok(roots) }
}
