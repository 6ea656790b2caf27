//! `/auth/verify` as gateways see it. What the original request may do is `gateway.rs`' own table; here it is seen to
//! be asked. The real gateways are in `tests/gateways`.

use std::time::Duration;

use authproxy_server::config::Config;

use crate::{
    auth_service::Instead,
    harness::{Answer, Ask, Proxy},
};

const PUBLIC: &str = "http://app.localhost";

fn behind_a_gateway(config: &mut Config) {
    config.public_url = Some(PUBLIC.into());
    config.trusted_proxies = vec!["127.0.0.0/8".parse().unwrap()];
}

async fn trusted() -> Proxy {
    Proxy::with(behind_a_gateway).await
}

/// The sub-request of Traefik and of Caddy.
fn sub_request(original: &str) -> Ask {
    Ask::get("/auth/verify").header("x-forwarded-method", original).header("x-forwarded-uri", "/api/x?y=z")
}

fn assert_allowed(answer: &Answer) {
    assert_eq!((answer.status, answer.body.as_str()), (200, ""), "{answer:?}");
    assert!(answer.header("authorization").unwrap().starts_with("Bearer "));
    assert_eq!(answer.header("cache-control"), Some("private, no-store"));
}

fn assert_denied(answer: &Answer, status: u16, detail: &str) {
    assert_eq!((answer.status, answer.detail()), (status, detail.into()));
    for name in ["authorization", "x-auth-request-user", "location"] {
        assert_eq!(answer.header(name), None);
    }
    assert!(answer.header("cache-control").unwrap().contains("no-store"));
}

#[tokio::test]
async fn a_session_is_answered_with_its_token_and_its_user() {
    let proxy = trusted().await;
    let cookie = proxy.log_in().await;
    let answer = proxy.ask(&sub_request("GET").cookie(&cookie)).await;
    assert_allowed(&answer);
    for name in ["x-auth-request-user", "x-auth-request-preferred-username", "x-auth-request-email"] {
        assert_eq!(answer.header(name), Some("a@example.com"));
    }
    let bearer = answer.header("authorization").unwrap();
    assert_eq!(proxy.ask(&Ask::get("/protected").header("authorization", bearer)).await.status, 200);
}

#[tokio::test]
async fn every_method_and_every_path_below_is_answered_alike() {
    let proxy = trusted().await;
    let cookie = proxy.log_in().await;
    for method in ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"] {
        for path in ["/auth/verify", "/auth/verify/", "/auth/verify/api/../x?y=z", "/auth/verify//a%2Fb"] {
            let ask = Ask::new(method, path).header("sec-fetch-site", "same-origin");
            assert_denied_but_for_head(method, &proxy.ask(&ask).await);
            assert_allowed(&proxy.ask(&ask.cookie(&cookie)).await);
        }
    }
}

fn assert_denied_but_for_head(method: &str, answer: &Answer) {
    if method == "HEAD" {
        assert_eq!((answer.status, answer.body.as_str()), (401, ""));
    } else {
        assert_denied(answer, 401, "No session cookie found. Please login first.");
    }
}

#[tokio::test]
async fn a_body_of_the_sub_request_is_not_read_as_the_next_request() {
    let proxy = trusted().await;
    let cookie = proxy.log_in().await;
    let hidden = "GET /session HTTP/1.1\r\nHost: proxy.example\r\n\r\n";
    let ask = Ask::post("/auth/verify/x").cookie(&cookie).header("sec-fetch-site", "same-origin").body(hidden);
    let mut connection = proxy.connect().await;
    assert_allowed(&connection.ask(&ask).await);
    assert_allowed(&connection.ask(&sub_request("GET").cookie(&cookie)).await);
}

#[tokio::test]
async fn without_a_session_the_answer_is_401() {
    let proxy = trusted().await;
    let unknown = format!("session_id={}", "A".repeat(43));
    for (cookie, detail) in [
        ("", "No session cookie found. Please login first."),
        ("session_id=junk", "Invalid session. Please login again."),
        (unknown.as_str(), "Invalid session. Please login again."),
    ] {
        for method in ["GET", "POST"] {
            let ask = sub_request(method).cookie(cookie).header("sec-fetch-site", "same-origin");
            assert_denied(&proxy.ask(&ask).await, 401, detail);
        }
    }
}

#[tokio::test]
async fn an_original_that_may_change_something_is_guarded_like_our_own_endpoints() {
    const REFUSED: &str = "Cross-site request refused";
    let proxy = trusted().await;
    let cookie = proxy.log_in().await;
    let same_site = ("sec-fetch-site", "same-site");
    for (unsafe_one, reads) in [
        (sub_request("POST"), sub_request("GET")),
        (Ask::get("/auth/verify").header("x-original-method", "DELETE"), Ask::get("/auth/verify/x")),
        (Ask::post("/auth/verify/x"), Ask::get("/auth/verify").header("x-original-method", "HEAD")),
        (sub_request("GET").header("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="), sub_request("HEAD")),
        (Ask::post("/auth/verify/x").header("x-forwarded-method", "GET"), sub_request("OPTIONS")),
    ] {
        let (unsafe_one, reads) = (unsafe_one.cookie(&cookie), reads.cookie(&cookie));
        assert_denied(&proxy.ask(&unsafe_one).await, 403, REFUSED);
        for (name, value) in [same_site, ("sec-fetch-site", "cross-site"), ("origin", "https://evil.example")] {
            assert_denied(&proxy.ask(&unsafe_one.clone().header(name, value)).await, 403, REFUSED);
            assert_allowed(&proxy.ask(&reads.clone().header(name, value)).await);
        }
        for (name, value) in [("sec-fetch-site", "same-origin"), ("origin", PUBLIC)] {
            assert_allowed(&proxy.ask(&unsafe_one.clone().header(name, value)).await);
        }
        assert_allowed(&proxy.ask(&reads).await);
    }
}

#[tokio::test]
async fn a_trusted_gateway_that_does_not_say_the_method_lets_no_other_sites_page_through() {
    let proxy = trusted().await;
    let ask = Ask::get("/auth/verify").cookie(&proxy.log_in().await);
    assert_allowed(&proxy.ask(&ask).await);
    assert_allowed(&proxy.ask(&ask.clone().header("sec-fetch-site", "same-origin")).await);
    for site in ["cross-site", "same-site"] {
        let answer = proxy.ask(&ask.clone().header("sec-fetch-site", site)).await;
        assert_denied(&answer, 403, "Cross-site request refused");
    }
}

#[tokio::test]
async fn a_page_gets_no_token_from_an_address_that_is_not_trusted() {
    let proxy = Proxy::with(|config| config.public_url = Some(PUBLIC.into())).await;
    let cookie = proxy.log_in().await;
    let ask = sub_request("POST").cookie(&cookie);
    assert_allowed(&proxy.ask(&ask).await);
    for (name, value) in [("sec-fetch-site", "same-origin"), ("sec-fetch-site", "none"), ("origin", PUBLIC)] {
        for ask in [ask.clone(), Ask::get("/auth/verify/x").cookie(&cookie)] {
            let answer = proxy.ask(&ask.header(name, value).header("x-forwarded-for", "127.0.0.1")).await;
            assert_denied(&answer, 403, "A page's request, from an address that is not in `trusted_proxies`");
        }
    }
    let own = Ask::post("/auth/verify/x").header("x-forwarded-method", "GET").cookie(&cookie);
    assert_denied(&proxy.ask(&own).await, 403, "Cross-site request refused");
}

#[tokio::test]
async fn a_refresh_is_announced_to_the_browser_on_both_ways() {
    let proxy = trusted().await;
    let cookie = proxy.log_in().await;
    let ask = sub_request("GET").cookie(&cookie);
    let first = proxy.ask(&ask).await;
    assert_eq!(first.header("set-cookie"), None);
    proxy.clock.advance(Duration::from_secs(130));
    let second = proxy.ask(&ask).await;
    assert_allowed(&second);
    assert_ne!(first.header("authorization"), second.header("authorization"));
    assert_eq!((proxy.service.received("/refresh").len(), second.cookie_pair()), (1, cookie.clone()));
    assert_eq!(proxy.ask(&ask).await.header("set-cookie"), None, "a gateway is told once");
    let direct = Ask::get("/session").cookie(&cookie);
    assert_eq!(proxy.ask(&direct).await.cookie_pair(), cookie, "the gateway may have kept it to itself");
    assert_eq!(proxy.ask(&direct).await.header("set-cookie"), None);
}

#[tokio::test]
async fn an_outage_of_the_auth_service_is_503_and_the_session_goes_on_afterwards() {
    let proxy = trusted().await;
    let ask = sub_request("GET").cookie(&proxy.log_in().await);
    proxy.clock.advance(Duration::from_secs(130));
    proxy.service.next("/refresh", Instead::RetryAfter(429, 3));
    let answer = proxy.ask(&ask).await;
    assert_eq!((answer.status, answer.header("retry-after")), (503, Some("3")));
    assert_eq!((answer.header("authorization"), answer.header("set-cookie")), (None, None));
    proxy.clock.advance(Duration::from_secs(30));
    assert_allowed(&proxy.ask(&ask).await);
}

#[tokio::test]
async fn an_ended_session_is_401_and_its_cookie_is_cleared() {
    let proxy = trusted().await;
    let ask = sub_request("GET").cookie(&proxy.log_in().await);
    proxy.clock.advance(Duration::from_secs(130));
    proxy.service.forget_all_tokens();
    let answer = proxy.ask(&ask).await;
    assert_denied(&answer, 401, "Session expired");
    assert_eq!(answer.cookie_pair(), "session_id=");
}

#[tokio::test]
async fn only_a_name_that_can_be_told_truly_becomes_a_header() {
    let proxy = trusted().await;
    for (user, email, told) in [
        ("b@example.com", Some("b@example.com"), Some("b@example.com")),
        ("operator", None, Some("operator")),
        ("a@b@c", None, Some("a@b@c")),
        ("@example.com", None, Some("@example.com")),
        (" a@example.com", None, None),
        ("a@example.com\r\nX-Admin: 1", None, None),
        ("a\u{0}", None, None),
    ] {
        let login = proxy.ask(&Ask::login(user, "password123")).await;
        let answer = proxy.ask(&sub_request("GET").cookie(&login.cookie_pair())).await;
        assert_allowed(&answer);
        assert_eq!(answer.header("x-auth-request-user"), told, "{user:?}");
        assert_eq!(answer.header("x-auth-request-preferred-username"), told, "{user:?}");
        assert_eq!(answer.header("x-auth-request-email"), email, "{user:?}");
        assert_eq!(answer.header("x-admin"), None);
    }
}

#[tokio::test]
async fn a_navigation_without_a_session_is_sent_to_the_login_page() {
    let proxy = Proxy::with(|config| {
        behind_a_gateway(config);
        config.verify.login_page = Some("/welcome?lang=en#form".into());
    })
    .await;
    let navigation = sub_request("GET").header("sec-fetch-mode", "navigate").header("x-forwarded-proto", "http");
    let ours = navigation.clone().header("x-forwarded-host", "app.localhost");
    let answer = proxy.ask(&ours).await;
    assert_eq!((answer.status, answer.body.as_str()), (302, ""));
    assert_eq!(answer.header("location"), Some("http://app.localhost/welcome?lang=en&next=%2Fapi%2Fx%3Fy%3Dz#form"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));

    let elsewhere = proxy.ask(&navigation.header("x-forwarded-host", "evil.example")).await;
    assert_eq!(
        (elsewhere.status, elsewhere.header("location")),
        (302, Some("http://app.localhost/welcome?lang=en#form"))
    );

    for program in [sub_request("GET"), sub_request("POST").header("sec-fetch-mode", "navigate")] {
        assert_denied(&proxy.ask(&program).await, 401, "No session cookie found. Please login first.");
    }

    let expired = ours.cookie(&proxy.log_in().await);
    proxy.clock.advance(Duration::from_secs(130));
    proxy.service.forget_all_tokens();
    let answer = proxy.ask(&expired).await;
    assert_eq!((answer.status, answer.cookie_pair().as_str()), (302, "session_id="));
}

#[tokio::test]
async fn nobody_is_redirected_where_no_login_page_is_set_or_nobody_is_trusted() {
    let navigation = sub_request("GET").header("sec-fetch-mode", "navigate").header("accept", "text/html");
    let untrusted = Proxy::with(|config| config.verify.login_page = Some("/welcome".into())).await;
    for proxy in [trusted().await, untrusted] {
        assert_denied(&proxy.ask(&navigation).await, 401, "No session cookie found. Please login first.");
    }
}
