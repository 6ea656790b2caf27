//! The seed's usage flow and its endpoints, word for word.

use std::{sync::Arc, time::Duration};

use authproxy_server::config::TokenDelivery;
use serde_json::json;
use tokio::sync::Notify;

use crate::{
    auth_service::Instead,
    harness::{Ask, Proxy},
};

#[tokio::test]
async fn the_seeds_usage_flow_works_word_for_word() {
    let proxy = Proxy::start().await;
    let answer = proxy.ask(&Ask::json("/register", r#"{"email": "a@example.com", "password": "password123"}"#)).await;
    assert_eq!(
        (answer.status, answer.json()),
        (201, json!({ "message": "User registered", "email": "a@example.com" }))
    );
    let received = proxy.service.received("/register").pop().unwrap();
    assert_eq!(received.headers["content-type"], "application/json");
    let forwarded: serde_json::Value = serde_json::from_str(&received.body).unwrap();
    assert_eq!(forwarded, json!({ "email": "a@example.com", "password": "password123" }));

    let form = "username=a%40example.com&password=password123&grant_type=password&scope=&client_id=string\
                &client_secret=string";
    let login = Ask::post("/login").header("content-type", "application/x-www-form-urlencoded").body(form);
    let answer = proxy.ask(&login).await;
    assert_eq!(answer.status, 200);
    let tokens = answer.json();
    assert_eq!(tokens["token_type"], "bearer");
    assert_eq!(tokens["expires_in"], 120);
    assert_eq!(tokens["scope"], "all", "the service's other fields come as they are");
    let received = proxy.service.received("/login").pop().unwrap();
    for part in ["username=a%40example.com", "password=password123", "grant_type=password", "client_id=string"] {
        assert!(received.body.contains(part), "{part} in {}", received.body);
    }
    let cookie = answer.cookie_pair();

    let answer = proxy.ask(&Ask::get("/protected-auto").cookie(&cookie)).await;
    assert_eq!((answer.status, &answer.json()["message"]), (200, &json!("You have access")));

    let bearer = format!("Bearer {}", tokens["access_token"].as_str().unwrap());
    let answer = proxy.ask(&Ask::get("/protected").header("authorization", &bearer)).await;
    assert_eq!((answer.status, &answer.json()["message"]), (200, &json!("You have access")));

    let body = json!({ "refresh_token": tokens["refresh_token"] }).to_string();
    let answer = proxy.ask(&Ask::json("/refresh", &body)).await;
    assert_eq!(answer.status, 200);
    assert_ne!(answer.json()["access_token"], tokens["access_token"]);
    assert_ne!(answer.json()["refresh_token"], tokens["refresh_token"]);
    let answer = proxy.ask(&Ask::get("/protected-auto").cookie(&cookie)).await;
    assert_eq!(answer.status, 200, "the manual refresh and the session are one lineage");

    let answer = proxy.ask(&Ask::post("/logout").cookie(&cookie)).await;
    assert_eq!((answer.status, answer.json()), (200, json!({ "message": "Logged out successfully" })));
    let answer = proxy.ask(&Ask::get("/protected-auto").cookie(&cookie)).await;
    assert_eq!((answer.status, answer.detail()), (401, "Invalid session. Please login again.".into()));
    assert_eq!(proxy.service.most_presentations(), 1);
}

#[tokio::test]
async fn an_expired_access_token_is_refreshed_once_and_the_cookie_sent_again() {
    let proxy = Proxy::start().await;
    let cookie = proxy.log_in().await;
    proxy.clock.advance(Duration::from_secs(130));
    let answer = proxy.ask(&Ask::get("/protected-auto").cookie(&cookie)).await;
    assert_eq!(answer.status, 200);
    let set = answer.header("set-cookie").expect("the session was prolonged");
    assert!(set.starts_with(&format!("{cookie};")), "the same session");
    assert!(set.contains("Max-Age=240"), "{set}");
    let again = proxy.ask(&Ask::get("/protected-auto").cookie(&cookie)).await;
    assert_eq!((again.status, again.header("set-cookie")), (200, None));
    assert_eq!(proxy.service.received("/refresh").len(), 1);
}

#[tokio::test]
async fn a_hundred_requests_on_an_expired_session_present_its_token_once() {
    let proxy = Proxy::start().await;
    let cookie = proxy.log_in().await;
    proxy.clock.advance(Duration::from_secs(130));
    let asking = (0..100).map(|_| {
        let (address, request) = (proxy.address, Ask::get("/protected-auto").cookie(&cookie));
        tokio::spawn(async move { crate::harness::Connection::open(address).await.ask(&request).await.status })
    });
    for status in futures_util::future::join_all(asking.collect::<Vec<_>>()).await {
        assert_eq!(status.unwrap(), 200);
    }
    assert_eq!((proxy.service.received("/refresh").len(), proxy.service.most_presentations()), (1, 1));
}

#[tokio::test]
async fn each_way_to_have_no_session_has_its_words() {
    let proxy = Proxy::start().await;
    let ask = |cookie: Option<&str>| {
        let request = Ask::get("/protected-auto");
        cookie.map_or(request.clone(), |cookie| request.clone().cookie(cookie))
    };
    let unknown = format!("session_id={}", "A".repeat(43));
    for (cookie, detail) in [
        (None, "No session cookie found. Please login first."),
        (Some("other=1"), "No session cookie found. Please login first."),
        (Some("session_id=junk"), "Invalid session. Please login again."),
        (Some(unknown.as_str()), "Invalid session. Please login again."),
    ] {
        let answer = proxy.ask(&ask(cookie)).await;
        assert_eq!((answer.status, answer.detail(), answer.header("set-cookie")), (401, detail.into(), None));
        assert!(answer.header("www-authenticate").is_some());
        let status = proxy.ask(&Ask::get("/session").cookie(cookie.unwrap_or("a=b"))).await;
        assert_eq!((status.status, status.detail()), (401, detail.into()));
    }
    assert!(!proxy.service.received_anything());

    let cookie = proxy.log_in().await;
    proxy.clock.advance(Duration::from_secs(300));
    let answer = proxy.ask(&ask(Some(&cookie))).await;
    assert_eq!((answer.status, answer.detail()), (401, "Session expired".into()));
    assert!(answer.header("set-cookie").unwrap().starts_with("session_id=;"));

    let cookie = proxy.log_in().await;
    proxy.service.forget_all_tokens();
    proxy.clock.advance(Duration::from_secs(130));
    let answer = proxy.ask(&ask(Some(&cookie))).await;
    assert_eq!((answer.status, answer.detail()), (401, "Session expired".into()), "refused by the service");
    assert!(answer.header("set-cookie").unwrap().contains("Max-Age=0"));
}

#[tokio::test]
async fn a_token_that_the_service_refuses_is_replaced_once() {
    let proxy = Proxy::start().await;
    let cookie = proxy.log_in().await;
    proxy.service.forget_access_tokens();
    let answer = proxy.ask(&Ask::get("/protected-auto").cookie(&cookie)).await;
    assert_eq!(answer.status, 200);
    assert_eq!((proxy.service.received("/refresh").len(), proxy.service.received("/protected").len()), (1, 2));
}

#[tokio::test]
async fn a_service_that_refuses_every_token_is_not_asked_in_a_loop() {
    let proxy = Proxy::start().await;
    let cookie = proxy.log_in().await;
    proxy.service.always("/protected", Instead::Answer(401, "application/json", r#"{"detail":"No"}"#.into()));
    let answer = proxy.ask(&Ask::get("/protected-auto").cookie(&cookie)).await;
    assert_eq!((answer.status, answer.detail()), (401, json!({ "detail": "No" })));
    assert_eq!((proxy.service.received("/refresh").len(), proxy.service.received("/protected").len()), (1, 2));
    let answer = proxy.ask(&Ask::get("/session").cookie(&cookie)).await;
    assert_eq!(answer.status, 200, "the session lives");
}

#[tokio::test]
async fn a_login_that_took_its_time_says_the_lifetimes_that_the_service_said() {
    let proxy = Arc::new(Proxy::start().await);
    let answer_now = Arc::new(Notify::new());
    proxy.service.next("/login", Instead::Wait(answer_now.clone()));
    let page = Ask::login("a@example.com", "password123").header("sec-fetch-site", "same-origin");
    let login = tokio::spawn({
        let proxy = proxy.clone();
        async move { proxy.ask(&page).await }
    });
    proxy.service.until_received("/login", 1).await;
    proxy.clock.advance(Duration::from_millis(1700));
    answer_now.notify_one();
    let answer = login.await.unwrap();
    assert_eq!(answer.json(), json!({ "message": "Login successful", "expires_in": 120 }));
    let set = answer.header("set-cookie").unwrap();
    assert!(set.contains("Max-Age=240"), "{set}");
}

#[tokio::test]
async fn the_session_endpoint_shows_the_user_and_the_seconds_and_no_token() {
    let proxy = Proxy::start().await;
    let cookie = proxy.log_in().await;
    proxy.clock.advance(Duration::from_secs(20));
    let answer = proxy.ask(&Ask::get("/session").cookie(&cookie)).await;
    assert_eq!(
        (answer.status, answer.json()),
        (200, json!({ "user": "a@example.com", "access_expires_in": 100, "session_expires_in": 220 }))
    );
    proxy.clock.advance(Duration::from_secs(110));
    let answer = proxy.ask(&Ask::get("/session").cookie(&cookie)).await;
    assert_eq!(answer.json()["access_expires_in"], 0);
    assert!(proxy.service.received("/refresh").is_empty(), "asking refreshes nothing");
}

#[tokio::test]
async fn who_gets_tokens_follows_token_delivery() {
    use TokenDelivery::{Auto, Body, Cookie};

    type Headers = &'static [(&'static str, &'static str)];
    let table: [(TokenDelivery, Headers, bool); 7] = [
        (Auto, &[], true),
        (Auto, &[("sec-fetch-site", "same-origin")], false),
        (Auto, &[("sec-fetch-site", "none")], false),
        (Auto, &[("origin", "https://app.example")], false),
        (Body, &[("sec-fetch-site", "same-origin")], true),
        (Cookie, &[], false),
        (Cookie, &[("sec-fetch-site", "same-origin")], false),
    ];
    for (delivery, headers, gets_tokens) in table {
        let proxy = Proxy::with(|config| {
            config.token_delivery = delivery;
            config.public_url = Some("https://app.example".into());
        })
        .await;
        let with = |request: Ask| headers.iter().fold(request, |request, (name, value)| request.header(name, value));
        let login = proxy.ask(&with(Ask::login("a@example.com", "password123"))).await;
        assert_eq!((login.status, login.header("cache-control")), (200, Some("no-store")));
        assert!(login.header("set-cookie").is_some());
        if gets_tokens {
            assert!(login.json()["access_token"].is_string(), "{delivery:?} {headers:?}");
        } else {
            assert_eq!(login.json(), json!({ "message": "Login successful", "expires_in": 120 }));
        }
        let refresh = proxy.ask(&with(Ask::json("/refresh", r#"{"refresh_token": "a-strangers-token"}"#))).await;
        assert_eq!(refresh.header("cache-control"), Some("no-store"));
        let presented = proxy.service.received("/refresh").len();
        let expected = if gets_tokens { (401, 1) } else { (403, 0) };
        assert_eq!((refresh.status, presented), expected, "{delivery:?} {headers:?}: nothing is spent in vain");
    }
}

#[tokio::test]
async fn what_the_service_refuses_stands_under_detail() {
    let proxy = Proxy::start().await;
    let answer = proxy.ask(&Ask::login("a@example.com", "wrong")).await;
    assert_eq!((answer.status, answer.json()), (401, json!({ "detail": { "detail": "Invalid credentials" } })));
    assert_eq!(answer.header("set-cookie"), None);
    let answer = proxy.ask(&Ask::get("/protected").header("authorization", "Bearer nonsense")).await;
    assert_eq!((answer.status, answer.json()), (401, json!({ "detail": { "detail": "Invalid token" } })));
    assert_eq!(answer.header("www-authenticate"), Some("Bearer error=\"invalid_token\""));
    let answer = proxy.ask(&Ask::json("/refresh", r#"{"refresh_token": "nonsense"}"#)).await;
    assert_eq!((answer.status, answer.detail()), (401, json!({ "detail": "Invalid refresh token" })));
}

#[tokio::test]
async fn the_protected_resource_wants_a_bearer_token() {
    let proxy = Proxy::start().await;
    let cookie = proxy.log_in().await;
    for header in [None, Some("Basic YTpi"), Some("Bearer"), Some("Bearer \u{e9}")] {
        let request = Ask::get("/protected").cookie(&cookie);
        let answer = proxy.ask(&header.map_or(request.clone(), |value| request.header("authorization", value))).await;
        assert_eq!((answer.status, answer.json()), (401, json!({ "detail": "Not authenticated" })), "{header:?}");
        assert_eq!(answer.header("www-authenticate"), Some("Bearer"));
    }
    assert!(proxy.service.received("/protected").is_empty());
}

#[tokio::test]
async fn a_body_of_the_service_comes_as_it_is_with_its_type() {
    let proxy = Proxy::start().await;
    for (content_type, body, expected) in [
        ("application/json", r#"{"a":  [1]}"#, "application/json"),
        ("text/plain", "plain words", "text/plain; charset=utf-8"),
        ("text/html", "<script>", "text/plain; charset=utf-8"),
    ] {
        proxy.service.next("/protected", Instead::Answer(200, content_type, body.into()));
        let answer = proxy.ask(&Ask::get("/protected").header("authorization", "Bearer a")).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, body));
        assert_eq!(answer.header("content-type"), Some(expected));
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    }
}
