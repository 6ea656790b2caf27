//! What tests of TLS need: certificates, a proxy that has one, clients that trust it.

use std::{fs, net::SocketAddr, path::PathBuf, sync::Arc};

use authproxy_server::config::Config;
use bytes::Bytes;
use h2::client::SendRequest;
use rcgen::generate_simple_self_signed;
use rustls::{
    ClientConfig, RootCertStore,
    crypto::aws_lc_rs,
    pki_types::{CertificateDer, ServerName},
};
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};

use crate::harness::Proxy;

/// A certificate for `localhost` and `127.0.0.1`, with its key, in files that go with it.
pub(crate) struct Certified {
    pub(crate) cert: PathBuf,
    pub(crate) key: PathBuf,
    pub(crate) der: CertificateDer<'static>,
    pub(crate) pem: String,
}

impl Certified {
    /// `name` tells the files of a test from those of the others.
    pub(crate) fn new(name: &str) -> Self {
        let made = generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()]).unwrap();
        let file = |ending| std::env::temp_dir().join(format!("authproxy-it-{}-{name}.{ending}", std::process::id()));
        let (cert, key, pem) = (file("cert.pem"), file("key.pem"), made.cert.pem());
        fs::write(&cert, &pem).unwrap();
        fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        Self { cert, key, der: made.cert.der().clone(), pem }
    }

    /// A proxy that has this certificate.
    pub(crate) async fn proxy(&self, change: impl FnOnce(&mut Config)) -> Proxy {
        Proxy::with(|config| {
            config.tls.cert = Some(self.cert.clone());
            config.tls.key = Some(self.key.clone());
            change(config);
        })
        .await
    }

    /// A client as programs have it, which speaks HTTP/2 where it can.
    pub(crate) fn client(&self) -> reqwest::Client {
        let root = reqwest::Certificate::from_pem(self.pem.as_bytes()).unwrap();
        reqwest::Client::builder().tls_certs_only([root]).build().unwrap()
    }

    /// A connection over which one of `protocols` is spoken.
    pub(crate) async fn connect(&self, address: SocketAddr, protocols: &[&str]) -> TlsStream<TcpStream> {
        let mut roots = RootCertStore::empty();
        roots.add(self.der.clone()).unwrap();
        let mut config = ClientConfig::builder_with_provider(Arc::new(aws_lc_rs::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth();
        config.alpn_protocols = protocols.iter().map(|name| name.as_bytes().to_vec()).collect();
        let stream = TcpStream::connect(address).await.unwrap();
        let name = ServerName::try_from("localhost").unwrap();
        TlsConnector::from(Arc::new(config)).connect(name, stream).await.unwrap()
    }

    /// A connection of HTTP/2, with a window of `window` bytes for each answer.
    pub(crate) async fn http2(&self, address: SocketAddr, window: u32) -> Http2 {
        let stream = self.connect(address, &["h2"]).await;
        let (requests, connection) =
            h2::client::Builder::new().initial_window_size(window).handshake::<_, Bytes>(stream).await.unwrap();
        Http2 { requests, ended: tokio::spawn(connection) }
    }
}

impl Drop for Certified {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.cert);
        let _ = fs::remove_file(&self.key);
    }
}

/// A connection of HTTP/2 as h2 gives it.
pub(crate) struct Http2 {
    pub(crate) requests: SendRequest<Bytes>,
    /// How the connection ended.
    pub(crate) ended: tokio::task::JoinHandle<Result<(), h2::Error>>,
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answered {
    pub(crate) status: u16,
    pub(crate) headers: http::HeaderMap,
    pub(crate) body: Vec<u8>,
}

impl Http2 {
    /// One request without a body.
    pub(crate) async fn ask(&mut self, request: http::Request<()>) -> Result<Answered, h2::Error> {
        let mut requests = self.requests.clone().ready().await?;
        let (answer, _) = requests.send_request(request, true)?;
        read(answer.await?).await
    }
}

/// Reads an answer to its end.
pub(crate) async fn read(answer: http::Response<h2::RecvStream>) -> Result<Answered, h2::Error> {
    let (head, mut stream) = answer.into_parts();
    let mut body = Vec::new();
    while let Some(data) = stream.data().await {
        let data = data?;
        stream.flow_control().release_capacity(data.len())?;
        body.extend_from_slice(&data);
    }
    Ok(Answered { status: head.status.as_u16(), headers: head.headers, body })
}
