//! Upstreams that fail: the right status in time, nothing of where they are, and the next request works.

use authproxy_server::config::RouteConfig;
use authproxy_testing::{Answer, CutPoint, DeafListener, FakeUpstream, Gate, Malformation, Play};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{Duration, Instant, timeout},
};

use super::{
    client::{Client, Reply},
    site::{Site, routes},
};
use crate::harness::{Ask, Proxy};

const SHORT: Duration = Duration::from_millis(300);
/// A timeout of [`SHORT`] has to be over by then, on a busy machine too.
const SOON: Duration = Duration::from_secs(5);

fn short(route: &mut RouteConfig) {
    (route.connect_timeout, route.first_byte_timeout, route.idle_timeout) = (SHORT, SHORT, SHORT);
}

/// A site that keeps one connection to its upstream at rest, however many asked.
async fn with_one_pool() -> Site {
    Site::on_one_thread(FakeUpstream::start().await, |config| config.route.iter_mut().for_each(short)).await
}

/// The reply to a request, which has to come soon; it says nothing of where the upstream is.
async fn soon(address: std::net::SocketAddr, ask: &Ask, secrets: &[&str]) -> Reply {
    let began = Instant::now();
    let reply = Client::open(address).await.ask(ask).await;
    assert!(began.elapsed() < SOON, "{:?}", began.elapsed());
    let all = format!("{:?}{}", reply.headers, String::from_utf8_lossy(&reply.body));
    for secret in secrets {
        assert!(!all.contains(secret), "{secret} in {all}");
    }
    reply
}

/// A proxy whose routes all lead to this URL.
async fn in_front_of(url: &str) -> (Proxy, String) {
    let proxy = Proxy::with(|config| {
        config.route = routes(url);
        config.route.iter_mut().for_each(short);
    })
    .await;
    let cookie = proxy.log_in().await;
    (proxy, cookie)
}

/// What it says keeps its request busy, and is no answer.
#[tokio::test]
async fn an_upstream_that_says_103_without_end_is_504() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let upstream = tokio::spawn(async move {
        let hints = b"HTTP/1.1 103 Early Hints\r\n\r\n".repeat(1000);
        while let Ok((mut stream, _)) = listener.accept().await {
            // One that speaks before it is asked is no upstream: the connection is given up.
            stream.read_u8().await.unwrap();
            while stream.write_all(&hints).await.is_ok() {}
        }
    });
    let (proxy, cookie) = in_front_of(&url).await;
    // Of HTTP/1.0, which hears nothing of them.
    let request = format!("GET /api/x HTTP/1.0\r\nhost: a\r\ncookie: {cookie}\r\n\r\n");
    let mut stream = TcpStream::connect(proxy.address).await.unwrap();
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    timeout(SOON, stream.read_to_string(&mut answer)).await.expect("an answer in time").unwrap();
    assert!(answer.starts_with("HTTP/1.0 504 "), "{answer}");
    upstream.abort();
}

#[tokio::test]
async fn an_upstream_that_cannot_be_found_or_reached_is_502() {
    let dead = FakeUpstream::start().await;
    dead.refuse_connections().await;
    let port = dead.addr().port().to_string();
    let nowhere = format!("unix:{}/nobody.sock", env!("CARGO_TARGET_TMPDIR"));
    for (url, secrets) in [
        ("http://upstream.invalid:81", vec!["invalid", ":81"]),
        (&dead.url(), vec!["127.0.0.1", &port]),
        (&nowhere, vec!["nobody", "sock"]),
    ] {
        let (proxy, cookie) = in_front_of(url).await;
        for path in ["/api/x", "/open/x"] {
            for _ in 0..2 {
                let reply = soon(proxy.address, &Ask::get(path).cookie(&cookie), &secrets).await;
                // A resolver without an answer may take longer than a connection is given.
                assert!(reply.status == 502 || (reply.status == 504 && url.contains("invalid")), "{url}: {reply:?}");
                assert!(
                    ["The upstream cannot be reached", "Connecting to the upstream took too long"]
                        .contains(&reply.detail().as_str())
                );
            }
        }
        assert_eq!(proxy.ask(&Ask::get("/session").cookie(&cookie)).await.status, 200, "everything else works");
    }
}

#[tokio::test]
async fn a_dead_upstream_that_comes_back_serves_on() {
    let site = Site::with_routes(short).await;
    let mut connection = site.connect().await;
    site.assert_serves_on(&mut connection).await;
    site.upstream.refuse_connections().await;
    for _ in 0..5 {
        assert_eq!(connection.ask(&site.get("/api/x")).await.status, 502);
    }
    site.upstream.accept_connections().await;
    site.assert_serves_on(&mut connection).await;
    site.assert_serves().await;
}

#[tokio::test]
async fn a_connection_that_does_not_come_about_is_504() {
    let deaf = DeafListener::start().await.unwrap();
    let (proxy, cookie) = in_front_of(&deaf.url()).await;
    let port = deaf.addr().port().to_string();
    let reply = soon(proxy.address, &Ask::get("/api/x").cookie(&cookie), &["127.0.0.1", &port]).await;
    assert_eq!((reply.status, reply.detail().as_str()), (504, "Connecting to the upstream took too long"));
    assert_eq!(proxy.ask(&Ask::get("/session").cookie(&cookie)).await.status, 200);
}

#[tokio::test]
async fn a_tls_handshake_that_does_not_end_is_504() {
    let silent = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let ca = Site::authority("faults_silent").await;
    let proxy = Proxy::with(|config| {
        config.route = routes(&format!("https://localhost:{}", silent.local_addr().unwrap().port()));
        config.route.iter_mut().for_each(short);
        config.route.iter_mut().for_each(|route| route.upstream_ca = Some(ca.clone()));
    })
    .await;
    let cookie = proxy.log_in().await;
    let reply = soon(proxy.address, &Ask::get("/api/x").cookie(&cookie), &["localhost"]).await;
    assert_eq!((reply.status, reply.detail().as_str()), (504, "Connecting to the upstream took too long"));
}

#[tokio::test]
async fn an_upstream_without_a_first_byte_is_504() {
    let site = with_one_pool().await;
    site.upstream.on("/api/slow", Play::never());
    let address = site.upstream.addr().to_string();
    for ask in [site.get("/api/slow"), site.post("/api/slow", "body"), site.post("/api/slow", &"x".repeat(100_000))] {
        let reply = soon(site.proxy.address, &ask, &[&address]).await;
        assert_eq!((reply.status, reply.detail().as_str()), (504, "The upstream did not answer in time"));
        site.assert_serves().await;
    }
    site.upstream.until_open_connections(1).await;
}

#[tokio::test]
async fn an_upstream_that_stops_inside_its_head_is_504() {
    let site = Site::with_routes(short).await;
    let half = authproxy_testing::Step::Write(b"HTTP/1.1 200 OK\r\ncontent-ty".to_vec());
    site.upstream.on("/api/slow", Play::reading([half, authproxy_testing::Step::Never]));
    let reply = soon(site.proxy.address, &site.get("/api/slow"), &[]).await;
    assert_eq!(reply.status, 504);
    site.assert_serves().await;
}

#[tokio::test]
async fn a_body_that_stops_breaks_off_in_time_and_does_not_look_complete() {
    let site = with_one_pool().await;
    let gate = Gate::new();
    site.upstream.on("/api/slow", Play::held_in_body(&gate, &Answer::json(200, "0123456789")));
    let reply = soon(site.proxy.address, &site.get("/api/slow"), &[]).await;
    assert_eq!((reply.status, reply.text(), reply.is_complete), (200, "01234", false));
    site.assert_serves().await;
    site.upstream.until_open_connections(1).await;
}

#[tokio::test]
async fn an_upstream_that_is_slow_and_not_too_slow_is_waited_for() {
    let site = Site::with_routes(|route| route.first_byte_timeout = Duration::from_secs(30)).await;
    let gate = Gate::new();
    site.upstream.on("/api/slow", Play::answer(Answer::json(200, "1")).held(&gate));
    let mut connection = site.connect().await;
    connection.send(site.get("/api/slow").bytes()).await;
    gate.arrived().await;
    site.assert_serves().await;
    gate.open();
    assert_eq!(connection.reply().await.text(), "1");
}

#[tokio::test]
async fn a_reset_is_502_before_the_answer_and_the_answers_end_after_it() {
    let site = Site::with_routes(short).await;
    let address = site.upstream.addr().to_string();
    for at in CutPoint::ALL {
        for method in ["GET", "POST"] {
            site.upstream.on("/api/reset", Play::reset(at));
            let ask = Ask::new(method, "/api/reset").cookie(&site.cookie).header("sec-fetch-site", "same-origin");
            let before = site.upstream.requests_of("/api/reset").len();
            let reply = soon(site.proxy.address, &ask, &[&address]).await;
            match at {
                CutPoint::BeforeHead | CutPoint::InHead => {
                    assert_eq!(reply.status, 502, "{at:?}");
                    assert_eq!(reply.detail(), "The upstream closed the connection without an answer");
                }
                _ => assert!(reply.status == 502 || !reply.is_complete, "{at:?}: {reply:?}"),
            }
            assert_eq!(site.upstream.requests_of("/api/reset").len(), before + 1, "{at:?}: it is not asked twice");
            site.assert_serves().await;
        }
    }
}

#[tokio::test]
async fn a_malformed_answer_is_502_and_says_so() {
    let site = Site::with_routes(short).await;
    let address = site.upstream.addr().to_string();
    let mut passed_on = Vec::new();
    for flaw in Malformation::ALL {
        site.upstream.on("/api/bad", Play::malformed(flaw));
        for ask in [site.get("/api/bad"), site.post("/api/bad", "x")] {
            let reply = soon(site.proxy.address, &ask, &[&address, "no colon", "five", "x-huge"]).await;
            if flaw == Malformation::ChunkSize {
                assert!(reply.status == 502 || !reply.is_complete, "{reply:?}");
            } else {
                let said = (reply.status == 502).then(|| reply.detail());
                if said.as_deref() != Some("The upstream's answer is malformed") {
                    passed_on.push((flaw, reply));
                }
            }
            site.assert_serves().await;
        }
    }
    assert!(passed_on.is_empty(), "{passed_on:?}");
}

#[tokio::test]
async fn an_answer_with_two_lengths_is_never_cut_to_one_of_them() {
    let site = Site::start().await;
    for flaw in [Malformation::LengthAndChunked, Malformation::TwoLengths] {
        site.upstream.on("/open/bad", Play::malformed(flaw));
        let reply = site.ask(&site.get("/open/bad")).await;
        assert!(reply.status == 502 || !reply.is_complete || reply.body == b"hello", "{flaw:?}: {reply:?}");
    }
}

#[tokio::test]
async fn when_every_connection_is_in_use_it_is_503_with_a_time_to_come_back() {
    let site = Site::with_routes(|route| {
        (route.max_connections, route.connect_timeout) = (2, SHORT);
    })
    .await;
    let gate = Gate::new();
    site.upstream.on("/api/held", Play::answer(Answer::json(200, "1")).held(&gate));
    let mut held = Vec::new();
    for _ in 0..2 {
        let mut connection = site.connect().await;
        connection.send(site.get("/api/held").bytes()).await;
        gate.arrived().await;
        held.push(connection);
    }
    let reply = soon(site.proxy.address, &site.get("/api/x"), &[]).await;
    assert_eq!((reply.status, reply.detail().as_str()), (503, "All connections to the upstream are in use"));
    assert!(reply.header("retry-after").unwrap().parse::<u32>().unwrap() > 0);
    assert_eq!(site.upstream.connections(), 2);
    gate.open();
    for connection in &mut held {
        assert_eq!(connection.reply().await.status, 200);
    }
    site.assert_serves().await;
}

/// Peers that are served by different threads share the bound, and what rests within it.
#[tokio::test]
async fn a_connection_at_rest_elsewhere_is_used_where_no_new_one_may_be_made() {
    let site = Site::with_routes(|route| route.max_connections = 1).await;
    let mut peers = [site.connect().await, site.connect().await, site.connect().await];
    for _ in 0..5 {
        for peer in &mut peers {
            site.assert_serves_on(peer).await;
        }
    }
    assert_eq!(site.upstream.connections(), 1);
}

#[tokio::test]
async fn a_caller_who_left_gives_its_place_back() {
    let site = Site::with_routes(|route| route.max_connections = 1).await;
    site.upstream.on("/api/held", Play::never());
    for round in 1..=5 {
        let mut connection = site.connect().await;
        connection.send(site.get("/api/held").bytes()).await;
        site.upstream.until_requests("/api/held", round).await;
        drop(connection);
        site.assert_serves().await;
    }
}
