//! An upstream behind TLS: HTTP/1.1 byte by byte as without, HTTP/2 through hyper.

use std::{convert::Infallible, future::pending, io, sync::Arc};

use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response};
use http_body_util::{BodyExt, Full, combinators::BoxBody};
use hyper::{body::Incoming, server::conn::http2, service::service_fn};
use hyper_util::rt::{TokioExecutor, TokioIo};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::ServerConfig;
use rustls_pki_types::PrivateKeyDer;
use tokio_rustls::TlsAcceptor;

use super::{
    Shared, perform,
    play::{Framing, Play, Step},
    received::Receiving,
};
use crate::{Answer, socket::Stream};

type Body = BoxBody<Bytes, Infallible>;

/// What is offered by ALPN (RFC 7301).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Protocol {
    /// `h2`
    Http2,
    /// `http/1.1`
    Http1,
}

/// A certificate and who has signed it.
pub(super) struct Tls {
    authority: String,
    config: Arc<ServerConfig>,
}

impl Tls {
    pub(super) fn new(protocols: &[Protocol]) -> Self {
        let key = || KeyPair::generate().expect("the operating system gives randomness");
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let authority = CertifiedIssuer::self_signed(authority, key()).expect("the parameters are good");
        let names = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]);
        let own = key();
        let certificate = names.and_then(|names| names.signed_by(&own, &authority)).expect("the names are good");

        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has cipher suites for both versions of TLS")
            .with_no_client_auth()
            .with_single_cert(vec![certificate.der().clone()], PrivateKeyDer::Pkcs8(own.serialize_der().into()))
            .expect("the key is the certificate's");
        let name = |protocol: &Protocol| match protocol {
            Protocol::Http2 => b"h2".to_vec(),
            Protocol::Http1 => b"http/1.1".to_vec(),
        };
        config.alpn_protocols = protocols.iter().map(name).collect();
        Self { authority: authority.pem(), config: Arc::new(config) }
    }

    /// The authority's certificate, in PEM.
    pub(super) fn authority(&self) -> &str {
        &self.authority
    }

    pub(super) fn acceptor(&self) -> TlsAcceptor {
        self.config.clone().into()
    }
}

/// Serves one connection to its end.
pub(super) async fn serve(shared: Arc<Shared>, acceptor: TlsAcceptor, stream: Stream) {
    let Stream::Tcp(stream) = stream else { unreachable!("TLS is spoken on ports only") };
    // A peer may turn away at any time.
    let Ok(stream) = acceptor.accept(stream).await else { return };
    if stream.get_ref().1.alpn_protocol() != Some(b"h2") {
        return perform::serve(shared, Stream::Tls(Box::new(stream))).await;
    }
    let connection = shared.connected();
    let (serving, place) = (shared.clone(), connection.place);
    let service = service_fn(move |request| answer(serving.clone(), place, request));
    let _ = http2::Builder::new(TokioExecutor::new()).serve_connection(TokioIo::new(stream), service).await;
}

async fn answer(
    shared: Arc<Shared>,
    connection: usize,
    request: Request<Incoming>,
) -> Result<Response<Body>, io::Error> {
    let (head, mut body) = request.into_parts();
    let path = head.uri.path().to_owned();
    let place = shared.arrived(Receiving::new(written(&head), connection));
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(io::Error::other)?;
        shared.receiving(place, |receiving| {
            if let Some(data) = frame.data_ref() {
                receiving.raw(data);
                receiving.data(data);
            }
            if let Some(trailers) = frame.trailers_ref() {
                receiving.raw(&fields(trailers));
            }
        });
    }
    shared.receiving(place, Receiving::complete);
    let play = shared.scripted(&path).unwrap_or_else(|| shared.improvised(place));
    perform(play).await
}

async fn perform(play: Play) -> Result<Response<Body>, io::Error> {
    for step in play.steps {
        match step {
            Step::ReadBody => {}
            Step::Hold(gate) => gate.pass().await,
            Step::Never => pending().await,
            Step::Reset => return Err(io::ErrorKind::ConnectionReset.into()),
            Step::Answer(answer, framing) => return Ok(response(answer, framing)),
            step => panic!("{step:?} cannot be done over HTTP/2"),
        }
    }
    panic!("over HTTP/2 every request is answered")
}

fn response(answer: Answer, framing: Framing) -> Response<Body> {
    let trailers = match framing {
        Framing::Chunked(trailers) if !trailers.is_empty() => Some(trailers),
        _ => None,
    };
    let body = Full::new(Bytes::from(answer.body));
    let body = match trailers {
        None => body.boxed(),
        Some(trailers) => body.with_trailers(async move { Some(Ok(map(&trailers))) }).boxed(),
    };
    let mut response = Response::new(body);
    *response.status_mut() = http::StatusCode::from_u16(answer.status).expect("a status");
    *response.headers_mut() = map(&answer.headers);
    response
}

fn map(fields: &[(String, String)]) -> HeaderMap {
    let name = |name: &str| HeaderName::try_from(name).expect("a field name");
    let value = |value: &str| HeaderValue::try_from(value).expect("a field value");
    fields.iter().map(|(field, content)| (name(field), value(content))).collect()
}

/// The head as HTTP/1.1 would have it, with `:authority` as `host`.
fn written(head: &http::request::Parts) -> Vec<u8> {
    let target = head.uri.path_and_query().map_or("/", |target| target.as_str());
    let mut bytes = format!("{} {target} HTTP/2\r\n", head.method).into_bytes();
    if let Some(authority) = head.uri.authority() {
        bytes.extend(format!("host: {authority}\r\n").into_bytes());
    }
    bytes.extend(fields(&head.headers));
    bytes.extend(b"\r\n");
    bytes
}

fn fields(headers: &HeaderMap) -> Vec<u8> {
    let mut bytes = Vec::new();
    for (name, value) in headers {
        bytes.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
    }
    bytes
}
