//! What a browser writes under names that upstreams believe.

use std::net::IpAddr;

use authproxy_testing::fake_auth::USER;

use crate::{
    gateway::Gateway,
    world::{HOST, World, send},
};

/// Names that some upstream takes for the gateway's word, also as they look to one that reads `_` as `-`.
const BELIEVED: [&str; 39] = [
    "authorization",
    "x-auth-request-user",
    "x-auth-request-email",
    "x-auth-request-preferred-username",
    "x-auth-request-groups",
    "x-auth-request-access-token",
    "x_auth_request_user",
    "x_auth_request_groups",
    "x-auth-request_access-token",
    "x-auth_request-user",
    "x_auth-request_email",
    "x_auth_request_preferred_username",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-forwarded-port",
    "x-forwarded-method",
    "x-forwarded-uri",
    "x-forwarded-prefix",
    "x-forwarded-server",
    "x-forwarded-user",
    "x_forwarded_for",
    "x-forwarded_for",
    "x_forwarded_host",
    "forwarded",
    "x-real-ip",
    "x_real_ip",
    "x-original-method",
    "x-original-url",
    "x-original-uri",
    "x_original_url",
    "remote-user",
    "remote_user",
    "x-user-id",
    "x_user_id",
    "client-cert",
    "client_cert",
    "x_forwarded_user",
    "x-envoy-original-path",
];

pub(crate) async fn what_a_browser_spoofs_does_not_arrive(gateway: Gateway) {
    let world = World::start(gateway).await;
    let cookie = world.log_in().await;
    for name in BELIEVED {
        for values in [&["spoofed"][..], &["spoofed", "spoofed, again"]] {
            let already = world.api.requests().len();
            let ask = world.get("/api/items").header("cookie", &cookie);
            let answer = values.iter().fold(ask, |ask, value| ask.header(name, *value)).send().await.unwrap();
            let requests = world.api.requests();
            if answer.status() == 400 {
                assert_eq!(requests.len(), already, "{name}");
                continue;
            }
            assert_eq!(answer.status(), 200, "{name}");
            let request = &requests[already];
            assert!(!request.contains("spoofed"), "{name}: {}", String::from_utf8_lossy(&request.head));
            assert!(world.has_good_token(request), "{name}");
            assert_eq!(request.header_values("x-auth-request-user"), [USER], "{name}");
            // Envoy writes its own machine's address for a peer on loopback.
            let peer = request.header_values("x-forwarded-for");
            let is_address = peer.len() == 1 && peer[0].parse::<IpAddr>().is_ok();
            assert!(peer == ["127.0.0.1"] || (is_address && gateway == Gateway::Envoy), "{name}: {peer:?}");
            let host = request.header_values("x-forwarded-host");
            assert!(host == [HOST] || (host.is_empty() && gateway == Gateway::Envoy), "{name}: {host:?}");
        }
    }
}

pub(crate) async fn a_name_that_authproxy_does_not_say_is_nobodys(gateway: Gateway) {
    let world = World::start(gateway).await;
    let account = r#"{"email":"operator","password":"password123"}"#;
    send(world.post("/register").header("content-type", "application/json").body(account), 201).await;
    let cookie = world.log_in_as("operator", "password123").await;
    send(world.get("/api/items").header("cookie", &cookie).header("X-Auth-Request-Email", "root@example.com"), 200)
        .await;
    let request = world.arrived();
    assert_eq!(request.header_values("x-auth-request-user"), ["operator"]);
    assert!(request.header_values("x-auth-request-email").is_empty());
}

pub(crate) async fn connection_takes_nothing_away_that_the_gateway_has_set(gateway: Gateway) {
    let world = World::start(gateway).await;
    let cookie = world.log_in().await;
    let ask = world.get("/api/items").header("cookie", &cookie);
    let ask = ask.header("connection", "authorization, x-auth-request-user, x-forwarded-for, x-original-method");
    let status = ask.send().await.unwrap().status();
    for request in world.api.requests() {
        assert!(world.has_good_token(&request));
        assert_eq!(request.header_values("x-auth-request-user"), [USER]);
    }
    // Refusing such a request is as good as passing it on whole.
    assert!(status == 200 || status.is_client_error(), "{status}");
}
