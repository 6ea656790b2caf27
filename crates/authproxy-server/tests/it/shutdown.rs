//! The end: what is under way is finished, under a deadline.

use std::{sync::Arc, time::Duration};

use authproxy_server::{Server, config::Config};
use tokio::{net::TcpStream, sync::Notify};

use crate::{
    auth_service::Instead,
    harness::{Ask, Proxy},
};

#[tokio::test]
async fn a_request_under_way_is_answered_and_then_the_server_stops() {
    let mut proxy = Proxy::start().await;
    let notify = Arc::new(Notify::new());
    proxy.service.next("/protected", Instead::Wait(notify.clone()));
    let (mut busy, idle, mut fresh) = (proxy.connect().await, proxy.connect().await, proxy.connect().await);
    assert_eq!(fresh.ask(&Ask::get("/session")).await.status, 401);
    busy.send(Ask::get("/protected").header("authorization", "Bearer a").bytes()).await;
    proxy.service.until_received("/protected", 1).await;
    proxy.stop();
    idle.assert_closed().await;
    fresh.assert_closed().await;
    assert!(TcpStream::connect(proxy.address).await.is_err(), "nothing new is accepted");
    notify.notify_one();
    let answer = busy.answer().await;
    assert_eq!((answer.status, answer.header("connection")), (401, Some("close")));
    busy.assert_closed().await;
    assert_eq!(proxy.stopped().await.connections_cut, 0);
}

#[tokio::test]
async fn an_idle_connection_that_its_peer_keeps_open_does_not_hold_up_the_end() {
    // Shorter than a connection is lingered for: one that is lingered for would be cut off.
    let proxy = Proxy::with(|config| config.limits.drain_timeout = Duration::from_secs(1)).await;
    let (silent, mut answered) = (proxy.connect().await, proxy.connect().await);
    assert_eq!(answered.ask(&Ask::get("/session")).await.status, 401);
    assert_eq!(proxy.stopped().await.connections_cut, 0);
    drop((silent, answered));
}

#[tokio::test]
async fn what_does_not_end_is_cut_off_at_the_deadline() {
    let proxy = Proxy::with(|config| {
        config.limits.drain_timeout = Duration::from_millis(100);
        config.limits.request_timeout = Duration::from_secs(60);
    })
    .await;
    let notify = Arc::new(Notify::new());
    proxy.service.next("/protected", Instead::Wait(notify));
    let mut busy = proxy.connect().await;
    busy.send(Ask::get("/protected").header("authorization", "Bearer a").bytes()).await;
    proxy.service.until_received("/protected", 1).await;
    let report = proxy.stopped().await;
    assert_eq!(report.connections_cut, 1);
}

#[tokio::test]
async fn a_server_that_would_send_cookies_in_the_clear_does_not_start() {
    for (public_url, starts) in [
        (Some("http://app.example"), false),
        (Some("app.example"), false),
        (Some("https://app.example/path"), false),
        (Some("https://app.example"), true),
        (None, true),
    ] {
        let proxy = Proxy::start().await;
        let mut config = Config::default();
        config.public_url = public_url.map(str::to_owned);
        config.auth_url = Some(proxy.service.url());
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let outcome = authproxy_server::run(listener, config, async {}).await;
        assert_eq!(outcome.is_ok(), starts, "{public_url:?}: {outcome:?}");
    }
}

#[tokio::test]
async fn a_configuration_that_cannot_work_is_named() {
    for (change, word) in [
        ((|config| config.auth_url = None) as fn(&mut Config), "auth_url"),
        (|config| config.auth_url = Some("ftp://a".into()), "auth_url"),
        (|config| config.store.url = "postgres://a".into(), "store.url"),
        (|config| config.store.url = "redis://127.0.0.1:9".into(), "store.secrets"),
        (|config| config.store.capacity = 0, "store.capacity"),
        (|config| config.limits.connections = 0, "limits.connections"),
        (|config| config.allowed_origins = vec!["*".into()], "allowed_origins"),
    ] {
        let mut config = Config::default();
        config.auth_url = Some("http://127.0.0.1:9".into());
        change(&mut config);
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let error = authproxy_server::run(listener, config, async {}).await.unwrap_err();
        assert!(error.to_string().contains(word), "{error}");
    }
}

#[test]
fn a_server_can_be_made_of_parts() {
    fn takes<T: Send>() {}
    takes::<Server>();
}

#[tokio::test]
async fn requests_that_cross_with_the_end_are_answered() {
    let mut proxy = Proxy::start().await;
    let (mut silent, mut kept) = (proxy.connect().await, proxy.connect().await);
    assert_eq!(kept.ask(&Ask::get("/session")).await.status, 401);
    // Made, and not accepted yet: nothing else runs on this thread meanwhile.
    let mut waiting = Vec::new();
    for _ in 0..16 {
        let stream = std::net::TcpStream::connect(proxy.address).unwrap();
        stream.set_nonblocking(true).unwrap();
        waiting.push(stream);
    }
    proxy.stop();
    while TcpStream::connect(proxy.address).await.is_ok() {}
    for connection in [&mut silent, &mut kept] {
        let answer = connection.ask(&Ask::get("/session")).await;
        assert_eq!((answer.status, answer.header("connection")), (401, Some("close")));
    }
    for stream in waiting {
        let mut connection = crate::harness::Connection::over(TcpStream::from_std(stream).unwrap());
        assert_eq!(connection.ask(&Ask::get("/session")).await.status, 401);
    }
    assert_eq!(proxy.stopped().await.connections_cut, 0);
}
