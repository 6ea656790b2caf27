#![allow(clippy::unwrap_used)]

use std::time::Duration;

use http::{Method, uri::PathAndQuery};
use http_body_util::BodyExt;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpSocket, TcpStream},
    time::timeout,
};

use super::*;

/// Only a failing test waits for so long.
const PATIENCE: Duration = Duration::from_secs(20);

/// Both ends of a connection that holds little on its way.
async fn narrow() -> (TcpStream, TcpStream) {
    let (near, far) = (TcpSocket::new_v4().unwrap(), TcpSocket::new_v4().unwrap());
    near.set_send_buffer_size(4096).unwrap();
    far.set_recv_buffer_size(4096).unwrap();
    far.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let listener = far.listen(1).unwrap();
    let (near, far) = tokio::join!(near.connect(listener.local_addr().unwrap()), listener.accept());
    (near.unwrap(), far.unwrap().0)
}

#[tokio::test]
async fn an_answer_that_begins_early_does_not_cut_its_request_short() {
    let (near, mut far) = narrow().await;
    let upstream = tokio::spawn(async move {
        let mut seen = vec![0; 16];
        far.read_exact(&mut seen).await.unwrap();
        far.write_all(b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n").await.unwrap();
        while !seen.ends_with(b"end") {
            assert!(far.read_buf(&mut seen).await.unwrap() > 0);
        }
        far.write_all(b"0\r\n\r\n").await.unwrap();
        far
    });
    let whole = [vec![b'x'; 1024 * 1024], b"end".to_vec()].concat();
    let target = PathAndQuery::from_static("/");
    let request = Outgoing::new(&Method::POST, &target, Upload::Kept(whole.into()), |_| {});
    let answer = timeout(PATIENCE, Wire::new(near).exchange(request, |_, _| {})).await.unwrap();
    let mut body = answer.ok().unwrap().into_body();
    let end = timeout(PATIENCE, body.frame()).await.expect("the upstream gets the rest");
    assert!(end.is_none());
    assert!(body.take_wire().is_some(), "both sides have ended");
    upstream.await.unwrap();
}
