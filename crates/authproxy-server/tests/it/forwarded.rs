//! A route from end to end: what the upstream gets, what the browser gets.

use authproxy_server::config::RouteConfig;
use authproxy_testing::{Answer, FakeUpstream};

use crate::harness::{Ask, Proxy};

async fn behind(upstream: &FakeUpstream) -> Proxy {
    let url = upstream.url();
    Proxy::with(|config| {
        let mut api = RouteConfig::new("/api", url.parse().unwrap());
        api.strip_prefix = true;
        config.route.push(api);
    })
    .await
}

#[tokio::test]
async fn an_api_gets_the_sessions_token_and_not_its_cookie() {
    let upstream = FakeUpstream::answering(|_| Answer::json(201, r#"{"made":true}"#)).await.unwrap();
    let proxy = behind(&upstream).await;
    let cookie = proxy.log_in().await;
    let ask = Ask::post("/api/orders?a=1&b=%2F")
        .header("cookie", &format!("theme=dark; {cookie}"))
        .header("authorization", "Bearer forged")
        .header("sec-fetch-site", "same-origin")
        .body("order");
    let answer = proxy.ask(&ask).await;
    assert_eq!((answer.status, answer.json()["made"].as_bool()), (201, Some(true)));

    let seen = upstream.requests();
    let [request] = &seen[..] else { panic!("{seen:?}") };
    assert_eq!((request.method(), request.target()), ("POST", "/orders?a=1&b=%2F"));
    assert_eq!(request.body(), b"order");
    assert_eq!(request.header("cookie"), Some("theme=dark"));
    let token = request.header("authorization").unwrap();
    assert!(token.starts_with("Bearer ") && token != "Bearer forged");
    assert_eq!(request.header("via"), Some("1.1 authproxy"));
    assert_eq!(request.header("host"), Some(upstream.addr().to_string().as_str()));
}

#[tokio::test]
async fn without_a_session_nothing_reaches_the_upstream() {
    let upstream = FakeUpstream::start().await;
    let proxy = behind(&upstream).await;
    let answer = proxy.ask(&Ask::get("/api/orders")).await;
    assert_eq!(answer.status, 401);
    assert_eq!(answer.json()["detail"], "No session cookie found. Please login first.");
    let cookie = proxy.log_in().await;
    let cross_site = proxy.ask(&Ask::post("/api/orders").header("cookie", &cookie)).await;
    assert_eq!(cross_site.status, 403);
    assert!(upstream.requests().is_empty());
}
