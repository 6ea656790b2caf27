//! A TLS handshake that fails, in whichever way: the token was not sent. Needs the system's certificate authorities.

use std::time::Duration;

use authproxy_core::{
    AuthBackend, HttpBackend,
    backend::{BackendError, HttpBackendBuilder},
};
use tokio::{io::AsyncReadExt, net::TcpListener};

use super::{
    Class, LONG, class, credentials,
    raw_server::{Act, RawServer, response},
    refresh, refresh_within,
};

const SHORT: Duration = Duration::from_millis(300);

fn https(port: u16) -> HttpBackendBuilder {
    HttpBackend::builder(&format!("https://127.0.0.1:{port}"))
}

fn build(builder: HttpBackendBuilder) -> HttpBackend {
    builder.build().expect("certificate authorities: install the package ca-certificates")
}

#[tokio::test]
async fn a_service_without_tls_is_unreachable_by_https() {
    let server = RawServer::always(Act::Answer(response(400, ""))).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let plain = tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.unwrap();
        let mut first = [0; 3];
        stream.read_exact(&mut first).await.unwrap();
        tokio::io::AsyncWriteExt::write_all(&mut stream, b"HTTP/1.1 400 Bad Request\r\n\r\n").await.unwrap();
        first
    });
    assert_eq!(class(&refresh(&build(https(port)), "t").await), Class::NotProcessed);
    assert_eq!(plain.await.unwrap()[..2], [0x16, 0x03], "a TLS handshake, not the token");
    drop(server);
}

#[tokio::test]
async fn a_handshake_that_takes_too_long_has_sent_nothing() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let impatient_to_connect = build(https(port).connect_timeout(SHORT));
    assert_eq!(class(&refresh(&impatient_to_connect, "t").await), Class::NotProcessed);
    let result = impatient_to_connect.login(&credentials()).await;
    assert!(matches!(result, Err(BackendError::Unreachable(_))), "{result:?}");

    let impatient = build(https(port).connect_timeout(LONG));
    assert_eq!(class(&refresh_within(&impatient, "t", SHORT).await), Class::NotProcessed);
}
