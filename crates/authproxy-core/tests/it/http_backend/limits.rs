//! An answer's size is bounded, and no answer leads anywhere else.

use authproxy_core::{
    AuthBackend,
    backend::{BackendError, RefreshError},
};

use super::{
    Class, TOKENS, access_token, backend, builder, class, credentials,
    raw_server::{Act, RawServer, response, response_with},
    refresh,
};

const GIB: &str = "HTTP/1.1 200 OK\r\ncontent-length: 1073741824\r\n\r\n";
const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";

fn chunk(text: &str) -> Vec<u8> {
    format!("{:x}\r\n{text}\r\n", text.len()).into_bytes()
}

fn endless_answers() -> [Act; 3] {
    let filler = " ".repeat(16 * 1024);
    [
        Act::Endless(GIB.into(), filler.clone().into_bytes()),
        Act::Endless(CHUNKED.into(), chunk(&filler)),
        Act::Endless(b"HTTP/1.1 200 OK\r\n".to_vec(), format!("x: {filler}\r\n").into_bytes()),
    ]
}

#[tokio::test]
async fn an_endless_answer_ends_at_the_bound() {
    for act in endless_answers() {
        let server = RawServer::always(act).await;
        let backend = backend(&server);
        assert_eq!(class(&refresh(&backend, "presented").await), Class::Ambiguous);
        assert!(matches!(backend.login(&credentials()).await, Err(BackendError::Malformed(_))));
        assert!(matches!(backend.protected(&access_token()).await, Err(BackendError::Malformed(_))));
        drop(backend);
        server.drained().await;
        assert_eq!((server.presentations("presented"), server.connections()), (1, 3), "no connection is used again");
    }
}

#[tokio::test]
async fn tokens_within_the_bound_of_an_endless_answer_are_kept() {
    let filler = " ".repeat(16 * 1024);
    let both = format!("{GIB}{},\"x\":\"", TOKENS.trim_end_matches('}'));
    let server = RawServer::start([
        Act::Endless(both.into_bytes(), filler.clone().into_bytes()),
        Act::Endless(format!("{GIB}{{\"refresh_token\":\"r\",\"x\":\"").into_bytes(), filler.into_bytes()),
    ])
    .await;
    let backend = backend(&server);
    assert_eq!(class(&refresh(&backend, "one").await), Class::Tokens);
    let Err(RefreshError::Ambiguous { salvaged, .. }) = refresh(&backend, "two").await else { panic!("ambiguous") };
    assert_eq!(salvaged.unwrap().expose_secret(), "r");
}

#[tokio::test]
async fn the_bound_is_exact() {
    let server = RawServer::always(Act::Answer(response(200, TOKENS))).await;
    let fits = builder(&server).max_body(TOKENS.len()).build().unwrap();
    let too_small = builder(&server).max_body(TOKENS.len() - 1).build().unwrap();
    assert!(fits.login(&credentials()).await.is_ok());
    assert!(matches!(too_small.login(&credentials()).await, Err(BackendError::Malformed(_))));
}

/// Scenario 19.
#[tokio::test]
async fn a_redirect_is_not_followed() {
    let elsewhere = RawServer::always(Act::Answer(response(200, TOKENS))).await;
    let location = format!("location: {}/refresh\r\n", elsewhere.url());
    for status in [301, 302, 303, 307, 308] {
        let server = RawServer::always(Act::Answer(response_with(status, &location, TOKENS))).await;
        let backend = backend(&server);
        assert_eq!(class(&refresh(&backend, "presented").await), Class::ClientRejected, "{status}");
        assert!(matches!(backend.login(&credentials()).await, Err(BackendError::Malformed(_))), "{status}");
        assert!(matches!(backend.protected(&access_token()).await, Err(BackendError::Malformed(_))), "{status}");
        assert_eq!(server.presentations("presented"), 1, "{status}");
    }
    assert_eq!(elsewhere.connections(), 0);
}

/// Run by the test below in a process of its own, whose environment names a proxy.
#[tokio::test]
#[ignore = "needs the environment that its parent sets"]
async fn refreshes_in_an_environment_with_a_proxy() {
    let server = RawServer::always(Act::Answer(response(200, TOKENS))).await;
    assert!(std::env::var("http_proxy").is_ok(), "run by its parent only");
    assert_eq!(class(&refresh(&backend(&server), "presented").await), Class::Tokens);
    assert_eq!(server.presentations("presented"), 1);
}

#[tokio::test]
async fn a_proxy_in_the_environment_sees_nothing() {
    let proxy = RawServer::always(Act::Answer(response(502, ""))).await;
    let mut child = std::process::Command::new(std::env::current_exe().unwrap());
    for name in ["http_proxy", "HTTP_PROXY", "https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY"] {
        child.env(name, proxy.url());
    }
    child.env_remove("no_proxy").env_remove("NO_PROXY");
    let name = "http_backend::limits::refreshes_in_an_environment_with_a_proxy";
    child.args(["--exact", name, "--ignored"]);
    let output = tokio::task::spawn_blocking(move || child.output()).await.unwrap().unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && said.contains("1 passed"), "{said}");
    assert_eq!(proxy.connections(), 0);
}
