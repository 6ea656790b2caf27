//! A WebSocket (RFC 6455) through a gateway, and an API that echoes on one.

use std::{net::SocketAddr, sync::Arc};

use futures_util::{SinkExt, StreamExt};
use http::HeaderMap;
use tokio::{
    net::{TcpListener, TcpStream},
    sync::Mutex,
    task::JoinHandle,
    time::timeout,
};
use tokio_tungstenite::{
    WebSocketStream, accept_hdr_async, client_async,
    tungstenite::{
        Error, Message,
        client::IntoClientRequest,
        handshake::server::{Request, Response},
    },
};

use crate::{program::PATIENCE, world::HOST};

/// An API that sends back what it hears, and remembers how it was asked.
pub(crate) struct Echo {
    pub(crate) address: SocketAddr,
    handshakes: Arc<Mutex<Vec<HeaderMap>>>,
    accepting: JoinHandle<()>,
}

impl Echo {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let handshakes = Arc::<Mutex<Vec<HeaderMap>>>::default();
        let seen = handshakes.clone();
        let accepting = tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(echo(stream, seen.clone()));
            }
        });
        Self { address, handshakes, accepting }
    }

    /// The heads of all handshakes.
    pub(crate) async fn handshakes(&self) -> Vec<HeaderMap> {
        self.handshakes.lock().await.clone()
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn echo(stream: TcpStream, seen: Arc<Mutex<Vec<HeaderMap>>>) {
    let mut head = HeaderMap::new();
    #[allow(clippy::result_large_err)] // the library's own shape
    let record = |request: &Request, response: Response| {
        head = request.headers().clone();
        Ok(response)
    };
    let accepted = accept_hdr_async(stream, record).await;
    seen.lock().await.push(head);
    // A peer that goes in the middle of a handshake or of a message is not this API's affair.
    let Ok(mut socket) = accepted else { return };
    while let Some(Ok(message)) = socket.next().await {
        if message.is_text() && socket.send(message).await.is_err() {
            return;
        }
    }
}

/// Opens a WebSocket at `/live` as a browser does, or says with which status that was refused.
pub(crate) async fn open(
    gateway: SocketAddr,
    headers: &[(&'static str, &str)],
) -> Result<WebSocketStream<TcpStream>, u16> {
    let mut request = format!("ws://{HOST}/live").into_client_request().unwrap();
    for (name, value) in headers {
        request.headers_mut().insert(*name, value.parse().unwrap());
    }
    let stream = TcpStream::connect(gateway).await.unwrap();
    match timeout(PATIENCE, client_async(request, stream)).await.expect("an answer in time") {
        Ok((socket, _)) => Ok(socket),
        Err(Error::Http(response)) => Err(response.status().as_u16()),
        Err(error) => panic!("{error}"),
    }
}

/// Sends a text and waits for it to come back.
pub(crate) async fn assert_echoes(socket: &mut WebSocketStream<TcpStream>, text: &str) {
    socket.send(Message::text(text)).await.unwrap();
    let answer = timeout(PATIENCE, socket.next()).await.expect("an echo in time");
    assert_eq!(answer.unwrap().unwrap(), Message::text(text));
}
