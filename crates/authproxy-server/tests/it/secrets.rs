//! What the log says of a request, and what it never says.

use authproxy_testing::canary::Traces;

use crate::{
    auth_service::{CANARY, Instead},
    harness::{Ask, Proxy},
};

// One thread: the collector sees what is traced on its own.
#[tokio::test]
async fn no_secret_and_nothing_forged_reaches_the_log() {
    let traces = Traces::collect();
    let proxy = Proxy::on_one_thread(|_| {}).await;
    let login = proxy.ask(&Ask::login("user-S3CRET", "password-S3CRET")).await;
    let cookie = login.cookie_pair();
    let id = cookie.split_once('=').unwrap().1.to_owned();
    for request in [
        Ask::get("/protected-auto?query-S3CRET=1").cookie(&cookie),
        Ask::get("/path-S3CRET\u{7f}"),
        Ask::get("/%0d%0aforged-S3CRET"),
        Ask::new("M-S3CRET", "/session"),
        Ask::get("/session").header("x-request-id", "S3CRET\u{1b}[31m"),
        Ask::get("/session").header("user-agent", "S3CRET"),
        Ask::json("/register", r#"{"email": "a-S3CRET", "password": "S3CRET"}"#),
        Ask::json("/register", r#"{"email": "S3CRET"#),
        Ask::json("/refresh", r#"{"refresh_token": "S3CRET"}"#),
        Ask::get("/protected").header("authorization", "Bearer S3CRET"),
    ] {
        proxy.ask(&request).await;
    }
    for instead in [
        Instead::Answer(500, "text/html", "S3CRET".into()),
        Instead::Answer(200, "application/json", r#"{"access_token": 1, "S3CRET": 2}"#.into()),
        Instead::Answer(400, "application/json", r#"{"detail": "S3CRET"}"#.into()),
        Instead::Reset,
    ] {
        proxy.service.next("/login", instead);
        proxy.ask(&Ask::login("user-S3CRET", "password-S3CRET")).await;
    }
    proxy.ask(&Ask::post("/logout").cookie(&cookie)).await;
    let log = traces.text();
    traces.assert_clean(&["S3CRET", CANARY, &id, "forged"]);
    for line in ["request answered", "request failed", "route=\"protected_auto\"", "status=502", "method=\"other\""] {
        assert!(log.contains(line), "{line} is missing in {log}");
    }
}
