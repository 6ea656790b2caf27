//! Where the host and the target of a request lead.

use authproxy_server::config::{RouteAccess, RouteConfig};
use authproxy_testing::FakeUpstream;

use super::client::{Client, Reply};
use crate::{
    harness::{Ask, Proxy},
    secure::Certified,
};

/// An upstream and a proxy with these routes to it.
async fn serve(routes: impl FnOnce(RouteConfig) -> Vec<RouteConfig>) -> (FakeUpstream, Proxy) {
    let upstream = FakeUpstream::start().await;
    let route = RouteConfig::new("/", upstream.url().parse().unwrap());
    let proxy = Proxy::with(|config| config.route = routes(route)).await;
    (upstream, proxy)
}

async fn ask(proxy: &Proxy, head: &str) -> Reply {
    let mut connection = Client::open(proxy.address).await;
    connection.send(format!("{head}\r\n\r\n")).await;
    connection.reply().await
}

#[tokio::test]
async fn a_login_page_is_told_no_other_host_to_come_back_to() {
    let (_upstream, proxy) = serve(|mut route| {
        route.rewrite_prefix = Some("/app".into());
        route.login_page = Some("https://login.example/in".into());
        vec![route]
    })
    .await;
    for (target, location) in [
        ("/a//b?c=1", "https://login.example/in?next=%2Fa%2F%2Fb%3Fc%3D1"),
        ("//evil.example/x", "https://login.example/in"),
        ("///evil.example/x", "https://login.example/in"),
        ("http://app.example//evil.example/x", "https://login.example/in"),
    ] {
        let ask = Ask::get(target).header("sec-fetch-mode", "navigate");
        let reply = Client::open(proxy.address).await.ask(&ask).await;
        assert_eq!((reply.status, reply.header("location")), (302, Some(location)), "{target}");
    }
}

#[tokio::test]
async fn a_dot_at_the_end_of_a_host_or_its_port_does_not_leave_its_route() {
    let (upstream, proxy) = serve(|mut public| {
        public.access = RouteAccess::Public;
        let mut guarded = public.clone();
        (guarded.host, guarded.access) = (Some("app.example".into()), RouteAccess::Session);
        vec![public, guarded]
    })
    .await;
    for host in ["app.example", "app.example.", "APP.example.", "app.example:8443", "app.example.:8443"] {
        assert_eq!(ask(&proxy, &format!("GET /x HTTP/1.1\r\nHost: {host}")).await.status, 401, "{host}");
        assert_eq!(ask(&proxy, &format!("GET http://{host}/x HTTP/1.1\r\nHost: a")).await.status, 401, "{host}");
    }
    assert!(upstream.requests().is_empty());
    assert_eq!(ask(&proxy, "GET /x HTTP/1.1\r\nHost: b.example.").await.status, 200);
}

#[tokio::test]
async fn a_query_without_a_path_is_one_of_the_root() {
    let certified = Certified::new("no_path");
    let (upstream, proxy) = serve(|mut route| {
        route.access = RouteAccess::Public;
        vec![route]
    })
    .await;
    assert_eq!(ask(&proxy, "GET http://a?x=1 HTTP/1.1\r\nHost: a").await.status, 200);
    let url = upstream.url();
    let proxy = certified
        .proxy(|config| {
            config.route = vec![RouteConfig::new("/", url.parse().unwrap())];
            config.route[0].access = RouteAccess::Public;
        })
        .await;
    let mut peer = certified.http2(proxy.address, 65_535).await;
    let request = http::Request::get("https://localhost?x=1").body(()).unwrap();
    assert_eq!(peer.ask(request).await.unwrap().status, 200);
    let targets: Vec<_> = upstream.requests().iter().map(|request| request.target().to_owned()).collect();
    assert_eq!(targets, ["/?x=1", "/?x=1"]);
}
