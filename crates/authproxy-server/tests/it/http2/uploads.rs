//! Bodies that come over one connection side by side.

use authproxy_server::config::{RouteAccess, RouteConfig};
use authproxy_testing::FakeUpstream;
use bytes::Bytes;
use http::Request;
use tokio::{net::TcpListener, time::timeout};

use super::{PATIENCE, WINDOW};
use crate::secure::{Certified, Http2, read};

/// Begins a request with this body, and sends what the proxy makes room for.
async fn upload(peer: &Http2, path: &str, whole: Bytes) -> h2::client::ResponseFuture {
    let request = Request::post(format!("https://localhost{path}")).body(()).unwrap();
    let mut requests = peer.requests.clone().ready().await.unwrap();
    let (answer, mut body) = requests.send_request(request, false).unwrap();
    body.send_data(whole, true).unwrap();
    answer
}

#[tokio::test]
async fn what_an_api_does_not_read_holds_up_no_other_upload_of_the_connection() {
    let (certified, upstream) = (Certified::new("uploads"), FakeUpstream::start().await);
    // The system accepts connections to it, and nobody reads from them.
    let deaf = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let urls = [format!("http://{}", deaf.local_addr().unwrap()), upstream.url()];
    let proxy = certified
        .proxy(|config| {
            let route = |(prefix, url): (&str, &String)| {
                let mut route = RouteConfig::new(prefix, url.parse().unwrap());
                (route.access, route.body_limit) = (RouteAccess::Public, 1 << 30);
                route
            };
            config.route = ["/deaf", "/open"].into_iter().zip(&urls).map(route).collect();
        })
        .await;
    let peer = certified.http2(proxy.address, WINDOW).await;
    // More than what a machine keeps between the proxy and an API.
    let large = Bytes::from(vec![b'x'; 16 * 1024 * 1024]);
    let mut unread = Vec::new();
    for _ in 0..8 {
        unread.push(upload(&peer, "/deaf/x", large.clone()).await);
    }
    for _ in 0..20 {
        let answer = upload(&peer, "/open/x", large.slice(..300_000)).await;
        let answer = timeout(PATIENCE, answer).await.expect("it is not held up").unwrap();
        assert_eq!(read(answer).await.unwrap().status, 200);
    }
    assert_eq!(upstream.body_bytes(), 20 * 300_000);
    drop(unread);
}
