//! The seed's contract, as it stands on the wire.

use std::{sync::Arc, time::Duration};

use authproxy_core::{
    AuthBackend, Credentials, HttpBackend, RefreshToken,
    backend::{BackendError, Login, PasswordOptions, Registration, RevokeRequest},
    clock::ManualClock,
};
use zeroize::Zeroizing;

use super::{
    Class, NOW, TOKENS, access_token, backend, builder, class, credentials,
    raw_server::{Act, RawServer, response, response_with},
    refresh,
};

#[tokio::test]
async fn a_registration_is_json_and_its_answer_comes_back_as_it_is() {
    let server = RawServer::start([
        Act::Answer(response(201, r#"{"id":7}"#)),
        Act::Answer(response(409, r#"{"detail":"Email already registered"}"#)),
        Act::Answer(response(422, "<html>")),
    ])
    .await;
    let backend = backend(&server);
    let registration =
        Registration { email: "user@example.com".into(), password: Zeroizing::new("pa\"ss\u{e4}".into()) };
    let reply = backend.register(&registration).await.unwrap();
    assert_eq!((reply.status.as_u16(), &*reply.body, reply.is_json), (201, &br#"{"id":7}"#[..], true));
    let refused = backend.register(&registration).await.unwrap();
    assert_eq!((refused.status.as_u16(), refused.is_json), (409, true));
    assert!(!backend.register(&registration).await.unwrap().is_json);

    let request = &server.received()[0];
    assert_eq!(request.line, "POST /register HTTP/1.1");
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.body, "{\"email\":\"user@example.com\",\"password\":\"pa\\\"ss\u{e4}\"}");
}

#[tokio::test]
async fn a_login_is_a_form_of_the_given_fields() {
    let server = RawServer::always(Act::Answer(response(200, TOKENS))).await;
    let backend = backend(&server);
    backend.login(&Credentials::password("user@example.com", "a b&c=d")).await.unwrap();
    let options = PasswordOptions {
        grant_type: Some("password".into()),
        scope: Some(String::new()),
        client_id: Some("string".into()),
        client_secret: Some(Zeroizing::new("s+s".into())),
    };
    let all = Credentials::Password { username: "u".into(), password: Zeroizing::new("p".into()), options };
    backend.login(&all).await.unwrap();

    let requests = server.received();
    assert_eq!(requests[0].line, "POST /login HTTP/1.1");
    assert_eq!(requests[0].header("content-type"), Some("application/x-www-form-urlencoded"));
    assert_eq!(requests[0].body, "username=user%40example.com&password=a+b%26c%3Dd");
    assert_eq!(
        requests[1].body,
        "username=u&password=p&grant_type=password&scope=&client_id=string&client_secret=s%2Bs"
    );
}

#[tokio::test]
async fn a_login_brings_the_tokens_and_every_other_field() {
    let server = RawServer::start([Act::Answer(response(200, TOKENS))]).await;
    let Login::Issued(issued) = backend(&server).login(&credentials()).await.unwrap() else { panic!("issued") };
    assert_eq!(issued.tokens.access_token.expose_secret(), "new-access");
    assert_eq!(issued.tokens.refresh_token.unwrap().expose_secret(), "new-refresh");
    assert_eq!(issued.tokens.access_expires_at, Some(NOW.plus(Duration::from_mins(2))));
    assert_eq!(serde_json::Value::from(issued.extra), serde_json::json!({"token_type": "bearer", "expires_in": 120}));
}

#[tokio::test]
async fn a_refused_login_is_the_services_answer() {
    let server = RawServer::start([
        Act::Answer(response(401, r#"{"detail":"Invalid credentials"}"#)),
        Act::Answer(response_with(429, "retry-after: 30\r\n", "slow down")),
    ])
    .await;
    let backend = backend(&server);
    let Login::Refused(reply) = backend.login(&credentials()).await.unwrap() else { panic!("refused") };
    assert_eq!((reply.status.as_u16(), reply.is_json), (401, true));
    let Login::Refused(reply) = backend.login(&credentials()).await.unwrap() else { panic!("refused") };
    assert_eq!((reply.status.as_u16(), reply.is_json), (429, false));
    assert_eq!(reply.retry_after, Some(Duration::from_secs(30)));
}

#[tokio::test]
async fn a_refresh_is_json_with_its_idempotency_key() {
    let server = RawServer::start([Act::Answer(response(200, TOKENS))]).await;
    let tokens = refresh(&backend(&server), r#"quo"ted\token"#).await.unwrap();
    assert_eq!(tokens.refresh_token.unwrap().expose_secret(), "new-refresh");
    let request = &server.received()[0];
    assert_eq!(request.line, "POST /refresh HTTP/1.1");
    assert_eq!(request.header("content-type"), Some("application/json"));
    assert_eq!(request.header("idempotency-key"), Some("key-1"));
    assert_eq!(request.body, r#"{"refresh_token":"quo\"ted\\token"}"#);
}

#[tokio::test]
async fn the_protected_call_carries_the_token_and_its_answer_need_not_be_json() {
    let server = RawServer::start([
        Act::Answer(response(200, "plain text")),
        Act::Answer(response(401, r#"{"detail":"expired"}"#)),
    ])
    .await;
    let backend = backend(&server);
    let reply = backend.protected(&access_token()).await.unwrap();
    assert_eq!((reply.status.as_u16(), &*reply.body, reply.is_json), (200, &b"plain text"[..], false));
    let refused = backend.protected(&access_token()).await.unwrap();
    assert_eq!((refused.status.as_u16(), refused.is_json), (401, true));
    let request = &server.received()[0];
    assert_eq!(request.line, "GET /protected HTTP/1.1");
    assert_eq!(request.header("authorization"), Some("Bearer the-access-token"));
}

#[tokio::test]
async fn a_request_carries_nothing_that_it_need_not() {
    let cookie = response_with(200, "set-cookie: sid=1; Path=/\r\n", TOKENS);
    let server = RawServer::always(Act::Answer(cookie)).await;
    let backend = backend(&server);
    for token in ["one", "two"] {
        refresh(&backend, token).await.unwrap();
    }
    backend.protected(&access_token()).await.unwrap();
    for request in server.received() {
        for name in ["cookie", "referer", "accept-encoding", "transfer-encoding", "expect", "proxy-authorization"] {
            assert_eq!(request.header(name), None, "{}", request.line);
        }
        assert_eq!(request.header("accept"), Some("application/json"));
        assert_eq!(request.header("host"), Some(&*format!("127.0.0.1:{}", server.port())));
        assert!(request.header("user-agent").unwrap().starts_with("authproxy/"));
    }
    assert_eq!(server.received()[0].header("content-length"), Some("23"));
}

#[tokio::test]
async fn both_tokens_are_revoked_the_refresh_token_first() {
    let server = RawServer::start([
        Act::Answer(response(200, "")),
        Act::Answer(response(400, r#"{"error":"unsupported_token_type"}"#)),
        Act::Answer(response(200, "")),
    ])
    .await;
    let backend = backend(&server);
    let (refresh_token, access_token) = (RefreshToken::new("r/1").unwrap(), access_token());
    let both = RevokeRequest { refresh_token: Some(&refresh_token), access_token: &access_token };
    backend.revoke(both).await.unwrap();
    backend.revoke(RevokeRequest { refresh_token: None, ..both }).await.unwrap();
    let requests = server.received();
    assert!(requests.iter().all(|request| request.line == "POST /revoke HTTP/1.1"));
    let bodies: Vec<_> = requests.iter().map(|request| request.body.as_str()).collect();
    assert_eq!(
        bodies,
        [
            "token=r%2F1&token_type_hint=refresh_token",
            "token=the-access-token&token_type_hint=access_token",
            "token=the-access-token&token_type_hint=access_token",
        ]
    );
}

#[tokio::test]
async fn a_service_that_cannot_revoke_is_asked_once_in_ten_minutes() {
    for status in [404, 405, 501] {
        let not_found = || Act::Answer(response(status, r#"{"detail":"Not Found"}"#));
        let server =
            RawServer::start([not_found(), Act::Answer(response(200, "")), Act::Answer(response(200, ""))]).await;
        let clock = ManualClock::new(NOW);
        let backend = HttpBackend::builder(&server.url()).clock(Arc::new(clock.clone())).build().unwrap();
        let (refresh_token, access_token) = (RefreshToken::new("r").unwrap(), access_token());
        let both = RevokeRequest { refresh_token: Some(&refresh_token), access_token: &access_token };
        for backend in [&backend, &backend.clone()] {
            backend.revoke(both).await.unwrap();
        }
        assert_eq!(server.received().len(), 1, "{status}");
        clock.advance(Duration::from_mins(10));
        backend.revoke(both).await.unwrap();
        assert_eq!(server.received().len(), 3, "{status}: it may have been a gateway's word, or the endpoint is new");
    }
}

#[tokio::test]
async fn a_revocation_that_failed_is_said_and_tried_again_next_time() {
    let server = RawServer::start([
        Act::Answer(response_with(503, "retry-after: 5\r\n", "")),
        Act::Answer(response(403, "")),
        Act::Answer(response(200, "")),
    ])
    .await;
    let backend = backend(&server);
    let (refresh_token, access_token) = (RefreshToken::new("r").unwrap(), access_token());
    let both = RevokeRequest { refresh_token: Some(&refresh_token), access_token: &access_token };
    let overloaded = backend.revoke(both).await;
    assert!(matches!(overloaded, Err(BackendError::Overloaded { retry_after: Some(_) })), "{overloaded:?}");
    let refused = backend.revoke(both).await;
    assert!(matches!(refused, Err(BackendError::Malformed(_))), "{refused:?}");
    assert_eq!(server.received().len(), 3, "an overloaded service is not asked about the second token");
}

#[tokio::test]
async fn a_login_by_authorization_code_is_refused_before_anything_is_sent() {
    let server = RawServer::start([]).await;
    let code = Credentials::AuthorizationCode {
        code: Zeroizing::new("c".into()),
        redirect_uri: "https://app.example.com/callback".into(),
        code_verifier: Zeroizing::new("v".into()),
    };
    assert!(matches!(backend(&server).login(&code).await, Err(BackendError::Malformed(_))));
    assert_eq!(server.connections(), 0);
}

#[tokio::test]
async fn endpoints_stand_below_the_path_of_the_url() {
    let server = RawServer::always(Act::Answer(response(200, TOKENS))).await;
    for (prefix, line) in [
        ("/", "POST /refresh HTTP/1.1"),
        ("/auth", "POST /auth/refresh HTTP/1.1"),
        ("/auth/v1/", "POST /auth/v1/refresh HTTP/1.1"),
        ("/a%20b", "POST /a%20b/refresh HTTP/1.1"),
    ] {
        let url = format!("{}{prefix}", server.url());
        let backend = authproxy_core::HttpBackend::builder(&url).build().unwrap();
        assert_eq!(class(&refresh(&backend, "t").await), Class::Tokens);
        assert_eq!(server.received().last().unwrap().line, line);
    }
}

#[tokio::test]
async fn interim_answers_are_passed_over() {
    let interim = [&b"HTTP/1.1 103 Early Hints\r\nlink: </x>\r\n\r\n"[..], &response(200, TOKENS)].concat();
    let server = RawServer::start([Act::Answer(interim)]).await;
    assert_eq!(class(&refresh(&builder(&server).build().unwrap(), "t").await), Class::Tokens);
}
