//! An upstream that refuses the access token: one refresh for everyone who saw it, one second try, never a loop.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use authproxy_testing::{Answer, FakeUpstream, Gate, Play};

use super::{client::Client, site::Site};

/// An upstream that takes every token but the first.
async fn refusing_the_first_token() -> Site {
    let upstream = FakeUpstream::playing(|request| match request.header("authorization") {
        Some("Bearer CANARY-token-a1") => Play::unauthorized(Some("Bearer error=\"invalid_token\"")),
        _ => Play::answer(Answer::json(200, request.body())),
    });
    Site::of(upstream.await.unwrap(), |_| {}).await
}

fn refreshes(site: &Site) -> usize {
    site.proxy.service.received("/refresh").len()
}

#[tokio::test]
async fn a_refused_token_is_refreshed_and_the_request_tried_once_more() {
    for challenge in
        [None, Some("Bearer"), Some("Bearer realm=\"a\", error=\"invalid_token\", error_description=\"x\"")]
    {
        let site = Site::start().await;
        site.upstream.next("/api/r", Play::unauthorized(challenge));
        let reply = site.ask(&site.post("/api/r?q", "small")).await;
        assert_eq!((reply.status, refreshes(&site)), (200, 1), "{challenge:?}");
        let requests = site.upstream.requests_of("/api/r");
        let [first, second] = &requests[..] else { panic!("{requests:?}") };
        assert_eq!((first.target(), first.body()), (second.target(), second.body()));
        assert_eq!(first.header("authorization"), Some("Bearer CANARY-token-a1"));
        assert_eq!(second.header("authorization"), Some("Bearer CANARY-token-a2"));
        assert_eq!(first.header("x-request-id"), second.header("x-request-id"));
        site.assert_serves().await;
        assert_eq!(refreshes(&site), 1);
    }
}

#[tokio::test]
async fn a_refusal_for_another_reason_is_the_browsers_to_see() {
    let site = Site::start().await;
    for challenge in ["Basic realm=\"x\"", "Bearer error=\"insufficient_scope\"", "Bearer error=\"invalid_request\""] {
        site.upstream.next("/api/r", Play::unauthorized(Some(challenge)));
        let reply = site.ask(&site.get("/api/r")).await;
        assert_eq!((reply.status, reply.header("www-authenticate")), (401, Some(challenge)));
        assert_eq!(reply.text(), r#"{"detail":"refused by the upstream"}"#);
    }
    assert_eq!((refreshes(&site), site.upstream.requests_of("/api/r").len()), (0, 3));
    for status in [400, 403, 407, 419] {
        site.upstream.next("/api/r", Play::answer(Answer::json(status, "{}")));
        assert_eq!(site.ask(&site.get("/api/r")).await.status, status);
    }
    assert_eq!(refreshes(&site), 0);
    site.assert_serves().await;
}

#[tokio::test]
async fn a_refusal_of_the_fresh_token_goes_through_and_there_is_no_loop() {
    let site = Site::start().await;
    site.upstream.on("/api/r", Play::unauthorized(Some("Bearer error=\"invalid_token\"")));
    let reply = site.ask(&site.get("/api/r")).await;
    assert_eq!((reply.status, reply.text()), (401, r#"{"detail":"refused by the upstream"}"#));
    assert_eq!((site.upstream.requests_of("/api/r").len(), refreshes(&site)), (2, 1));
    assert_eq!(reply.values("set-cookie").iter().filter(|cookie| cookie.contains("Max-Age=0")).count(), 0);
    site.assert_serves().await;

    // An upstream that never likes our tokens must not have us refresh for every request either.
    for _ in 0..10 {
        assert_eq!(site.ask(&site.get("/api/r")).await.status, 401);
    }
    assert!(refreshes(&site) <= 11 && site.upstream.requests_of("/api/r").len() <= 22);
    assert_eq!(site.proxy.service.most_presentations(), 1);
}

#[tokio::test]
async fn everyone_who_saw_the_refused_token_shares_one_refresh() {
    const CALLERS: usize = 64;
    let site = Arc::new(refusing_the_first_token().await);
    let gate = Gate::new();
    // All are with the upstream, each with the first token, before any hears of its refusal.
    for _ in 0..CALLERS {
        site.upstream.next("/api/r", Play::unauthorized(None).held(&gate));
    }
    let mut callers = Vec::new();
    for number in 0..CALLERS {
        let site = site.clone();
        callers.push(tokio::spawn(async move {
            let body = format!("\"{number}\"");
            let reply = site.ask(&site.post("/api/r", &body)).await;
            (reply.status, reply.text() == body)
        }));
    }
    for _ in 0..CALLERS {
        gate.arrived().await;
    }
    gate.open();
    for caller in callers {
        assert_eq!(caller.await.unwrap(), (200, true));
    }
    assert_eq!((refreshes(&site), site.upstream.requests_of("/api/r").len()), (1, 2 * CALLERS));
    assert_eq!(site.proxy.service.most_presentations(), 1);
}

#[tokio::test]
async fn a_late_refusal_of_an_old_token_costs_no_second_refresh() {
    let site = refusing_the_first_token().await;
    let gate = Gate::new();
    site.upstream.next("/api/late", Play::unauthorized(None).held(&gate));
    let mut late = site.connect().await;
    late.send(site.get("/api/late").bytes()).await;
    gate.arrived().await;
    assert_eq!(site.ask(&site.get("/api/r")).await.status, 200);
    assert_eq!(refreshes(&site), 1);
    gate.open();
    assert_eq!(late.reply().await.status, 200);
    assert_eq!(refreshes(&site), 1, "it had been replaced already");
}

#[tokio::test]
async fn a_large_or_streamed_body_is_not_sent_twice() {
    let site = Site::start().await;
    for (path, request) in [
        ("/api/large", site.post("/api/large", &"x".repeat(1024 * 1024)).bytes()),
        (
            "/api/streamed",
            format!(
                "POST /api/streamed HTTP/1.1\r\nHost: a\r\nCookie: {}\r\nSec-Fetch-Site: same-origin\r\n\
                 Transfer-Encoding: chunked\r\n\r\n20000\r\n{}\r\n0\r\n\r\n",
                site.cookie,
                "x".repeat(0x20000)
            )
            .into_bytes(),
        ),
    ] {
        site.upstream.next(path, Play::unauthorized(Some("Bearer error=\"invalid_token\"")));
        let mut connection = Client::open(site.proxy.address).await;
        connection.send(request).await;
        let reply = connection.reply().await;
        assert_eq!((reply.status, reply.text()), (401, r#"{"detail":"refused by the upstream"}"#), "{path}");
        assert_eq!(site.upstream.requests_of(path).len(), 1, "{path}");
        site.assert_serves_on(&mut connection).await;
    }
    // The token was refused all the same: the next request has another one.
    let last = site.upstream.requests_of("/api/follow-up").pop().unwrap();
    assert_ne!(last.header("authorization"), Some("Bearer CANARY-token-a1"));
}

#[tokio::test]
async fn without_a_fresh_token_the_refusal_ends_well() {
    let site = Site::start().await;
    site.upstream.on("/api/r", Play::unauthorized(None));
    site.proxy.service.forget_all_tokens();
    let reply = site.ask(&site.get("/api/r")).await;
    assert_eq!((reply.status, reply.detail().as_str()), (401, "Session expired"));
    assert!(reply.header("set-cookie").unwrap().contains("Max-Age=0"));
    assert_eq!(site.upstream.requests_of("/api/r").len(), 1);
}

#[tokio::test]
async fn a_refusal_while_the_auth_service_is_down_is_no_lost_session() {
    let site = Site::start().await;
    site.upstream.next("/api/r", Play::unauthorized(None));
    site.proxy.service.stop();
    let reply = site.ask(&site.get("/api/r")).await;
    assert!([401, 502, 503].contains(&reply.status), "{reply:?}");
    assert!(reply.values("set-cookie").is_empty());
}

#[tokio::test]
async fn other_routes_refusals_touch_no_session() {
    let site = Site::start().await;
    for path in ["/bearer/r", "/open/r"] {
        site.upstream.on(path, Play::unauthorized(Some("Bearer error=\"invalid_token\"")));
        let reply = site.ask(&site.get(path).header("authorization", "Bearer theirs")).await;
        assert_eq!((reply.status, reply.header("www-authenticate")), (401, Some("Bearer error=\"invalid_token\"")));
        assert_eq!(site.upstream.requests_of(path).len(), 1);
    }
    assert_eq!(refreshes(&site), 0);
}

#[tokio::test]
async fn the_second_try_reaches_the_upstream_on_a_clean_connection_state() {
    let count = Arc::new(AtomicUsize::new(0));
    let seen = count.clone();
    let upstream = FakeUpstream::playing(move |_| match seen.fetch_add(1, Ordering::SeqCst) {
        0 => Play::answer_and_close(Answer::json(401, "{}")),
        _ => Play::answer(Answer::json(200, "1")),
    });
    let site = Site::of(upstream.await.unwrap(), |_| {}).await;
    assert_eq!(site.ask(&site.get("/api/r")).await.status, 200);
    assert_eq!(count.load(Ordering::SeqCst), 2);
}
