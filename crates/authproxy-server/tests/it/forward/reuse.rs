//! Which connections carry a second request (cases 12 and 13 of the edge).

use authproxy_testing::{Answer, CutPoint, FakeUpstream, Malformation, Play, Step};
use tokio::time::timeout;

use super::{client::PATIENCE, site::Site};
use crate::harness::Ask;

/// Where it is known which connection is used next.
async fn one_pool() -> Site {
    Site::on_one_thread(FakeUpstream::start().await, |_| {}).await
}

#[tokio::test]
async fn a_clean_upstream_connection_is_used_again() {
    let site = one_pool().await;
    let mut connection = site.connect().await;
    for _ in 0..10 {
        site.assert_serves_on(&mut connection).await;
        site.assert_serves().await;
    }
    assert_eq!(site.upstream.connections(), 1);
}

#[tokio::test]
async fn a_connection_that_nobody_uses_is_closed() {
    let site = Site::start().await;
    site.assert_serves().await;
    assert_eq!(site.upstream.open_connections(), 1);
    timeout(PATIENCE, site.upstream.until_open_connections(0)).await.expect("it does not rest for ever");
    site.assert_serves().await;
}

#[tokio::test]
async fn a_poisoned_upstream_connection_is_never_used_again() {
    let site = one_pool().await;
    let plays: Vec<_> =
        Malformation::ALL.map(Play::malformed).into_iter().chain([Play::garbage_after("good")]).collect();
    for play in plays {
        let before = site.upstream.connections();
        site.upstream.next("/api/poison", play.clone());
        let reply = site.ask(&site.get("/api/poison")).await;
        assert!(!format!("{reply:?}").contains("stray"), "{play:?}");
        let poisoned = site.upstream.requests_of("/api/poison").last().unwrap().connection;
        for _ in 0..3 {
            site.assert_serves().await;
        }
        let later = site.upstream.requests_of("/api/follow-up");
        assert!(later.iter().rev().take(3).all(|request| request.connection != poisoned), "{play:?}");
        assert!(site.upstream.connections() <= before + 2, "{play:?}");
    }
}

#[tokio::test]
async fn an_answer_whose_reader_left_poisons_nothing() {
    let site = one_pool().await;
    for _ in 0..20 {
        site.upstream.on("/api/large", Play::download(8 * 1024 * 1024));
        let mut connection = site.connect().await;
        connection.send(site.get("/api/large").bytes()).await;
        connection.head().await;
        drop(connection);
        site.assert_serves().await;
    }
}

#[tokio::test]
async fn an_unread_body_is_not_the_next_request() {
    let site = one_pool().await;
    let smuggled = format!("GET /api/smuggled HTTP/1.1\r\nHost: a\r\nCookie: {}\r\n\r\n", site.cookie);
    let cookie = format!("Cookie: {}\r\n", site.cookie);
    site.upstream.on("/api/early", Play::early(Answer::json(200, "{}")));
    let outcomes = [
        ("GET /api/a", cookie.as_str(), 200),
        ("POST /api/a", "", 401),
        ("POST /api/a", &cookie, 403),
        ("POST /nowhere", &cookie, 404),
        ("POST /api/../a", &cookie, 400),
        ("TRACE /api/a", "", 405),
        ("POST /open/a", "", 200),
        ("POST /open/early", "", 200),
    ];
    for (line, fields, status) in outcomes {
        for chunked in [false, true] {
            let (length, body) = if chunked {
                ("Transfer-Encoding: chunked".to_owned(), format!("{:x}\r\n{smuggled}\r\n0\r\n\r\n", smuggled.len()))
            } else {
                (format!("Content-Length: {}", smuggled.len()), smuggled.clone())
            };
            let mut connection = site.connect().await;
            connection.send(format!("{line} HTTP/1.1\r\nHost: a\r\n{fields}{length}\r\n\r\n{body}")).await;
            assert_eq!(connection.reply().await.status, status, "{line}");
            assert!(site.upstream.requests_of("/api/smuggled").is_empty(), "{line}");
            connection.send(site.get("/api/next").bytes()).await;
            let rest = connection.closed_or_answered().await;
            assert!(rest == Some(200) || rest.is_none(), "{line}: {rest:?}");
            assert!(site.upstream.requests_of("/api/smuggled").is_empty(), "{line}");
        }
    }
    site.assert_serves().await;
}

#[tokio::test]
async fn a_body_that_the_upstream_did_not_read_is_not_the_next_request_there() {
    let site = one_pool().await;
    let smuggled = "GET /api/smuggled HTTP/1.1\r\nhost: a\r\n\r\n".repeat(8000);
    for then in [None, Some(Step::Close)] {
        let mut play = Play::early(Answer::json(200, r#""early""#));
        play = then.into_iter().fold(play, Play::then);
        site.upstream.on("/api/early", play);
        let reply = site.ask(&site.post("/api/early", &smuggled)).await;
        assert!([200, 502].contains(&reply.status));
        site.assert_serves().await;
        assert!(site.upstream.requests_of("/api/smuggled").is_empty());
    }
}

#[tokio::test]
async fn an_answer_arrives_although_its_upstream_takes_no_more_of_the_request() {
    let site = one_pool().await;
    let body = "x".repeat(8 * 1024 * 1024);
    site.upstream.on("/api/full", Play::early(Answer::json(507, r#""full""#)).then(Step::Close));
    for _ in 0..10 {
        let reply = site.ask(&site.post("/api/full", &body)).await;
        assert_eq!((reply.status, reply.text(), reply.is_complete), (507, r#""full""#, true));
    }
    site.assert_serves().await;
}

#[tokio::test]
async fn pipelined_requests_reach_the_upstream_one_by_one_and_in_order() {
    let site = one_pool().await;
    let mut connection = site.connect().await;
    let paths: Vec<_> = (0..10).map(|number| format!("/api/{number}")).collect();
    for path in &paths {
        site.upstream.on(path, Play::answer(Answer::json(200, format!("\"{path}\""))));
    }
    let all: Vec<u8> = paths.iter().flat_map(|path| site.get(path).bytes()).collect();
    connection.send(all).await;
    for path in &paths {
        assert_eq!(connection.reply().await.text(), format!("\"{path}\""));
    }
    let received: Vec<_> = site.upstream.requests().iter().map(|request| request.path().to_owned()).collect();
    assert_eq!(received, paths);
}

#[tokio::test]
async fn an_upstream_that_closes_idle_connections_costs_no_request() {
    let site = one_pool().await;
    site.upstream.on("/api/close", Play::answer_and_close(Answer::json(200, "1")));
    for round in 0..50 {
        assert_eq!(site.ask(&site.get("/api/close")).await.status, 200, "round {round}");
        site.upstream.until_open_connections(0).await;
    }
    assert_eq!(site.count(), 50);
}

#[tokio::test]
async fn an_upstream_that_closes_at_the_moment_of_reuse_never_sees_a_request_twice() {
    let site = one_pool().await;
    site.upstream.on("/api/close", Play::answer_and_close_at_reuse(Answer::json(200, "1")));
    for method in ["GET", "POST"] {
        for _ in 0..10 {
            let ask = |tag: &str| {
                let ask = Ask::new(method, &format!("/api/close?{tag}")).cookie(&site.cookie);
                ask.header("sec-fetch-site", "same-origin")
            };
            let first = site.ask(&ask("first")).await;
            assert!([200, 502].contains(&first.status), "{first:?}");
            let second = site.ask(&ask("second")).await;
            match second.status {
                200 => {}
                502 => assert_eq!(second.detail(), "The upstream closed the connection without an answer"),
                other => panic!("{other}"),
            }
        }
    }
    site.assert_serves().await;
}

#[tokio::test]
async fn a_cut_answer_leaves_the_next_one_whole() {
    let site = one_pool().await;
    let mut connection = site.connect().await;
    for at in CutPoint::ALL {
        site.assert_serves().await;
        site.upstream.next("/api/cut", Play::reset(at));
        connection.send(site.get("/api/cut").bytes()).await;
        connection.closed_or_answered().await;
        connection = site.connect().await;
        site.assert_serves_on(&mut connection).await;
    }
}
