//! A node whose Redis cannot be used says so in one line and ends, or waits when it is told to.

use std::time::Duration;

use authproxy_testing::redis::RedisServer;

use super::world::SECRET;
use crate::{
    auth_service::closed_port,
    http::Ask,
    program::{Ended, Program, Stopwatch},
};

const PASSWORD: &str = "cAnArY-pAssw0rd";

fn serve(url: &str, more: &[(&str, &str)]) -> Program {
    let environment = [
        &[
            ("AUTH_URL", "http://127.0.0.1:9"),
            ("AUTHPROXY_STORE__URL", url),
            ("AUTHPROXY_STORE__SECRETS", SECRET),
            ("AUTHPROXY_LISTEN", "127.0.0.1:0"),
        ],
        more,
    ]
    .concat();
    Program::start(&["serve"], &environment)
}

/// The last line, which says why: nothing of it is a secret.
fn why(ended: &Ended) -> &str {
    assert!(!format!("{ended:?}").contains(PASSWORD), "the password was said");
    ended.stderr.lines().last().unwrap()
}

#[test]
fn a_url_that_is_none_is_a_bad_configuration() {
    for (url, said) in [
        (format!("reddis://:{PASSWORD}@h"), "the scheme is none of redis, rediss,"),
        (format!("redis://:{PASSWORD}@"), "a host is missing or malformed"),
        (format!("redis://:{PASSWORD}@h:70000"), "a port is not a number from 1 to 65535"),
        (format!("redis://:{PASSWORD}@h/db"), "the database is not a number"),
        (format!("redis://:{PASSWORD}@a,b"), "only redis-cluster:// and redis-sentinel:// take several hosts"),
        (format!("redis-sentinel://:{PASSWORD}@a"), "redis-sentinel://host:port/NAME"),
    ] {
        let ended = serve(&url, &[]).ended();
        let line = why(&ended);
        assert_eq!(ended.code, Some(78), "{line}");
        assert!(line.starts_with("  AUTHPROXY_STORE__URL: store.url: the value is not usable: "), "{line}");
        assert!(line.contains(said) && line.contains("allowed: memory:, redis://host:port"), "{line}");
    }
}

#[test]
fn secrets_are_required_and_everything_is_said_at_once() {
    let environment = [
        ("AUTH_URL", "http://127.0.0.1:9"),
        ("AUTHPROXY_STORE__URL", "redis://h"),
        ("AUTHPROXY_STORE__TLS__CA", "ca.pem"),
        ("AUTHPROXY_STORE__NEAR_TTL", "soon"),
    ];
    let ended = Program::run(&["serve"], &environment);
    assert_eq!(ended.code, Some(78), "{ended:?}");
    for said in [
        "store.secrets: is required with a store in Redis",
        "AUTHPROXY_STORE__TLS__CA: store.tls.ca: has no use with this store.url",
        "AUTHPROXY_STORE__NEAR_TTL: store.near_ttl: \"soon\" is not a duration",
    ] {
        assert!(ended.stderr.contains(said), "{}", ended.stderr);
    }
}

#[test]
fn a_redis_that_is_not_there_is_one_clear_line() {
    let address = closed_port();
    let ended = serve(&format!("redis://:{PASSWORD}@{address}"), &[]).ended();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    let expected = format!(
        "authproxy: the session store cannot be used: Redis at {address}: nobody listens there; check store.url and \
         whether Redis runs"
    );
    assert_eq!(why(&ended), expected);
}

#[tokio::test]
async fn a_wrong_password_is_said_without_the_password_and_not_waited_for() {
    let redis = RedisServer::options().password("the right one").start().await;
    let url = format!("redis://:{PASSWORD}@{}", redis.address());
    for wait in ["off", "1h"] {
        let ended = serve(&url, &[("AUTHPROXY_STORE__WAIT", wait)]).ended();
        assert_eq!(ended.code, Some(1), "{ended:?}");
        let said = "Redis does not accept the user name and password of store.url";
        assert!(why(&ended).ends_with(said), "{ended:?}");
    }
    let ended = serve(&format!("redis://{}", redis.address()), &[]).ended();
    assert_eq!(ended.code, Some(1), "{ended:?}");
}

#[test]
fn a_port_that_speaks_something_else_is_not_taken_for_redis() {
    let service = crate::auth_service::AuthService::start(crate::auth_service::Mood::SpeaksSsh);
    let ended = serve(&service.url().replace("http://", "redis://"), &[]).ended();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(why(&ended).contains("the session store cannot be used: Redis at 127.0.0.1:"), "{ended:?}");
}

#[test]
fn a_certificate_that_cannot_be_read_is_named() {
    let missing = [("AUTHPROXY_STORE__TLS__CA", "/nowhere/ca.pem")];
    let ended = serve("rediss://127.0.0.1:9", &missing).ended();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert_eq!(
        why(&ended),
        "authproxy: `store.tls.ca`: cannot read /nowhere/ca.pem: No such file or directory (os error 2)"
    );
}

#[tokio::test]
async fn tls_with_an_own_authority_and_a_client_certificate() {
    let redis = RedisServer::options().tls().start().await;
    let files = redis.tls_files();
    let path = |path: &std::path::Path| path.display().to_string();
    let (ca, cert, key) = (path(&files.ca), path(&files.client_certificate), path(&files.client_key));
    let all = [
        ("AUTHPROXY_STORE__TLS__CA", ca.as_str()),
        ("AUTHPROXY_STORE__TLS__CERT", &cert),
        ("AUTHPROXY_STORE__TLS__KEY", &key),
    ];
    let serving = serve(&redis.url(), &all);
    serving.wait_for_log("public_url");
    assert_eq!(serving.stop().code, Some(0));
    for too_few in [&all[..1], &[]] {
        let ended = serve(&redis.url(), too_few).ended();
        assert_eq!(ended.code, Some(1), "{ended:?}");
        assert!(why(&ended).contains("Redis at 127.0.0.1:"), "{ended:?}");
    }
}

#[tokio::test]
async fn a_node_waits_for_redis_when_it_is_told_to_and_says_what_for() {
    let mut redis = RedisServer::start().await;
    redis.kill();
    let node = serve(&redis.url(), &[("AUTHPROXY_STORE__WAIT", "1m")]);
    let log = node.wait_for_log("waiting for the session store");
    assert!(log.contains("nobody listens there"), "{log}");
    assert!(!log.contains("public_url"), "it does not serve yet");
    redis.restart().await;
    let watch = Stopwatch::start();
    node.wait_for_log("public_url");
    assert!(watch.elapsed() < Duration::from_secs(3), "{:?}", watch.elapsed());
    assert_eq!(node.stop().code, Some(0));
}

#[test]
fn a_wait_has_an_end() {
    let ended = serve(&format!("redis://{}", closed_port()), &[("AUTHPROXY_STORE__WAIT", "1s")]).ended();
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("waiting for the session store") && why(&ended).contains("nobody listens there"));
}

#[test]
fn a_node_that_waits_can_be_stopped_and_takes_no_connections() {
    let listen = closed_port().to_string();
    let wait = [("AUTHPROXY_STORE__WAIT", "1h"), ("AUTHPROXY_LISTEN", listen.as_str())];
    let node = serve(&format!("redis://{}", closed_port()), &wait[..1]);
    node.wait_for_log("waiting for the session store");
    let watch = Stopwatch::start();
    let ended = node.stop();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(watch.elapsed() < Duration::from_secs(2), "{:?}", watch.elapsed());

    let environment = [
        ("AUTH_URL", "http://127.0.0.1:9"),
        ("AUTHPROXY_STORE__URL", &format!("redis://{}", closed_port())),
        ("AUTHPROXY_STORE__SECRETS", SECRET),
        wait[0],
        wait[1],
    ];
    let node = Program::start(&["serve"], &environment);
    node.wait_for_log("waiting for the session store");
    assert!(std::net::TcpStream::connect(&listen).is_err(), "a balancer would send users to it");
    assert_eq!(node.stop().code, Some(0));
}

#[tokio::test]
async fn dev_keeps_its_sessions_in_redis_when_it_is_told_to() {
    let redis = RedisServer::start().await;
    let (_program, address) =
        Program::dev_with(&[], &[("AUTHPROXY_STORE__URL", &redis.url()), ("AUTHPROXY_STORE__SECRETS", SECRET)]);
    let cookie = crate::http::log_in(address).cookie_pair();
    assert_eq!(Ask::get("/protected-auto").cookie(&cookie).send(address).status, 200);
    assert_ne!(redis.cli(&["DBSIZE"]).await, "0");
}
