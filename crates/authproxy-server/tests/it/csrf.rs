//! Which pages may change something. The whole table is in `csrf.rs`' own tests; here it is seen to be asked.

use crate::harness::{Answer, Ask, Proxy};

const PUBLIC: &str = "https://app.example";

async fn proxy() -> Proxy {
    Proxy::with(|config| {
        config.public_url = Some(PUBLIC.into());
        config.allowed_origins = vec!["https://admin.example".into()];
    })
    .await
}

fn endpoints() -> [Ask; 4] {
    [
        Ask::json("/register", r#"{"email": "a", "password": "b"}"#),
        Ask::login("a@example.com", "password123"),
        Ask::json("/refresh", r#"{"refresh_token": "a"}"#),
        Ask::post("/logout"),
    ]
}

fn is_refused(answer: &Answer) -> bool {
    answer.status == 403 && answer.detail() == "Cross-site request refused"
}

#[tokio::test]
async fn every_unsafe_endpoint_refuses_other_sites_pages() {
    let proxy = proxy().await;
    let table: [(&[(&str, &str)], bool); 12] = [
        (&[("sec-fetch-site", "same-origin")], false),
        (&[("sec-fetch-site", "none")], false),
        (&[("sec-fetch-site", "same-site")], true),
        (&[("sec-fetch-site", "cross-site")], true),
        (&[("sec-fetch-site", "cross-site"), ("origin", PUBLIC)], true),
        (&[("sec-fetch-site", "cross-site"), ("origin", "https://admin.example")], false),
        (&[("origin", PUBLIC)], false),
        (&[("origin", "https://admin.example")], false),
        (&[("origin", "https://evil.example")], true),
        (&[("origin", "null")], true),
        (&[("origin", "https://evil.example"), ("x-forwarded-host", "evil.example")], true),
        (&[], false),
    ];
    for (headers, refused) in table {
        for request in endpoints() {
            let request = headers.iter().fold(request, |request, (name, value)| request.header(name, value));
            let answer = proxy.ask(&request).await;
            assert_eq!(is_refused(&answer), refused, "{}", String::from_utf8_lossy(&request.bytes()));
        }
    }
}

#[tokio::test]
async fn the_host_header_does_not_name_our_origin() {
    let proxy = proxy().await;
    let mut connection = proxy.connect().await;
    connection
        .send(
            "POST /logout HTTP/1.1\r\nHost: evil.example\r\nOrigin: https://evil.example\r\nContent-Length: 0\r\n\r\n",
        )
        .await;
    assert!(is_refused(&connection.answer().await));
}

#[tokio::test]
async fn a_refused_request_changes_nothing() {
    let proxy = proxy().await;
    let cookie = proxy.log_in().await;
    let before = proxy.service.received("/login").len();
    for request in endpoints() {
        let answer = proxy.ask(&request.cookie(&cookie).header("sec-fetch-site", "cross-site")).await;
        assert!(is_refused(&answer));
        assert_eq!(answer.header("set-cookie"), None);
    }
    assert_eq!(proxy.service.received("/login").len(), before);
    assert!(proxy.service.received("/register").is_empty() && proxy.service.received("/refresh").is_empty());
    assert_eq!(proxy.ask(&Ask::get("/protected-auto").cookie(&cookie)).await.status, 200, "the session lives");
}

#[tokio::test]
async fn a_get_never_logs_out() {
    let proxy = proxy().await;
    let cookie = proxy.log_in().await;
    let answer = proxy.ask(&Ask::get("/logout").cookie(&cookie)).await;
    assert_eq!((answer.status, answer.header("allow")), (405, Some("POST, OPTIONS")));
    assert_eq!(proxy.ask(&Ask::get("/protected-auto").cookie(&cookie)).await.status, 200);
}
