//! Every way in which a service can fail, and what is known about the refresh token afterwards. In each case the
//! service saw the token exactly once, or provably never.

use std::{error::Error as _, time::Duration};

use authproxy_core::{
    AccessToken, AuthBackend, Credentials, HttpBackend,
    backend::{BackendError, Login, RefreshError},
};

use super::{
    Class, NOW, TOKENS, access_token, backend, builder, class, credentials,
    raw_server::{Act, RawServer, cut_response, response, response_with},
    refresh, refresh_within,
};

const SHORT: Duration = Duration::from_millis(300);

#[tokio::test]
async fn every_answer_to_a_refresh_has_its_class() {
    let with = response_with;
    let rows = [
        (response(200, TOKENS), Class::Tokens),
        (response(200, r#"{"access_token":"a","refresh_token":"r","exp"#), Class::Tokens),
        (response(200, r#"{"refresh_token":"r","expires_in":120}"#), Class::Salvaged),
        (response(200, r#"{"refresh_token":"presented"}"#), Class::Ambiguous),
        (response(200, "<html>welcome</html>"), Class::Ambiguous),
        (response(200, "[]"), Class::Ambiguous),
        (response(200, "null"), Class::Ambiguous),
        (response(204, ""), Class::Ambiguous),
        (with(200, "content-encoding: gzip\r\n", "\u{1f}\u{8b}\u{8}"), Class::Ambiguous),
        (response(400, r#"{"error":"invalid_grant"}"#), Class::Rejected),
        (response(401, r#"{"detail":"Invalid refresh token"}"#), Class::Rejected),
        (response(401, r#"{"error":"invalid_client"}"#), Class::ClientRejected),
        (response(401, "<html>log in</html>"), Class::ClientRejected),
        (response(403, r#"{"error":"invalid_grant"}"#), Class::ClientRejected),
        (response(404, r#"{"detail":"Not Found"}"#), Class::ClientRejected),
        (response(422, r#"{"detail":[]}"#), Class::ClientRejected),
        (response(408, ""), Class::Ambiguous),
        (with(425, "retry-after: 7\r\n", ""), Class::NotProcessed),
        (with(429, "retry-after: 7\r\n", "{}"), Class::NotProcessed),
        (response(500, r#"{"error":"invalid_grant"}"#), Class::Ambiguous),
        (with(503, "retry-after: 7\r\n", ""), Class::Ambiguous),
    ];
    for (answer, expected) in rows {
        let text = String::from_utf8_lossy(&answer).into_owned();
        let server = RawServer::start([Act::Answer(answer)]).await;
        let result = refresh(&backend(&server), "presented").await;
        assert_eq!(class(&result), expected, "{text}");
        if text.contains("retry-after") {
            let Err(RefreshError::NotProcessed { retry_after, .. } | RefreshError::Ambiguous { retry_after, .. }) =
                result
            else {
                panic!("{text}")
            };
            assert_eq!(retry_after, Some(Duration::from_secs(7)), "{text}");
        }
        assert_eq!(server.presentations("presented"), 1, "{text}");
    }
}

#[tokio::test]
async fn an_answer_that_breaks_off_is_ambiguous_and_nothing_is_sent_again() {
    let chunked = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n20\r\n{\"access_token\":".to_vec();
    let rows = [
        ("reset", Act::Reset),
        ("closed", Act::AnswerAndClose(vec![])),
        ("half a head", Act::AnswerAndClose(b"HTTP/1.1 200 OK\r\nconte".to_vec())),
        ("no body", Act::AnswerAndClose(cut_response(200, ""))),
        ("half a body", Act::AnswerAndClose(cut_response(200, r#"{"access_token":"a","refresh_t"#))),
        ("half a token", Act::AnswerAndClose(cut_response(200, r#"{"access_token":"a","refresh_token":"r"#))),
        ("half a verdict", Act::AnswerAndClose(cut_response(400, r#"{"error":"invalid_grant"}"#))),
        ("half a chunk", Act::AnswerAndClose(chunked)),
        ("no HTTP", Act::AnswerAndClose(b"SSH-2.0-OpenSSH_9.2\r\n".to_vec())),
        ("HTTP/2", Act::AnswerAndClose(b"\0\0\x06\x04\0\0\0\0\0\0\x03\0\0\0d".to_vec())),
        ("two lengths", Act::Answer(response_with(200, "content-length: 1\r\n", TOKENS))),
    ];
    for (name, act) in rows {
        let server = RawServer::start([act]).await;
        let backend = backend(&server);
        assert_eq!(class(&refresh(&backend, "presented").await), Class::Ambiguous, "{name}");
        drop(backend);
        server.drained().await;
        assert_eq!((server.presentations("presented"), server.connections()), (1, 1), "{name}");
    }
}

/// Scenario 18.
#[tokio::test]
async fn tokens_that_came_whole_before_an_answer_broke_off_are_kept() {
    let both = r#"{"access_token":"a","expires_in":120,"refresh_token":"r","sco"#;
    let refresh_only = r#"{"refresh_token":"r","access_token":"a"#;
    for act in [Act::AnswerAndClose as fn(Vec<u8>) -> Act, Act::Stall] {
        let server = RawServer::start([act(cut_response(200, both)), act(cut_response(200, refresh_only))]).await;
        let backend = builder(&server).timeout(SHORT).build().unwrap();
        let tokens = refresh(&backend, "one").await.unwrap();
        assert_eq!(tokens.refresh_token.unwrap().expose_secret(), "r");
        assert_eq!(tokens.access_expires_at, Some(NOW.plus(Duration::from_mins(2))));
        let Err(RefreshError::Ambiguous { salvaged, .. }) = refresh(&backend, "two").await else { panic!("ambiguous") };
        assert_eq!(salvaged.unwrap().expose_secret(), "r");
    }
}

#[tokio::test]
async fn no_answer_in_time_is_ambiguous() {
    for act in [
        Act::Stall(vec![]),
        Act::Stall(b"HTTP/1.1 200 OK\r\n".to_vec()),
        Act::Stall(cut_response(200, "")),
        Act::Trickle(cut_response(200, "")),
        Act::Trickle(b"HTTP/1.1 200 OK\r\nx:".to_vec()),
    ] {
        let server = RawServer::start([act.clone()]).await;
        let backend = backend(&server);
        assert_eq!(class(&refresh_within(&backend, "presented", SHORT).await), Class::Ambiguous, "{act:?}");
        drop(backend);
        server.drained().await;
        assert_eq!(server.presentations("presented"), 1, "{act:?}");
    }
}

#[tokio::test]
async fn the_verdict_comes_before_a_caller_who_counts_the_same_time_gives_up() {
    let server = RawServer::always(Act::Stall(cut_response(200, r#"{"refresh_token":"r","#))).await;
    let backend = backend(&server);
    for _ in 0..5 {
        let result = tokio::time::timeout(SHORT, refresh_within(&backend, "presented", SHORT)).await;
        assert_eq!(class(&result.expect("in time")), Class::Salvaged);
    }
}

#[tokio::test]
async fn a_service_that_is_down_has_seen_nothing() {
    let server = RawServer::start([]).await;
    let backend = backend(&server);
    let nobody = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let closed = HttpBackend::builder(&format!("http://{}", nobody.local_addr().unwrap())).build().unwrap();
    drop(nobody);
    assert_eq!(class(&refresh(&closed, "t").await), Class::NotProcessed);
    assert!(matches!(closed.login(&credentials()).await, Err(BackendError::Unreachable(_))));
    assert!(matches!(closed.protected(&access_token()).await, Err(BackendError::Unreachable(_))));

    let unknown = HttpBackend::builder("http://auth.invalid").connect_timeout(SHORT).build().unwrap();
    assert_eq!(class(&refresh(&unknown, "t").await), Class::NotProcessed);
    drop(backend);
}

#[tokio::test]
async fn a_failed_login_says_why() {
    let malformed = |result: &Result<Login, BackendError>| matches!(result, Err(BackendError::Malformed(_)));
    for act in [
        Act::Reset,
        Act::AnswerAndClose(vec![]),
        Act::AnswerAndClose(cut_response(200, TOKENS)),
        Act::AnswerAndClose(cut_response(401, r#"{"detail":"#)),
        Act::Answer(response(200, "<html>")),
        Act::Answer(response(200, "[]")),
        Act::Answer(response(200, "null")),
        Act::Answer(response(200, r#"{"token_type":"bearer"}"#)),
        Act::Answer(response(200, r#"{"access_token":"a","access_token":"b"}"#)),
        Act::Answer(response(200, r#"{"access_token":"a\r\nset-cookie: x","refresh_token":"r"}"#)),
        Act::Answer(response(302, "")),
        Act::Answer(response(500, r#"{"detail":"stack trace"}"#)),
    ] {
        let server = RawServer::start([act.clone()]).await;
        let result = backend(&server).login(&credentials()).await;
        assert!(malformed(&result), "{act:?}: {result:?}");
        assert_eq!(server.received().len(), 1, "{act:?}");
    }

    for act in [Act::Stall(vec![]), Act::Trickle(cut_response(200, "{"))] {
        let server = RawServer::start([act]).await;
        let result = builder(&server).timeout(SHORT).build().unwrap().login(&credentials()).await;
        assert!(matches!(result, Err(BackendError::TimedOut)), "{result:?}");
    }

    let server =
        RawServer::start([Act::Stall(b"HTTP/1.1 503 X\r\nretry-after: 9\r\ncontent-length: 9\r\n\r\n".to_vec())]).await;
    let Err(BackendError::Overloaded { retry_after }) = backend(&server).login(&credentials()).await else {
        panic!("overloaded, without waiting for the body")
    };
    assert_eq!(retry_after, Some(Duration::from_secs(9)));
}

/// Scenario 52.
#[tokio::test]
async fn no_error_names_a_token_a_password_or_the_url() {
    let body = r#"{"access_token":"CANARY\n","refresh_token":["CANARY"],"detail":"CANARY"}"#;
    let acts = [
        Act::Answer(response(200, body)),
        Act::Answer(response(401, body)),
        Act::Answer(response(403, body)),
        Act::Answer(response(500, body)),
        Act::AnswerAndClose(cut_response(200, body)),
        Act::AnswerAndClose(b"CANARY\r\n\r\n".to_vec()),
        Act::Reset,
    ];
    for act in acts {
        let server = RawServer::always(act).await;
        let backend = HttpBackend::builder(&format!("{}/CANARY", server.url())).build().unwrap();
        let credentials = Credentials::password("CANARY", "CANARY");
        let refreshed = refresh(&backend, "CANARY").await.unwrap_err();
        let mut said = vec![format!("{backend:?} {refreshed:?} {refreshed}")];
        let mut source = refreshed.source();
        while let Some(cause) = source {
            said.push(format!("{cause:?} {cause}"));
            source = cause.source();
        }
        said.push(format!("{:?}", backend.login(&credentials).await));
        said.push(format!("{:?}", backend.protected(&AccessToken::new("CANARY").unwrap()).await));
        assert!(!said.concat().contains("CANARY"), "{said:?}");
    }
}
