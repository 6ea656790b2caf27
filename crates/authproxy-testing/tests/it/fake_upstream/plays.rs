//! Each play puts on the wire what it says, and ends the connection as it says.

use authproxy_testing::{
    Answer, CutPoint, DeafListener, EventStream, FakeUpstream, Gate, Malformation, Pattern, Play, Protocol, Step,
    Tally, Tallying,
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpStream, UnixStream},
    time::{Duration, timeout},
};

const GET: &[u8] = b"GET / HTTP/1.1\r\n\r\n";

async fn connect(upstream: &FakeUpstream) -> TcpStream {
    TcpStream::connect(upstream.addr()).await.unwrap()
}

async fn asked(upstream: &FakeUpstream, request: &[u8]) -> TcpStream {
    let mut stream = connect(upstream).await;
    stream.write_all(request).await.unwrap();
    stream
}

/// Reads so many bytes.
async fn exactly(stream: &mut TcpStream, expected: &str) {
    let mut bytes = vec![0; expected.len()];
    stream.read_exact(&mut bytes).await.unwrap();
    assert_eq!(String::from_utf8(bytes).unwrap(), expected);
}

/// Reads to the end, which is one by the book or an error.
async fn rest(stream: &mut TcpStream) -> (String, bool) {
    let mut bytes = Vec::new();
    let ended = stream.read_to_end(&mut bytes).await.is_ok();
    (String::from_utf8(bytes).unwrap(), ended)
}

fn ok() -> Answer {
    Answer { status: 200, headers: Vec::new(), body: b"abcd".to_vec() }
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\nabcd";

#[tokio::test]
async fn scripts_go_by_path_first_once_then_always_then_otherwise() {
    let upstream = FakeUpstream::start().await;
    upstream.on("/a", Play::answer(ok()));
    upstream.next("/a", Play::unauthorized(Some("Bearer error=\"invalid_token\"")));
    upstream.next("/a", Play::unauthorized(None));
    let mut stream = asked(&upstream, &b"GET /a?q HTTP/1.1\r\n\r\n".repeat(3)).await;
    stream.write_all(b"GET /b HTTP/1.1\r\n\r\n").await.unwrap();
    let body = r#"{"detail":"refused by the upstream"}"#;
    let head = "HTTP/1.1 401 Unauthorized\r\ncontent-type: application/json\r\n";
    let challenge = "www-authenticate: Bearer error=\"invalid_token\"\r\n";
    exactly(&mut stream, &format!("{head}{challenge}content-length: 36\r\n\r\n{body}")).await;
    exactly(&mut stream, &format!("{head}content-length: 36\r\n\r\n{body}{OK}")).await;
    exactly(&mut stream, "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 2\r\n\r\n{}").await;
    assert_eq!((upstream.requests_of("/a").len(), upstream.requests().len()), (3, 4));
    assert_eq!((upstream.connections(), upstream.open_connections()), (1, 1));
    drop(stream);
    upstream.until_open_connections(0).await;
}

#[tokio::test]
async fn answers_end_by_length_by_chunk_and_by_the_connection() {
    let upstream = FakeUpstream::start().await;
    upstream.next("/", Play::answer(ok()).with_informational(103, "link", "</a>"));
    upstream.next("/", Play::chunked(ok(), &[("x-sum", "1")]));
    upstream.next("/", Play::until_close(ok()));
    let mut stream = asked(&upstream, &GET.repeat(3)).await;
    exactly(&mut stream, &format!("HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n{OK}")).await;
    let chunked = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n2\r\nab\r\n2\r\ncd\r\n0\r\nx-sum: 1\r\n\r\n";
    exactly(&mut stream, chunked).await;
    assert_eq!(rest(&mut stream).await, ("HTTP/1.1 200 OK\r\n\r\nabcd".into(), true));

    upstream.next("/", Play::answer(ok()));
    let mut stream = asked(&upstream, b"HEAD / HTTP/1.1\r\n\r\n").await;
    exactly(&mut stream, "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\n").await;
}

#[tokio::test]
async fn a_gate_holds_an_answer_before_its_head_and_inside_its_body() {
    let upstream = FakeUpstream::start().await;
    let gate = Gate::new();
    upstream.next("/", Play::answer(ok()).held(&gate));
    upstream.next("/", Play::held_in_body(&gate, &ok()));
    let mut stream = asked(&upstream, &GET.repeat(2)).await;
    gate.arrived().await;
    gate.release();
    exactly(&mut stream, OK).await;
    exactly(&mut stream, OK.strip_suffix("cd").unwrap()).await;
    gate.arrived().await;
    gate.release();
    exactly(&mut stream, "cd").await;

    upstream.next("/", Play::answer(ok()).held(&gate));
    let stream = asked(&upstream, GET).await;
    gate.arrived().await;
    drop(stream);
    upstream.until_open_connections(1).await; // whoever holds notices that the peer has gone
}

#[tokio::test]
async fn answers_are_cut_where_they_say_by_a_reset_or_by_an_end() {
    let upstream = FakeUpstream::start().await;
    for at in CutPoint::ALL {
        upstream.next("/", Play::cut(at));
        let (ended, by_the_book) = rest(&mut asked(&upstream, GET).await).await;
        assert!(by_the_book);
        upstream.next("/", Play::reset(at));
        let (reset, by_the_book) = rest(&mut asked(&upstream, GET).await).await;
        assert!(!by_the_book, "{at:?}");
        assert!(ended.starts_with(&reset));
        let expected = match at {
            CutPoint::BeforeHead => "",
            CutPoint::InHead => "content-ty",
            CutPoint::AfterHead => "\r\n\r\n",
            CutPoint::InBody => "\r\n\r\n01234",
            CutPoint::BeforeLastChunk => "\r\n0123456789\r\n",
        };
        assert!(ended.ends_with(expected), "{at:?}: {ended}");
    }
}

#[tokio::test]
async fn malformed_answers_leave_the_connection_open() {
    let upstream = FakeUpstream::start().await;
    for flaw in Malformation::ALL {
        upstream.next("/", Play::malformed(flaw));
        let mut stream = asked(&upstream, GET).await;
        upstream.next("/", Play::cut(CutPoint::BeforeHead));
        stream.write_all(GET).await.unwrap();
        let (answer, by_the_book) = rest(&mut stream).await;
        let marks = match flaw {
            Malformation::StatusLine => ["HTTP/1.1 fine", ""],
            Malformation::NoColon => ["\r\nno colon here\r\n", ""],
            Malformation::LengthAndChunked => ["content-length: 4", "transfer-encoding: chunked"],
            Malformation::TwoLengths => ["content-length: 4", "content-length: 5"],
            Malformation::NegativeLength => ["content-length: -5", ""],
            Malformation::HugeHead => ["x-huge: xxxx", "xxxx\r\n\r\n"],
            Malformation::Nul => ["a\0b", ""],
            Malformation::NoHead => ["<html>", ""],
            Malformation::ChunkSize => ["\r\nfive\r\n", ""],
        };
        assert!(by_the_book && marks.iter().all(|mark| answer.contains(mark)), "{flaw:?}");
        assert_eq!(answer.len() > 1024 * 1024, flaw == Malformation::HugeHead);
    }
    upstream.next("/", Play::garbage_after("good"));
    exactly(&mut asked(&upstream, GET).await, "HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ngoodHTTP/1.1 200 OK\r\n")
        .await;
}

#[tokio::test]
async fn connections_close_after_the_answer_or_when_they_are_used_again() {
    let upstream = FakeUpstream::start().await;
    upstream.next("/", Play::answer_and_close(ok()));
    assert_eq!(rest(&mut asked(&upstream, GET).await).await, (OK.into(), true));

    upstream.next("/", Play::answer_and_close_at_reuse(ok()));
    let mut stream = asked(&upstream, GET).await;
    exactly(&mut stream, OK).await;
    assert_eq!(upstream.open_connections(), 1);
    stream.write_all(b"G").await.unwrap();
    assert_eq!(rest(&mut stream).await.0, "");
}

#[tokio::test]
async fn an_early_answer_comes_before_the_body_and_the_body_is_read_all_the_same() {
    let upstream = FakeUpstream::start().await;
    upstream.next("/", Play::early(ok()));
    let mut stream = asked(&upstream, b"POST / HTTP/1.1\r\ncontent-length: 3\r\n\r\n").await;
    exactly(&mut stream, OK).await;
    assert!(!upstream.requests()[0].is_complete);
    stream.write_all(b"abc").await.unwrap();
    stream.write_all(GET).await.unwrap();
    upstream.until_requests("/", 2).await;
    assert!(upstream.requests()[0].is_complete);
    assert_eq!(upstream.requests()[0].tally, Tally::of(b"abc"));
}

#[tokio::test]
async fn events_arrive_one_by_one_and_a_hang_up_is_noticed() {
    let upstream = FakeUpstream::start().await;
    let events = EventStream::new();
    upstream.on("/", Play::events(&events));
    let mut stream = asked(&upstream, GET).await;
    let head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";
    exactly(&mut stream, head).await;
    for text in ["one", "two"] {
        events.send(text);
        exactly(&mut stream, &format!("b\r\ndata: {text}\n\n\r\n")).await;
    }
    events.until_listeners(1).await;
    drop(stream);
    events.until_listeners(0).await;
    events.end();
    let mut late = asked(&upstream, GET).await;
    exactly(&mut late, &format!("{head}b\r\ndata: one\n\n\r\nb\r\ndata: two\n\n\r\n0\r\n\r\n")).await;
}

#[tokio::test]
async fn a_websocket_is_accepted_as_the_rfc_has_it_and_echoes() {
    let upstream = FakeUpstream::start().await;
    upstream.on("/", Play::websocket_echo());
    let head = b"GET / HTTP/1.1\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    let mut stream = asked(&upstream, head).await;
    exactly(&mut stream, "HTTP/1.1 101 Switching Protocols\r\nconnection: Upgrade\r\nupgrade: websocket\r\n").await;
    exactly(&mut stream, "sec-websocket-accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n").await;
    for frame in ["hello", "\r\n\r\n", "world"] {
        stream.write_all(frame.as_bytes()).await.unwrap();
        exactly(&mut stream, frame).await;
    }
}

#[tokio::test]
async fn a_download_is_its_pattern_and_stalls_while_nobody_reads() {
    const LENGTH: u64 = 64 * 1024 * 1024;
    let upstream = FakeUpstream::start().await;
    upstream.next("/", Play::download(LENGTH));
    let mut stream = asked(&upstream, GET).await;
    upstream.until_stalled(1).await;
    assert!(upstream.filled() > 0 && upstream.filled() < LENGTH);
    exactly(&mut stream, &format!("HTTP/1.1 200 OK\r\ncontent-length: {LENGTH}\r\n\r\n")).await;
    let (mut tallying, mut buffer) = (Tallying::default(), vec![0; 64 * 1024]);
    while tallying.length() < LENGTH {
        let count = stream.read(&mut buffer).await.unwrap();
        tallying.add(&buffer[..count]);
    }
    assert_eq!(tallying.tally(), Tally::of_pattern(LENGTH));
    assert_eq!(upstream.filled(), LENGTH);
}

#[tokio::test]
async fn a_large_upload_is_counted_and_hashed_and_only_its_beginning_kept() {
    const LENGTH: u64 = 20 * 1024 * 1024 + 7;
    let upstream = FakeUpstream::start().await;
    let mut stream = connect(&upstream).await;
    stream.write_all(format!("PUT / HTTP/1.1\r\ncontent-length: {LENGTH}\r\n\r\n").as_bytes()).await.unwrap();
    let mut pattern = Pattern::new(LENGTH);
    while let Some(block) = pattern.next_block() {
        stream.write_all(block).await.unwrap();
    }
    exactly(&mut stream, "HTTP/1.1 200 OK\r\n").await;
    let request = &upstream.requests()[0];
    assert!(request.is_complete);
    assert_eq!(request.tally, Tally::of_pattern(LENGTH));
    assert_eq!((request.raw_body.len(), upstream.body_bytes()), (1024 * 1024, LENGTH));
}

#[tokio::test]
async fn it_listens_on_a_unix_socket() {
    let path = format!("{}/fake_upstream.sock", env!("CARGO_TARGET_TMPDIR"));
    let upstream = FakeUpstream::on_unix_socket(&path).await.unwrap();
    assert_eq!(upstream.url(), format!("unix:{path}"));
    let mut stream = UnixStream::connect(&path).await.unwrap();
    stream.write_all(GET).await.unwrap();
    let mut byte = [0];
    stream.read_exact(&mut byte).await.unwrap();
    assert_eq!(upstream.requests().len(), 1);
}

#[tokio::test]
async fn behind_tls_it_speaks_what_was_agreed_on() {
    let file = std::path::PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("fake_upstream.pem");
    for (protocols, version, line) in [
        (&[Protocol::Http2, Protocol::Http1][..], reqwest::Version::HTTP_2, "POST /a?b HTTP/2\r\n"),
        (&[Protocol::Http1], reqwest::Version::HTTP_11, "POST /a?b HTTP/1.1\r\n"),
    ] {
        let upstream = FakeUpstream::with_tls(protocols).await;
        upstream.write_authority(&file).unwrap();
        upstream.on("/a", Play::chunked(ok().with_header("x-kind", "pot"), &[("x-sum", "1")]));
        let authority = reqwest::Certificate::from_pem(&std::fs::read(&file).unwrap()).unwrap();
        let http_client = reqwest::Client::builder().tls_certs_only([authority]).no_proxy().build().unwrap();
        let answer = http_client.post(format!("{}/a?b", upstream.url())).body("order").send().await.unwrap();
        assert_eq!((answer.version(), answer.headers()["x-kind"].to_str().unwrap()), (version, "pot"));
        assert_eq!(answer.text().await.unwrap(), "abcd");
        let request = &upstream.requests()[0];
        assert!(request.head.starts_with(line.as_bytes()), "{}", String::from_utf8_lossy(&request.head));
        assert_eq!((request.raw_body.as_slice(), request.is_complete), (&b"order"[..], true));
        upstream.finish().await;
    }
}

#[tokio::test]
async fn nobody_answers_at_a_deaf_port() {
    let deaf = DeafListener::start().await.unwrap();
    assert!(timeout(Duration::from_millis(100), TcpStream::connect(deaf.addr())).await.is_err());
}

#[tokio::test]
async fn steps_can_be_put_together() {
    let upstream = FakeUpstream::start().await;
    let accepted = "HTTP/1.1 101 Switching Protocols\r\nupgrade: tea\r\nconnection: upgrade\r\n\r\n";
    upstream.on("/", Play::of([Step::Write(accepted.into()), Step::Echo]));
    let mut stream = asked(&upstream, GET).await;
    exactly(&mut stream, accepted).await;
    stream.write_all(b"milk").await.unwrap();
    exactly(&mut stream, "milk").await;
}
