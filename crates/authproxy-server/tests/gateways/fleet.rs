//! The balancer of `deploy/fleet`, in front of a node that trusts it.

use authproxy_server::config::{RouteAccess, RouteConfig};
use authproxy_testing::{Answer, FakeUpstream};

use crate::{
    gateway::Gateway,
    world::{HOST, World, send},
};

#[tokio::test]
async fn no_page_gets_a_token_through_the_balancer() {
    let world = World::start(Gateway::Balancer).await;
    let cookie = world.log_in().await;
    for path in ["/auth/verify", "/auth/verify?x", "/auth/verify/", "/auth/verify/x", "/auth//verify", "/auth/%76erify"]
    {
        let ask = world.get(path).header("cookie", &cookie).header("sec-fetch-site", "same-origin");
        let answer = send(ask, 404).await;
        assert!(!answer.headers().contains_key("authorization"), "{path}");
    }
    send(world.get("/session").header("cookie", &cookie), 200).await;
}

#[tokio::test]
async fn what_a_browser_says_of_its_way_is_not_believed() {
    let api = FakeUpstream::answering(|_| Answer::json(200, "{}")).await.unwrap();
    let mut route = RouteConfig::new("/open", api.url().parse().unwrap());
    route.access = RouteAccess::Public;
    let world = World::with(Gateway::Balancer, |config| config.route = vec![route], None).await;
    let names =
        ["x-forwarded-for", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-port", "x-real-ip", "forwarded"];
    let ask = names.iter().fold(world.get("/open/x"), |ask, name| ask.header(*name, "f0rged"));
    send(ask, 200).await;
    let request = api.requests().remove(0);
    assert!(!request.contains("f0rged"), "{request:?}");
    assert_eq!(request.header("x-forwarded-for"), Some("127.0.0.1, 127.0.0.1"));
    assert_eq!(request.header("x-forwarded-proto"), Some("http"));
    assert_eq!(request.header("x-forwarded-host"), Some(HOST));
}
