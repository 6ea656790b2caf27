//! Which URLs are taken, and what is said about the others.

use authproxy_core::{HttpBackend, backend::InvalidAuthUrl};

#[test]
fn only_plain_http_urls_are_taken() {
    use InvalidAuthUrl::{NotHttp, Query, UserInfo};
    for url in ["http://a", "http://a/", "http://a:81/auth", "http://[::1]:81/auth/", "http://127.0.0.1", "HTTP://A"] {
        assert!(HttpBackend::builder(url).build().is_ok(), "{url}");
    }
    for (url, expected) in [
        ("", NotHttp),
        ("auth.example.com", NotHttp),
        ("/auth", NotHttp),
        ("http://", NotHttp),
        ("ftp://a", NotHttp),
        ("unix:/run/auth", NotHttp),
        ("file:///etc/passwd", NotHttp),
        ("http://a:99999", NotHttp),
        ("http://a b", NotHttp),
        (" http://a", NotHttp),
        ("http://a\n", NotHttp),
        ("http://a\t.example", NotHttp),
        ("http://user:CANARY@a", UserInfo),
        ("http://CANARY@a", UserInfo),
        ("http://:CANARY@a", UserInfo),
        ("http://a?x=CANARY", Query),
        ("http://a?", Query),
        ("http://a#x", Query),
        ("http://a/#", Query),
    ] {
        let builder = HttpBackend::builder(url);
        let said = format!("{builder:?}");
        let error = builder.build().unwrap_err();
        assert_eq!(error, expected, "{url}");
        assert!(!format!("{said} {error} {error:?}").contains("CANARY"), "{url}");
    }
}
