//! pingora as a plain reverse proxy: `pingora-peer LISTEN UPSTREAM TOKEN`. One thread, one Authorization header set.

use async_trait::async_trait;
use pingora_core::{Result, server::Server, upstreams::peer::HttpPeer};
use pingora_http::RequestHeader;
use pingora_proxy::{ProxyHttp, Session, http_proxy_service};

struct Proxy {
    upstream: String,
    authorization: String,
}

#[async_trait]
impl ProxyHttp for Proxy {
    type CTX = ();

    fn new_ctx(&self) {}

    async fn upstream_peer(&self, _: &mut Session, _: &mut Self::CTX) -> Result<Box<HttpPeer>> {
        Ok(Box::new(HttpPeer::new(&self.upstream, false, String::new())))
    }

    async fn upstream_request_filter(
        &self,
        _: &mut Session,
        request: &mut RequestHeader,
        _: &mut Self::CTX,
    ) -> Result<()> {
        request.insert_header("Authorization", &self.authorization)
    }
}

/// What was built in.
fn version() -> Option<&'static str> {
    let (_, rest) = include_str!("../Cargo.lock").split_once("name = \"pingora-proxy\"\nversion = \"")?;
    rest.split('"').next()
}

fn main() -> Result<()> {
    let mut arguments = std::env::args().skip(1);
    if std::env::args().nth(1).as_deref() == Some("--version") {
        println!("pingora {}", version().unwrap_or("of unknown version"));
        return Ok(());
    }
    let mut next = || arguments.next().expect("LISTEN UPSTREAM TOKEN");
    let (listen, upstream, token) = (next(), next(), next());
    let mut server = Server::new(None)?;
    server.bootstrap();
    let proxy = Proxy { upstream, authorization: format!("Bearer {token}") };
    let mut service = http_proxy_service(&server.configuration, proxy);
    service.add_tcp(&listen);
    server.add_service(service);
    server.run_forever();
}
