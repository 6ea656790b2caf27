//! Who passes, and who does not.

use authproxy_testing::fake_auth::{PASSWORD, USER};

use crate::{
    gateway::Gateway,
    websocket::{self, Echo},
    world::{PUBLIC, World, send},
};

pub(crate) async fn a_session_reaches_the_api_with_its_token_and_without_its_cookie(gateway: Gateway) {
    let world = World::start(gateway).await;
    let cookie = world.log_in().await;
    for cookies in [cookie.clone(), format!("{cookie}; theme=dark"), format!("theme=dark; {cookie}; lang=en")] {
        let already = world.api.requests().len();
        let answer = send(world.get("/api/items?q=a%20b").header("cookie", &cookies), 200).await;
        assert_eq!(answer.text().await.unwrap(), r#"{"from":"the API"}"#);
        let requests = world.api.requests();
        assert_eq!(requests.len(), already + 1);
        let request = &requests[already];
        assert_eq!((request.method(), request.target()), ("GET", "/api/items?q=a%20b"));
        assert!(world.has_good_token(request), "{:?}", request.header_values("authorization"));
        for name in ["x-auth-request-user", "x-auth-request-preferred-username", "x-auth-request-email"] {
            assert_eq!(request.header_values(name), [USER], "{name}");
        }
        assert!(!request.contains("session_id"), "{:?}", request.header("cookie"));
        let kept = request.header("cookie").is_some_and(|cookie| cookie.contains("theme=dark"));
        assert_eq!(kept, gateway.keeps_other_cookies() && cookies.contains("theme"), "{:?}", request.header("cookie"));
    }
}

pub(crate) async fn a_body_reaches_the_api_whole(gateway: Gateway) {
    let world = World::start(gateway).await;
    let cookie = world.log_in().await;
    let body = "0123456789".repeat(30_000);
    send(world.post("/api/items").header("cookie", &cookie).header("origin", PUBLIC).body(body.clone()), 200).await;
    let request = world.arrived();
    assert_eq!(request.method(), "POST");
    assert!(request.body() == body.as_bytes());
    assert!(world.has_good_token(&request));
}

pub(crate) async fn without_a_session_the_api_hears_nothing(gateway: Gateway) {
    let world = World::start(gateway).await;
    let closed = world.log_in().await;
    send(world.post("/logout").header("cookie", &closed), 200).await;
    let unknown = format!("session_id={}", "A".repeat(43));
    for cookie in ["theme=dark", "session_id=junk", &unknown, &closed] {
        for ask in [world.get("/api/items"), world.post("/api/items").body("a body").header("origin", PUBLIC)] {
            let ask = ask.header("cookie", cookie).header("authorization", "Bearer forged");
            let answer = send(ask, 401).await;
            assert!(answer.headers().get("authorization").is_none());
        }
    }
    assert!(world.api.requests().is_empty(), "{:?}", world.api.requests());
}

pub(crate) async fn without_authproxy_the_api_hears_nothing(gateway: Gateway) {
    let mut world = World::start(gateway).await;
    let cookie = world.log_in().await;
    world.end_authproxy().await;
    for cookie in ["theme=dark", &cookie] {
        let answer = world.get("/api/items").header("cookie", cookie).send().await.unwrap();
        assert!(answer.status().is_server_error(), "{answer:?}");
    }
    assert!(world.api.requests().is_empty());
}

pub(crate) async fn no_page_gets_a_token_from_the_gateway(gateway: Gateway) {
    let world = World::start(gateway).await;
    let cookie = world.log_in().await;
    for target in ["/auth/verify", "/auth/verify/", "/auth/verify/x", "/auth/verify?x", "/Auth/Verify", "/auth//verify"]
    {
        let ask = world.get(target).header("cookie", &cookie).header("x-forwarded-method", "GET");
        let answer = ask.header("sec-fetch-site", "same-origin").send().await.unwrap();
        assert!(answer.headers().get("authorization").is_none(), "{target}: {answer:?}");
        assert!(answer.headers().get("x-auth-request-user").is_none(), "{target}: {answer:?}");
    }
}

pub(crate) async fn another_sites_page_changes_nothing(gateway: Gateway) {
    let world = World::start(gateway).await;
    let cookie = world.log_in().await;
    let sources =
        [("sec-fetch-site", "cross-site"), ("sec-fetch-site", "same-site"), ("origin", "https://evil.example")];
    for (name, value) in sources {
        for method in ["POST", "PUT", "DELETE"] {
            let ask = world.ask(method.parse().unwrap(), "/api/items").header("cookie", &cookie).header(name, value);
            let disguised = ask.header("x-forwarded-method", "GET").header("x-original-method", "GET");
            send(disguised.header("x-http-method-override", "GET"), 403).await;
        }
    }
    send(world.post("/api/items").header("cookie", &cookie), 403).await;
    assert!(world.api.requests().is_empty(), "{:?}", world.api.requests());
    for (name, value) in [("sec-fetch-site", "same-origin"), ("origin", PUBLIC)] {
        send(world.post("/api/items").header("cookie", &cookie).header(name, value), 200).await;
    }
    send(world.get("/api/items").header("cookie", &cookie).header("sec-fetch-site", "cross-site"), 200).await;
    assert_eq!(world.api.requests().len(), 3);
}

pub(crate) async fn a_websocket_of_our_own_page_goes_through(gateway: Gateway) {
    let echo = Echo::start().await;
    let world = World::with(gateway, |_| {}, Some(echo.address)).await;
    let cookie = world.log_in_as(USER, PASSWORD).await;
    let ours = [("cookie", cookie.as_str()), ("origin", PUBLIC)];
    let evil = [("cookie", cookie.as_str()), ("origin", "https://evil.example")];
    assert_eq!(websocket::open(world.address(), &[("origin", PUBLIC)]).await.err(), Some(401));
    assert_eq!(websocket::open(world.address(), &evil).await.err(), Some(403));
    assert!(echo.handshakes().await.is_empty());

    let mut socket = websocket::open(world.address(), &ours).await.unwrap();
    for text in ["hello", "again"] {
        websocket::assert_echoes(&mut socket, text).await;
    }
    let [handshake] = &echo.handshakes().await[..] else { panic!("one handshake") };
    let token = handshake["authorization"].to_str().unwrap().strip_prefix("Bearer ").unwrap();
    assert!(world.service.accepts_access(token));
    assert_eq!(handshake["x-auth-request-user"], USER);
}

pub(crate) async fn a_navigation_without_a_session_goes_to_the_login_page(gateway: Gateway) {
    let world = World::with(gateway, |config| config.verify.login_page = Some("/welcome".into()), None).await;
    let navigation = || world.get("/api/items?q=1").header("sec-fetch-mode", "navigate");
    let expected = format!("{PUBLIC}/welcome?next=%2Fapi%2Fitems%3Fq%3D1");
    assert_eq!(send(navigation(), 302).await.headers()["location"], expected);
    let spoofed = navigation().header("x-forwarded-host", "evil.example").header("x-forwarded-uri", "//evil.example");
    assert_eq!(send(spoofed, 302).await.headers()["location"], expected);
    send(world.get("/api/items").header("sec-fetch-mode", "cors"), 401).await;
    send(world.post("/api/items").header("sec-fetch-mode", "navigate"), 401).await;
    assert!(world.api.requests().is_empty());
}
