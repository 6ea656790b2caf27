//! Bytes on a connection: what is one request, and what is refused before anything sees it.

use crate::harness::{Ask, Proxy};

fn follow_up() -> Ask {
    Ask::get("/session")
}

#[tokio::test]
async fn what_two_parsers_could_read_differently_is_400_and_closes() {
    let proxy = Proxy::start().await;
    let register = r#"{"email": "a", "password": "b"}"#;
    let length = register.len();
    for request in [
        format!(
            "POST /register HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\nTransfer-Encoding: chunked\r\n\r\n{register}"
        ),
        format!(
            "POST /register HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 0\r\n\r\n1f\r\n{register}\r\n0\r\n\r\n"
        ),
        format!(
            "POST /register HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\nContent-Length: 0\r\n\r\n{register}"
        ),
        format!("POST /register HTTP/1.1\r\nHost: a\r\nContent-Length: +{length}\r\n\r\n{register}"),
        format!("POST /register HTTP/1.1\r\nHost: a\r\nContent-Length : {length}\r\n\r\n{register}"),
        format!("POST /register HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: xchunked\r\n\r\n{register}"),
        "GET /session HTTP/1.1\r\nHost: a\r\nX: a\r\n b\r\n\r\n".into(),
        "GET /session HTTP/1.1\r\nHost: a\r\nX: a\rb\r\n\r\n".into(),
        "GET /session HTTP/1.1\r\nHost: a\r\nX: a\0b\r\n\r\n".into(),
        "GET /session HTTP/1.1\nHost: a\n\n".into(),
        "GET /session#fragment HTTP/1.1\r\nHost: a\r\n\r\n".into(),
        "GET /session HTTP/3.0\r\nHost: a\r\n\r\n".into(),
        "GET /session\r\n\r\n".into(),
        "\x16\x03\x01\x02\0\x01\0\x01\u{fc}\x03\x03".into(),
        "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".into(),
    ] {
        let mut connection = proxy.connect().await;
        connection.send(format!("{request}GET /session HTTP/1.1\r\nHost: smuggled\r\n\r\n")).await;
        let answer = connection.answer().await;
        assert_eq!((answer.status, answer.detail()), (400, "Malformed request".into()), "{request:?}");
        assert_eq!(answer.header("connection"), Some("close"));
        connection.assert_closed().await;
        assert_eq!(proxy.ask(&follow_up()).await.status, 401, "another connection is served");
    }
    assert!(!proxy.service.received_anything());
}

#[tokio::test]
async fn a_broken_chunk_is_400_and_nothing_is_forwarded() {
    let proxy = Proxy::start().await;
    for chunks in [
        "5;ext=1\r\nhello\r\n0\r\n\r\n",
        "5\r\nhelloo\r\n0\r\n\r\n",
        "x\r\n",
        "-1\r\n",
        "5\nhello\n0\n\n0123456789abcdef",
    ] {
        let mut connection = proxy.connect().await;
        let head = "POST /register HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n";
        connection.send(format!("{head}{chunks}")).await;
        let answer = connection.answer().await;
        assert_eq!((answer.status, answer.header("connection")), (400, Some("close")), "{chunks:?}");
        connection.assert_closed().await;
    }
    assert!(!proxy.service.received_anything());
}

#[tokio::test]
async fn a_chunked_body_is_a_body() {
    let proxy = Proxy::start().await;
    let mut connection = proxy.connect().await;
    connection
        .send(
            "POST /register HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n\
             5\r\n{\"ema\r\n1A\r\nil\": \"a\", \"password\": \"b\"}\r\n0\r\n\r\n",
        )
        .await;
    assert_eq!(connection.answer().await.status, 201);
    assert_eq!(connection.ask(&follow_up()).await.status, 401);
}

#[tokio::test]
async fn who_waits_for_100_continue_gets_it_only_when_the_body_is_wanted() {
    let proxy = Proxy::start().await;
    let body = r#"{"email": "a", "password": "b"}"#;
    let head = |length: usize| {
        format!(
            "POST /register HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Type: application/json\r\n\
             Content-Length: {length}\r\n\r\n"
        )
    };
    let mut connection = proxy.connect().await;
    connection.send(head(body.len())).await;
    assert_eq!(connection.answer().await.status, 100);
    connection.send(body).await;
    assert_eq!(connection.answer().await.status, 201);
    assert_eq!(connection.ask(&follow_up()).await.status, 401);

    let mut connection = proxy.connect().await;
    connection.send(head(100_000)).await;
    assert_eq!(connection.answer().await.status, 413);
    connection.assert_closed().await;
}

#[tokio::test]
async fn an_unread_body_is_never_read_as_a_request() {
    let proxy = Proxy::start().await;
    let smuggled = "POST /register HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\nContent-Length: 31\r\n\r\n\
                    {\"email\": \"a\", \"password\": \"b\"}";
    for (method, path, status) in [("GET", "/session", 401), ("GET", "/nowhere", 404), ("POST", "/session", 405)] {
        let mut connection = proxy.connect().await;
        let head = format!("{method} {path} HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n", smuggled.len());
        connection.send(format!("{head}{smuggled}{}", String::from_utf8(follow_up().bytes()).unwrap())).await;
        assert_eq!(connection.answer().await.status, status);
        let next = connection.answer().await;
        assert_eq!((next.status, next.detail()), (401, "No session cookie found. Please login first.".into()));
    }
    let mut connection = proxy.connect().await;
    connection.send(format!("GET /session HTTP/1.1\r\nHost: a\r\nContent-Length: 100000\r\n\r\n{smuggled}")).await;
    assert_eq!(connection.answer().await.status, 401);
    connection.send(smuggled).await;
    connection.assert_closed().await;
    assert!(!proxy.service.received_anything());
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    let proxy = Proxy::start().await;
    let mut connection = proxy.connect().await;
    let requests: Vec<u8> = [
        Ask::get("/nowhere").bytes(),
        Ask::json("/register", r#"{"email": "a", "password": "b"}"#).bytes(),
        Ask::get("/session").bytes(),
        b"GET /session HTTP/1.1\r\nHost: a\r\nbad header\r\n\r\n".to_vec(),
    ]
    .concat();
    connection.send(requests).await;
    for status in [404, 201, 401, 400] {
        assert_eq!(connection.answer().await.status, status);
    }
    connection.assert_closed().await;
}

#[tokio::test]
async fn requests_that_are_not_for_an_origin_server_are_refused() {
    let proxy = Proxy::start().await;
    for (head, status) in [
        ("GET /session HTTP/1.1\r\n", 400),
        ("GET /session HTTP/1.1\r\nHost:\r\n", 400),
        ("GET /session HTTP/1.1\r\nHost: a\r\nHost: a\r\n", 400),
        ("GET /session HTTP/1.1\r\nHost: u@a\r\n", 400),
        ("GET /session HTTP/1.1\r\nHost: a/b\r\n", 400),
        ("GET ftp://a/session HTTP/1.1\r\nHost: a\r\n", 400),
        ("GET http://u@a/session HTTP/1.1\r\nHost: a\r\n", 400),
        ("GET a:80 HTTP/1.1\r\nHost: a\r\n", 400),
        ("CONNECT a:443 HTTP/1.1\r\nHost: a:443\r\n", 501),
        ("BREW /session HTTP/1.1\r\nHost: a\r\n", 501),
        ("TRACE /session HTTP/1.1\r\nHost: a\r\n", 405),
        ("TRACE / HTTP/1.1\r\nHost: a\r\n", 405),
        ("GET http://a/session HTTP/1.1\r\nHost: b\r\n", 401),
        ("GET http://internal.example/protected HTTP/1.1\r\nHost: internal.example\r\n", 401),
        ("OPTIONS * HTTP/1.1\r\nHost: a\r\n", 204),
        ("GET /session HTTP/1.0\r\n", 401),
    ] {
        let mut connection = proxy.connect().await;
        connection.send(format!("{head}\r\n")).await;
        let answer = connection.answer().await;
        assert_eq!(answer.status, status, "{head:?}");
        assert_eq!(answer.header("allow").is_some(), [405, 204].contains(&status), "{head:?}");
    }
    assert!(!proxy.service.received_anything());
}

#[tokio::test]
async fn unknown_paths_and_methods_and_head_are_answered_by_the_book() {
    let proxy = Proxy::start().await;
    let mut connection = proxy.connect().await;
    for (method, target, status, allow) in [
        ("GET", "/", 404, None),
        ("GET", "/nowhere?q", 404, None),
        ("POST", "/login/", 404, None),
        ("GET", "//session", 404, None),
        ("GET", "/%73ession", 404, None),
        ("GET", "/docs/..%2fsession", 404, None),
        ("GET", "/login", 405, Some("POST, OPTIONS")),
        ("HEAD", "/login", 405, Some("POST, OPTIONS")),
        ("PUT", "/protected", 405, Some("GET, HEAD, OPTIONS")),
        ("DELETE", "/session", 405, Some("GET, HEAD, OPTIONS")),
        ("PATCH", "/docs", 405, Some("GET, HEAD, OPTIONS")),
        ("OPTIONS", "/session", 204, Some("GET, HEAD, OPTIONS")),
        ("OPTIONS", "/nowhere", 404, None),
        ("HEAD", "/session", 401, None),
        ("HEAD", "/openapi.json", 200, None),
        ("GET", "/session?ignored=1", 401, None),
    ] {
        let answer = connection.ask(&Ask::new(method, target)).await;
        assert_eq!((answer.status, answer.header("allow")), (status, allow), "{method} {target}");
        let detail = match status {
            404 => Some("Not Found"),
            405 => Some("Method Not Allowed"),
            _ => None,
        };
        if let Some(detail) = detail.filter(|_| method != "HEAD") {
            assert_eq!(answer.json(), serde_json::json!({ "detail": detail }));
        }
    }
    let (get, head) = (Ask::get("/openapi.json"), Ask::new("HEAD", "/openapi.json"));
    let (get, head) = (connection.ask(&get).await, connection.ask(&head).await);
    for name in ["content-length", "content-type", "cache-control", "content-security-policy"] {
        assert_eq!(get.header(name), head.header(name), "{name}");
    }
}
