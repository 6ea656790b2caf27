//! The upstream records bytes, and what its answering function asserts fails the test.

mod plays;

use authproxy_testing::{Answer, FakeUpstream};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

async fn exchange(upstream: &FakeUpstream, bytes: &[u8]) -> String {
    let mut stream = TcpStream::connect(upstream.addr()).await.unwrap();
    stream.write_all(bytes).await.unwrap();
    stream.shutdown().await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    answer
}

#[tokio::test]
async fn a_request_is_recorded_byte_for_byte() {
    let upstream = FakeUpstream::start().await;
    let request = b"POST /a//b?q=%2e HTTP/1.1\r\nhOsT: x\r\nX-A: 1\r\nx-a:2\r\ncontent-length: 3\r\n\r\nabc";
    let answer = exchange(&upstream, request).await;
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.ends_with("\r\n\r\n{}"), "{answer}");
    let requests = upstream.requests();
    let [recorded] = requests.as_slice() else { panic!("{requests:?}") };
    assert_eq!([recorded.head.clone(), recorded.raw_body.clone()].concat(), request);
    assert_eq!((recorded.method(), recorded.path(), recorded.target()), ("POST", "/a//b", "/a//b?q=%2e"));
    assert_eq!(recorded.header_values("x-a"), ["1", "2"]);
    assert_eq!(recorded.header("host"), Some("x"));
    assert!(recorded.contains("q=%2e") && recorded.contains("abc") && !recorded.contains("abd"));
    upstream.finish().await;
}

#[tokio::test]
async fn a_chunked_body_ends_where_its_chunks_do() {
    let upstream = FakeUpstream::start().await;
    let head = "POST / HTTP/1.1\r\ntransfer-encoding: chunked\r\n\r\n";
    let chunks = "7;ext=1\r\n0\r\n\r\nab\r\n3\r\ncde\r\n0\r\ntrailer: x\r\n\r\n";
    let pipelined = "GET /next HTTP/1.1\r\n\r\n";
    exchange(&upstream, format!("{head}{chunks}{pipelined}").as_bytes()).await;
    let requests = upstream.requests();
    assert_eq!(requests.len(), 2, "{requests:?}");
    assert_eq!(requests[0].raw_body, chunks.as_bytes());
    assert_eq!(requests[0].body(), b"0\r\n\r\nabcde");
    assert_eq!(requests[1].path(), "/next");
}

#[tokio::test]
async fn it_answers_what_it_is_told_and_can_be_away() {
    let upstream = FakeUpstream::answering(|request| {
        let status = if request.path() == "/teapot" { 418 } else { 200 };
        Answer::new(status, "text/plain", "short and stout").with_header("x-kind", "pot")
    })
    .await
    .unwrap();
    let answer = exchange(&upstream, b"GET /teapot HTTP/1.1\r\n\r\n").await;
    assert!(answer.starts_with("HTTP/1.1 418 ") && answer.contains("\r\nx-kind: pot\r\n"), "{answer}");
    upstream.refuse_connections().await;
    assert!(TcpStream::connect(upstream.addr()).await.is_err());
    upstream.accept_connections().await;
    exchange(&upstream, b"GET / HTTP/1.1\r\n\r\n").await;
    assert_eq!(upstream.requests().len(), 2);
}

#[tokio::test]
#[should_panic(expected = "a task of this fake has panicked")]
async fn a_failed_assertion_of_the_answering_function_fails_the_test_when_it_finishes() {
    let upstream = FakeUpstream::answering(|_| panic!("not what was expected")).await.unwrap();
    exchange(&upstream, b"GET / HTTP/1.1\r\n\r\n").await;
    upstream.finish().await;
}

#[tokio::test]
#[should_panic(expected = "a task of this fake has panicked")]
async fn a_failed_assertion_of_the_answering_function_fails_the_test_when_it_drops_the_upstream() {
    let upstream = FakeUpstream::answering(|_| panic!("not what was expected")).await.unwrap();
    exchange(&upstream, b"GET / HTTP/1.1\r\n\r\n").await;
}
