//! Pages of other origins: those that `allowed_origins` lists may send and read, on what is guarded; nobody else may.

use authproxy_testing::{Answer, Play};

use crate::{
    forward::Site,
    harness::{Ask, Proxy},
};

const LISTED: &str = "http://localhost:5173";

async fn site() -> Site {
    Site::with_config(|config| config.allowed_origins = vec![LISTED.into()]).await
}

fn preflight(target: &str, origin: &str) -> Ask {
    Ask::new("OPTIONS", target)
        .header("origin", origin)
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "content-type, x-tag")
}

#[tokio::test]
async fn a_listed_origins_preflight_is_answered_without_a_cookie_and_without_the_upstream() {
    let site = site().await;
    let all = "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
    for (target, methods) in [("/login", "POST, OPTIONS"), ("/api/orders", all), ("/bearer/orders", all)] {
        let reply = site.ask(&preflight(target, LISTED)).await;
        assert_eq!((reply.status, reply.body.len()), (204, 0), "{target}");
        assert_eq!(reply.header("access-control-allow-origin"), Some(LISTED));
        assert_eq!(reply.header("access-control-allow-credentials"), Some("true"));
        assert_eq!(reply.header("access-control-allow-methods"), Some(methods));
        assert_eq!(reply.header("access-control-allow-headers"), Some("content-type, x-tag"));
        assert_eq!(reply.header("access-control-max-age"), Some("600"));
        assert_eq!(reply.values("vary"), ["Origin"]);
    }
    assert!(site.upstream.requests().is_empty(), "{:?}", site.upstream.requests());
}

#[tokio::test]
async fn a_listed_origins_page_reads_every_answer_that_is_guarded() {
    let site = site().await;
    let asks = [
        (200, Ask::login("user@example.com", "password123")),
        (200, Ask::get("/session").cookie(&site.cookie)),
        (401, Ask::get("/session")),
        (404, Ask::get("/nowhere")),
        (200, site.get("/api/orders")),
        (401, Ask::get("/api/orders")),
        (200, Ask::post("/api/orders").cookie(&site.cookie).body("{}")),
        (200, Ask::post("/logout").cookie(&site.cookie)),
    ];
    for (status, ask) in asks {
        let reply = site.ask(&ask.header("origin", LISTED).header("sec-fetch-site", "same-site")).await;
        assert_eq!(reply.status, status, "{}", reply.text());
        assert_eq!(reply.header("access-control-allow-origin"), Some(LISTED), "{reply:?}");
        assert_eq!(reply.header("access-control-allow-credentials"), Some("true"));
        assert_eq!(reply.header("access-control-expose-headers"), Some("retry-after, x-request-id"));
        assert!(reply.values("vary").contains(&"Origin"), "{reply:?}");
        assert!(!reply.text().contains("CANARY"), "a page never sees a token");
    }
}

#[tokio::test]
async fn what_an_upstream_says_of_other_origins_gives_way_on_a_guarded_route_only() {
    let site = site().await;
    let open = Answer::json(200, "{}").with_header("access-control-allow-origin", "*");
    for path in ["/api/c", "/open/c"] {
        site.upstream.on(path, Play::answer(open.clone()));
    }
    let reply = site.ask(&site.get("/api/c").header("origin", LISTED)).await;
    assert_eq!(reply.header("access-control-allow-origin"), Some(LISTED));
    let reply = site.ask(&Ask::get("/open/c").header("origin", LISTED)).await;
    assert_eq!(reply.header("access-control-allow-origin"), Some("*"), "a public route's upstream speaks for itself");
    assert_eq!(reply.header("access-control-allow-credentials"), None);
    assert_eq!(site.ask(&preflight("/open/c", LISTED)).await.status, 200);
    assert_eq!(site.upstream.requests_of("/open/c").len(), 2, "its preflight too");
}

#[tokio::test]
async fn nobody_else_gets_a_word_of_cors() {
    let site = site().await;
    let evil = "https://evil.example";
    for origin in [evil, "null", "http://localhost:5174", "http://localhost:5173.evil.example", "HTTP://LOCALHOST:5173"]
    {
        for (status, ask) in [
            (204, preflight("/login", origin)),
            (401, preflight("/api/orders", origin)),
            (401, preflight("/bearer/orders", origin)),
            (200, Ask::get("/session").cookie(&site.cookie).header("origin", origin)),
            (200, site.get("/api/orders").header("origin", origin)),
        ] {
            let reply = site.ask(&ask).await;
            assert_eq!(reply.status, status, "{origin}");
            assert!(!reply.headers.iter().any(|(name, _)| name.starts_with("access-control")), "{reply:?}");
        }
    }
    let twice = Ask::get("/session").cookie(&site.cookie).header("origin", LISTED).header("origin", evil);
    let reply = site.ask(&twice).await;
    assert_eq!(reply.header("access-control-allow-origin"), None);
}

#[tokio::test]
async fn a_token_for_a_gateway_and_what_is_public_are_not_opened() {
    let site = site().await;
    for target in ["/auth/verify", "/auth/verify/api/orders", "/docs", "/openapi.json"] {
        let reply = site.ask(&Ask::get(target).header("origin", LISTED).cookie(&site.cookie)).await;
        assert_eq!(reply.header("access-control-allow-origin"), None, "{target}");
    }
    let reply = site.ask(&preflight("/auth/verify", LISTED).cookie(&site.cookie)).await;
    assert_eq!(reply.header("access-control-allow-origin"), None);
}

#[tokio::test]
async fn without_a_list_answers_do_not_vary_by_origin() {
    let proxy = Proxy::start().await;
    let answer = proxy.ask(&Ask::get("/session").header("origin", LISTED)).await;
    assert_eq!(answer.status, 401);
    assert_eq!(answer.header("vary"), Some("Accept"));
    assert!(!answer.headers.iter().any(|(name, _)| name.starts_with("access-control")));
}
