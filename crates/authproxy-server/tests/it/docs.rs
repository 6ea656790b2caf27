//! The documentation page: whole, from this program only.

use crate::harness::{Ask, Proxy};

#[tokio::test]
async fn the_page_and_all_that_it_loads_come_from_here() {
    let proxy = Proxy::start().await;
    let page = proxy.ask(&Ask::get("/docs")).await;
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    let policy = page.header("content-security-policy").unwrap();
    assert!(policy.contains("default-src 'none'") && policy.contains("frame-ancestors 'none'"));
    assert!(!policy.contains("unsafe") && !policy.contains("http"));
    assert!(!page.body.contains("http://") && !page.body.contains("https://"));
    let loaded = page.body.split(['"', '\'']).filter(|text| text.starts_with("/docs/"));
    let mut count = 0;
    for path in loaded {
        let asset = proxy.ask(&Ask::get(path)).await;
        assert_eq!(asset.status, 200, "{path}");
        assert!(asset.header("content-type").is_some());
        count += 1;
    }
    assert_eq!(count, 4);
    assert_eq!(proxy.ask(&Ask::get("/docs/")).await.body, page.body);
    assert_eq!(proxy.ask(&Ask::get("/docs/swagger-ui.js")).await.status, 404, "only what the table names");
}

#[tokio::test]
async fn the_document_is_the_librarys() {
    let proxy = Proxy::start().await;
    let document = proxy.ask(&Ask::get("/openapi.json")).await;
    assert_eq!((document.status, document.header("content-type")), (200, Some("application/json")));
    assert_eq!(document.body, authproxy_server::openapi_json());
}

#[tokio::test]
async fn every_answer_carries_the_security_headers_and_a_request_id() {
    let proxy = Proxy::start().await;
    for request in [
        Ask::get("/docs"),
        Ask::get("/nowhere"),
        Ask::get("/session"),
        Ask::login("a@example.com", "password123"),
        Ask::new("OPTIONS", "/login"),
        Ask::get("/session").header("bad name", "x"),
    ] {
        let answer = proxy.ask(&request).await;
        for (name, value) in
            [("x-content-type-options", "nosniff"), ("referrer-policy", "no-referrer"), ("x-frame-options", "DENY")]
        {
            assert_eq!(answer.header(name), Some(value));
        }
        assert!(answer.header("content-security-policy").unwrap().contains("frame-ancestors 'none'"));
        assert_eq!(answer.header("strict-transport-security"), None);
        if answer.status != 400 {
            assert_eq!(answer.header("x-request-id").unwrap().len(), 32);
        }
    }
    let answer = proxy.ask(&Ask::get("/session").header("x-request-id", "mine-1")).await;
    assert_eq!(answer.header("x-request-id"), Some("mine-1"));
}
