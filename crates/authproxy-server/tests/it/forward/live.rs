//! Connections that last end with their session, within a second, and are counted.

use authproxy_server::config::Config;
use authproxy_testing::{Answer, EventStream, FakeUpstream, Gate, Play};
use tokio::time::{Duration, Instant, timeout};

use super::{
    client::{Client, PATIENCE, Reply},
    site::Site,
    upgrades,
};
use crate::harness::Ask;

/// What the issue allows, and what a busy machine needs on top.
const WITHIN: Duration = Duration::from_millis(2500);

/// A WebSocket, a stream of events and a long poll of one session.
struct Lasting {
    websocket: Client,
    events: Client,
    head: Reply,
    poll: Client,
    stream: EventStream,
}

impl Lasting {
    /// Opens them; `cookie` stands in the paths, so that each session has its own.
    async fn open(site: &Site) -> Self {
        let name = &site.cookie[site.cookie.len() - 6..];
        let stream = EventStream::new();
        let (events_path, poll_path) = (format!("/api/events/{name}"), format!("/api/poll/{name}"));
        site.upstream.on(&events_path, Play::events(&stream));
        site.upstream.on(&poll_path, Play::never());
        let (mut websocket, head) = upgrades::open(site, &format!("/api/ws/{name}")).await;
        assert_eq!(head.status, 101);
        websocket.send("hello").await;
        websocket.exactly(5).await.unwrap();
        let mut events = site.connect().await;
        events.send(site.get(&events_path).bytes()).await;
        let head = events.head().await;
        assert_eq!(head.status, 200);
        let mut poll = site.connect().await;
        poll.send(site.get(&poll_path).bytes()).await;
        site.upstream.until_requests(&poll_path, 1).await;
        Self { websocket, events, head, poll, stream }
    }

    /// Fails unless all three end in time, at both ends.
    async fn assert_ended(mut self, site: &Site) {
        let began = Instant::now();
        timeout(PATIENCE, self.websocket.closed()).await.unwrap();
        let rest = self.events.closed().await;
        assert!(!rest.ends_with(b"0\r\n\r\n"), "the stream does not look complete");
        let status = self.poll.closed_or_answered().await;
        assert!(matches!(status, None | Some(401)), "{status:?}");
        self.stream.until_listeners(0).await;
        assert!(began.elapsed() < WITHIN, "{:?}", began.elapsed());
        site.upstream.until_open_connections(0).await;
    }

    /// Fails unless all three still work.
    async fn assert_lives(&mut self) {
        self.websocket.send("still").await;
        assert_eq!(self.websocket.exactly(5).await.unwrap(), b"still");
        self.stream.send("still");
        assert_eq!(self.events.chunk(&mut self.head).await.unwrap().unwrap(), b"data: still\n\n");
    }
}

#[tokio::test]
async fn a_logout_ends_them() {
    let site = Site::start().await;
    let lasting = Lasting::open(&site).await;
    assert_eq!(site.ask(&Ask::post("/logout").cookie(&site.cookie)).await.status, 200);
    lasting.assert_ended(&site).await;
    assert_eq!(site.ask(&site.get("/api/x")).await.status, 401);
}

#[tokio::test]
async fn the_sessions_expiry_ends_them() {
    let site = Site::start().await;
    let lasting = Lasting::open(&site).await;
    site.proxy.clock.advance(Duration::from_secs(13 * 3600));
    lasting.assert_ended(&site).await;
    assert_eq!(site.ask(&site.get("/api/x")).await.status, 401);
}

#[tokio::test]
async fn a_verdict_of_the_auth_service_ends_them() {
    let site = Site::start().await;
    let lasting = Lasting::open(&site).await;
    site.proxy.service.forget_all_tokens();
    site.upstream.on("/api/r", Play::unauthorized(None));
    assert_eq!(site.ask(&site.get("/api/r")).await.status, 401);
    site.upstream.until_requests("/api/r", 1).await;
    lasting.assert_ended_but_for_idle(&site).await;
}

impl Lasting {
    /// [`Self::assert_ended`], where a connection may rest at the upstream for another request.
    async fn assert_ended_but_for_idle(mut self, _site: &Site) {
        let began = Instant::now();
        self.websocket.closed().await;
        self.events.closed().await;
        self.poll.closed_or_answered().await;
        self.stream.until_listeners(0).await;
        assert!(began.elapsed() < WITHIN, "{:?}", began.elapsed());
    }
}

#[tokio::test]
async fn an_access_tokens_end_is_not_the_sessions_and_ends_nothing() {
    let site = Site::start().await;
    let mut lasting = Lasting::open(&site).await;
    site.proxy.clock.advance(Duration::from_secs(125));
    assert_eq!(site.ask(&site.get("/api/x")).await.status, 200, "refreshed");
    lasting.assert_lives().await;
}

#[tokio::test]
async fn a_logout_ends_an_answer_whose_upstream_is_never_waited_for() {
    const LENGTH: u64 = 1024 * 1024 * 1024;
    const STEP: usize = 512 * 1024;
    let site = Site::start().await;
    site.upstream.on("/api/down", Play::download(LENGTH));
    let mut slow = site.connect().await;
    slow.send(site.get("/api/down").bytes()).await;
    assert_eq!(slow.head().await.status, 200);
    // The browser is what is waited for: each step leaves the upstream the time of a request to be ahead.
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(1) {
        slow.exactly(STEP).await.unwrap();
        assert_eq!(site.ask(&site.get("/api/x")).await.status, 200);
    }
    assert_eq!(site.ask(&Ask::post("/logout").cookie(&site.cookie)).await.status, 200);
    let began = Instant::now();
    while slow.exactly(STEP).await.is_ok() {
        assert!(began.elapsed() < 2 * WITHIN, "it goes on");
        assert_eq!(site.ask(&site.get("/api/x")).await.status, 401);
    }
}

#[tokio::test]
async fn another_sessions_logout_ends_nothing_of_ours() {
    let mut site = Site::start().await;
    let mut ours = Lasting::open(&site).await;
    let our_cookie = std::mem::replace(&mut site.cookie, site.proxy.log_in().await);
    let theirs = Lasting::open(&site).await;
    assert_eq!(site.ask(&Ask::post("/logout").cookie(&site.cookie)).await.status, 200);
    theirs.assert_ended_but_for_idle(&site).await;
    ours.assert_lives().await;
    assert_eq!(site.ask(&Ask::get("/api/x").cookie(&our_cookie)).await.status, 200);
}

#[tokio::test]
async fn a_login_in_the_same_browser_ends_those_of_the_session_before() {
    let site = Site::start().await;
    let lasting = Lasting::open(&site).await;
    let reply = site.ask(&Ask::login("a@example.com", "password123").cookie(&site.cookie)).await;
    assert_eq!(reply.status, 200);
    lasting.assert_ended(&site).await;
}

#[tokio::test]
async fn they_are_counted() {
    // On one thread: what the upstream has seen to end is counted no more.
    let shortly = |config: &mut Config| config.limits.drain_timeout = Duration::from_millis(100);
    let mut site = Site::on_one_thread(FakeUpstream::start().await, shortly).await;
    let mut tunnels = Vec::new();
    for number in 0..3 {
        let (tunnel, head) = upgrades::open(&site, &format!("/api/ws/{number}")).await;
        assert_eq!(head.status, 101);
        tunnels.push(tunnel);
    }
    drop(tunnels.pop());
    site.upstream.until_open_connections(2).await;
    site.proxy.stop();
    assert_eq!(site.proxy.stopped().await.connections_lasting, 2);
}

#[tokio::test]
async fn public_streams_belong_to_no_session() {
    let site = Site::start().await;
    let stream = EventStream::new();
    site.upstream.on("/open/events", Play::events(&stream));
    let mut events = site.connect().await;
    events.send(site.get("/open/events").bytes()).await;
    let mut head = events.head().await;
    assert_eq!(site.ask(&Ask::post("/logout").cookie(&site.cookie)).await.status, 200);
    stream.send("still");
    assert_eq!(events.chunk(&mut head).await.unwrap().unwrap(), b"data: still\n\n");
}

#[tokio::test]
async fn the_servers_end_waits_for_an_answer_but_not_for_a_stream_or_a_tunnel() {
    let mut site = Site::start().await; // it would wait for 30 s
    let (tunnel, _) = upgrades::open(&site, "/api/ws/end").await;
    let (stream, gate) = (EventStream::new(), Gate::new());
    site.upstream.on("/open/events", Play::events(&stream));
    site.upstream.on("/api/slow", Play::answer(Answer::json(200, "1")).held(&gate));
    let mut events = site.connect().await;
    events.send(site.get("/open/events").bytes()).await;
    events.head().await;
    let mut slow = site.connect().await;
    slow.send(site.get("/api/slow").bytes()).await;
    gate.arrived().await;

    site.proxy.stop();
    timeout(PATIENCE, events.closed()).await.unwrap();
    gate.open();
    assert_eq!(slow.reply().await.text(), "1");
    assert_eq!(site.proxy.stopped().await.connections_cut, 0);
    drop(tunnel);
}
