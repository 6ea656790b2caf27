//! The session cookie between browser and server.

use std::sync::Arc;

use authproxy_testing::FaultyStore;
use serde_json::json;

use crate::harness::{Ask, Proxy};

fn attributes(cookie: &str) -> Vec<String> {
    let mut attributes: Vec<_> = cookie.split("; ").skip(1).map(str::to_owned).collect();
    attributes.sort();
    attributes
}

#[tokio::test]
async fn the_cookie_has_every_attribute_and_clearing_repeats_them() {
    for (public_url, name, secure) in
        [(None, "session_id", false), (Some("https://app.example"), "__Host-session_id", true)]
    {
        let proxy = Proxy::with(|config| config.public_url = public_url.map(str::to_owned)).await;
        let mut expected = vec!["HttpOnly", "Max-Age=240", "Path=/", "SameSite=Lax"];
        expected.extend(secure.then_some("Secure"));

        let answer = proxy.ask(&Ask::login("a@example.com", "password123")).await;
        let set = answer.header("set-cookie").unwrap();
        let (found, value) = answer.cookie_pair().split_once('=').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        assert_eq!((found.as_str(), value.len()), (name, 43));
        assert_eq!(attributes(set), expected);
        assert_eq!(answer.header("strict-transport-security").is_some(), secure);

        let answer = proxy.ask(&Ask::post("/logout").cookie(&answer.cookie_pair())).await;
        let cleared = answer.header("set-cookie").unwrap();
        assert!(cleared.starts_with(&format!("{name}=;")));
        expected[1] = "Max-Age=0";
        assert_eq!(attributes(cleared), expected);
    }
}

#[tokio::test]
async fn each_login_has_a_new_id_and_ends_the_browsers_former_session_only() {
    let proxy = Proxy::start().await;
    let (first, other) = (proxy.log_in().await, proxy.log_in().await);
    let second = proxy.ask(&Ask::login("a@example.com", "password123").cookie(&first)).await.cookie_pair();
    assert!(first != second && first != other && second != other);
    for (cookie, status) in [(&first, 401), (&second, 200), (&other, 200)] {
        assert_eq!(proxy.ask(&Ask::get("/protected-auto").cookie(cookie)).await.status, status);
    }
}

#[tokio::test]
async fn a_failed_login_leaves_the_former_session_alone() {
    let proxy = Proxy::start().await;
    let cookie = proxy.log_in().await;
    assert_eq!(proxy.ask(&Ask::login("a@example.com", "wrong").cookie(&cookie)).await.status, 401);
    assert_eq!(proxy.ask(&Ask::get("/protected-auto").cookie(&cookie)).await.status, 200);
}

#[tokio::test]
async fn an_id_that_the_peer_chose_is_never_used() {
    let proxy = Proxy::start().await;
    let chosen = format!("session_id={}", "A".repeat(43));
    let given = proxy.ask(&Ask::login("a@example.com", "password123").cookie(&chosen)).await.cookie_pair();
    assert_ne!(given, chosen);
    assert_eq!(proxy.ask(&Ask::get("/protected-auto").cookie(&chosen)).await.status, 401);
}

#[tokio::test]
async fn two_different_cookies_of_our_name_are_refused_everywhere_they_count() {
    let proxy = Proxy::start().await;
    let (mine, planted) = (proxy.log_in().await, proxy.log_in().await);
    let logins = proxy.service.received("/login").len();
    for request in [
        Ask::get("/protected-auto"),
        Ask::get("/session"),
        Ask::get("/protected"),
        Ask::post("/logout"),
        Ask::login("a@example.com", "password123"),
        Ask::json("/refresh", "{}"),
        Ask::json("/register", "{}"),
    ] {
        for request in [
            request.clone().cookie(&format!("{mine}; {planted}")),
            request.clone().cookie(&mine).cookie(&planted),
            request.clone().cookie(&format!("{mine}; session_id=junk")),
        ] {
            let answer = proxy.ask(&request).await;
            assert_eq!((answer.status, answer.detail()), (400, "Two different session cookies".into()));
            assert_eq!(answer.header("cache-control"), Some("private, no-store"));
        }
    }
    assert_eq!(proxy.service.received("/login").len(), logins);
    let twice = format!("{mine}; {mine}");
    assert_eq!(proxy.ask(&Ask::get("/session").cookie(&twice)).await.status, 200, "the same one twice is one");
    assert_eq!(proxy.ask(&Ask::get("/docs").cookie(&format!("{mine}; {planted}"))).await.status, 200);
}

#[tokio::test]
async fn logout_works_with_a_session_without_one_and_with_junk() {
    let proxy = Proxy::start().await;
    let session = proxy.log_in().await;
    let junk = format!("session_id={}", "x".repeat(5000));
    for cookie in [session.as_str(), session.as_str(), "session_id=junk", "session_id=", "a=b", &junk] {
        let answer = proxy.ask(&Ask::post("/logout").cookie(cookie)).await;
        assert_eq!((answer.status, answer.json()), (200, json!({ "message": "Logged out successfully" })));
        assert!(answer.header("set-cookie").unwrap().contains("Max-Age=0"));
    }
    assert_eq!(proxy.ask(&Ask::post("/logout")).await.status, 200);
    assert_eq!(proxy.ask(&Ask::post("/logout").body("ignored")).await.status, 200);
}

#[tokio::test]
async fn a_logout_that_the_store_does_not_take_says_so_and_keeps_the_cookie() {
    let mut faulty = None;
    let proxy = Proxy::with_store(
        |_| {},
        |store| {
            let store = FaultyStore::new(store);
            faulty = Some(store.clone());
            Arc::new(store)
        },
    )
    .await;
    let faulty = faulty.unwrap();
    let cookie = proxy.log_in().await;
    faulty.set_down(true);
    let answer = proxy.ask(&Ask::post("/logout").cookie(&cookie)).await;
    assert_eq!((answer.status, answer.header("set-cookie")), (503, None));
    assert!(answer.header("retry-after").is_some());
    faulty.set_down(false);
    let answer = proxy.ask(&Ask::post("/logout").cookie(&cookie)).await;
    assert_eq!(answer.status, 200);
    assert_eq!(proxy.ask(&Ask::get("/protected-auto").cookie(&cookie)).await.status, 401);
}

#[tokio::test]
async fn answers_to_a_cookies_owner_are_never_cached() {
    let proxy = Proxy::start().await;
    let cookie = proxy.log_in().await;
    for request in [
        Ask::get("/protected-auto"),
        Ask::get("/session"),
        Ask::get("/protected"),
        Ask::new("HEAD", "/session"),
        Ask::json("/register", "{}"),
        Ask::login("a@example.com", "wrong"),
    ] {
        let answer = proxy.ask(&request.cookie(&cookie)).await;
        assert_eq!(answer.header("cache-control"), Some("private, no-store"));
    }
    for path in ["/docs", "/openapi.json", "/docs/authproxy.js"] {
        let answer = proxy.ask(&Ask::get(path).cookie(&cookie)).await;
        assert!(answer.header("cache-control").unwrap().starts_with("public"));
        assert_eq!(answer.header("set-cookie"), None);
    }
}
