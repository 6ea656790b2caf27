//! What a peer may cost: bytes, connections and time.

use std::time::Duration;

use crate::{
    auth_service::Instead,
    harness::{Ask, Proxy},
};

const SHORT: Duration = Duration::from_millis(150);

#[tokio::test]
async fn each_bound_has_its_status_and_the_next_connection_is_served() {
    let proxy = Proxy::start().await;
    let large = "x".repeat(16 * 1024);
    let fields = (0..101).fold(Ask::get("/session"), |request, index| request.header(&format!("x-{index}"), "y"));
    for (request, status, detail) in [
        (Ask::json("/register", &format!("{{\"email\": \"{large}\"}}")), 413, "Request body too large"),
        (Ask::post("/logout").body(&"x".repeat(16 * 1024 + 1)), 413, "Request body too large"),
        (Ask::login(&large, "b"), 413, "Request body too large"),
        (fields, 431, "Request Header Fields Too Large"),
        (Ask::get("/session").header("x", &"y".repeat(65 * 1024)), 431, "Request Header Fields Too Large"),
        (Ask::get(&format!("/session?{}", "q".repeat(8 * 1024))), 414, "URI Too Long"),
    ] {
        let mut connection = proxy.connect().await;
        let answer = connection.ask(&request).await;
        assert_eq!((answer.status, answer.detail()), (status, detail.into()));
        assert_eq!(answer.header("connection"), Some("close"));
        assert!(answer.header("date").is_some(), "RFC 9110, 6.6.1: {answer:?}");
        connection.assert_closed().await;
        assert_eq!(proxy.ask(&Ask::get("/session")).await.status, 401);
    }
    assert!(!proxy.service.received_anything());
}

#[tokio::test]
async fn what_just_fits_is_served() {
    let proxy = Proxy::start().await;
    let request = Ask::get(&format!("/session?{}", "q".repeat(8 * 1024 - 9))).header("x", &"y".repeat(50 * 1024));
    assert_eq!(proxy.ask(&request).await.status, 401);
    let fields = (0..98).fold(Ask::get("/session"), |request, index| request.header(&format!("x-{index}"), "y"));
    assert_eq!(proxy.ask(&fields).await.status, 401);
    assert_eq!(proxy.ask(&Ask::post("/logout").body(&"x".repeat(16 * 1024))).await.status, 200);
}

#[tokio::test]
async fn an_undeclared_body_is_cut_off_at_the_bound() {
    let proxy = Proxy::start().await;
    let mut connection = proxy.connect().await;
    connection.send("POST /logout HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    for _ in 0..5 {
        connection.send(format!("1000\r\n{}\r\n", "x".repeat(0x1000))).await;
    }
    assert_eq!(connection.answer().await.status, 413);
    connection.assert_closed().await;
}

#[tokio::test]
async fn a_large_body_gets_its_answer_although_the_peer_is_still_sending() {
    let proxy = Proxy::start().await;
    let mut connection = proxy.connect().await;
    let request = Ask::json("/register", &"x".repeat(200 * 1024));
    let answer = connection.ask(&request).await;
    assert_eq!(answer.status, 413);
}

#[tokio::test]
async fn a_slow_head_is_408_and_a_silent_peer_is_closed() {
    let proxy = Proxy::with(|config| config.limits.header_timeout = SHORT).await;
    let mut connection = proxy.connect().await;
    connection.send("GET /session HTTP/1.1\r\nHost: a\r\n").await;
    let answer = connection.answer().await;
    assert_eq!((answer.status, answer.detail()), (408, "The request did not arrive in time".into()));
    connection.assert_closed().await;

    proxy.connect().await.assert_closed().await;
}

#[tokio::test]
async fn a_slow_body_is_408() {
    let proxy = Proxy::with(|config| config.limits.body_timeout = SHORT).await;
    let mut connection = proxy.connect().await;
    connection.send("POST /logout HTTP/1.1\r\nHost: a\r\nContent-Length: 10\r\n\r\n123").await;
    let answer = connection.answer().await;
    assert_eq!((answer.status, answer.header("connection")), (408, Some("close")));
    connection.assert_closed().await;
}

#[tokio::test]
async fn a_request_that_takes_too_long_is_504_and_its_neighbours_are_served() {
    let proxy = Proxy::with(|config| config.limits.request_timeout = 4 * SHORT).await;
    proxy.service.always("/protected", Instead::Hang);
    let slow = Ask::get("/protected").header("authorization", "Bearer a");
    let mut connection = proxy.connect().await;
    connection.send(slow.bytes()).await;
    proxy.service.until_received("/protected", 1).await;
    assert_eq!(proxy.ask(&Ask::get("/session")).await.status, 401);
    let answer = connection.answer().await;
    assert_eq!((answer.status, answer.detail()), (504, "The request took too long".into()));
}

#[tokio::test]
async fn a_connection_over_the_cap_is_told_so() {
    let proxy = Proxy::with(|config| config.limits.connections = 2).await;
    let (mut first, mut second) = (proxy.connect().await, proxy.connect().await);
    assert_eq!(first.ask(&Ask::get("/session")).await.status, 401);
    assert_eq!(second.ask(&Ask::get("/session")).await.status, 401);
    let mut third = proxy.connect().await;
    let answer = third.answer().await;
    assert_eq!((answer.status, answer.detail()), (503, "Too many connections".into()));
    assert!(answer.header("retry-after").is_some());
    third.assert_closed().await;
    drop(first);
    assert_eq!(second.ask(&Ask::get("/session")).await.status, 401);
    while proxy.connect().await.ask(&Ask::get("/session")).await.status == 503 {}
}

#[tokio::test]
async fn a_peer_that_hangs_up_disturbs_nobody() {
    let proxy = Proxy::start().await;
    for bytes in [
        "",
        "GET",
        "GET /session HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST /login HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\na",
    ] {
        for _ in 0..20 {
            let mut connection = proxy.connect().await;
            connection.send(bytes).await;
        }
    }
    assert_eq!(proxy.ask(&Ask::get("/session")).await.status, 401);
}

#[tokio::test]
async fn a_peer_that_does_not_read_is_cut_off() {
    let proxy = Proxy::with(|config| {
        config.limits.body_timeout = SHORT;
        config.limits.connections = 1;
    })
    .await;
    let mut stalled = proxy.connect().await;
    // Far more than the sockets' buffers hold: the bundle has over a megabyte.
    let request = Ask::get("/docs/swagger-ui-bundle.js").bytes();
    stalled.send(request.repeat(20)).await;
    while proxy.connect().await.ask(&Ask::get("/session")).await.status == 503 {}
}
