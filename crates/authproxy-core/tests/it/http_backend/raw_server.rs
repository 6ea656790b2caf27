//! A server of canned bytes on a real socket, which records every request that reached it whole.

use std::{
    collections::VecDeque,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::AbortHandle,
};

/// What the server does with one request, once it has read it.
#[derive(Clone, Debug)]
pub enum Act {
    /// Writes these bytes and waits for the next request.
    Answer(Vec<u8>),
    /// Writes these bytes and closes the connection.
    AnswerAndClose(Vec<u8>),
    /// Writes these bytes and then nothing, for ever.
    Stall(Vec<u8>),
    /// Writes the first bytes, then the second again and again.
    Endless(Vec<u8>, Vec<u8>),
    /// Writes the bytes, then a blank every few milliseconds.
    Trickle(Vec<u8>),
    /// Resets the connection.
    Reset,
}

/// A request as it came.
#[derive(Clone, Debug)]
pub struct Received {
    pub line: String,
    pub headers: Vec<(String, String)>,
    pub body: String,
}

impl Received {
    pub fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(other, _)| other.eq_ignore_ascii_case(name));
        let value = values.next().map(|(_, value)| value.as_str());
        assert!(values.next().is_none(), "{name} stands there twice");
        value
    }
}

/// Closes everything when it is dropped.
pub struct RawServer {
    address: SocketAddr,
    state: Arc<State>,
    accepting: AbortHandle,
}

struct State {
    acts: Mutex<VecDeque<Act>>,
    otherwise: Act,
    received: Mutex<Vec<Received>>,
    /// Connections that were accepted so far, and those that are open.
    connections: watch::Sender<(usize, usize)>,
}

impl RawServer {
    /// Does the acts in turn, request by request, and answers 500 to what comes after.
    pub async fn start(acts: impl IntoIterator<Item = Act>) -> Self {
        Self::start_with(acts, Act::Answer(response(500, "too many requests for this test"))).await
    }

    /// Does the same act with every request.
    pub async fn always(act: Act) -> Self {
        Self::start_with([], act).await
    }

    async fn start_with(acts: impl IntoIterator<Item = Act>, otherwise: Act) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            acts: Mutex::new(acts.into_iter().collect()),
            otherwise,
            received: Mutex::default(),
            connections: watch::Sender::new((0, 0)),
        });
        let accepting = tokio::spawn(accept(listener, Arc::clone(&state))).abort_handle();
        Self { address, state, accepting }
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    pub fn received(&self) -> Vec<Received> {
        self.state.received.lock().unwrap().clone()
    }

    /// How often a request with this text in its body was received.
    pub fn presentations(&self, token: &str) -> usize {
        self.received().iter().filter(|request| request.body.contains(&format!("\"{token}\""))).count()
    }

    /// How many connections were accepted.
    pub fn connections(&self) -> usize {
        self.state.connections.borrow().0
    }

    /// Returns when no connection is open: all that was ever written to the server has then been read.
    pub async fn drained(&self) {
        self.state.connections.subscribe().wait_for(|(_, open)| *open == 0).await.unwrap();
    }
}

impl Drop for RawServer {
    fn drop(&mut self) {
        self.accepting.abort();
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        state.connections.send_modify(|(accepted, open)| {
            *accepted += 1;
            *open += 1;
        });
        let state = Arc::clone(&state);
        tokio::spawn(async move {
            // The peer may close at any time; what it has sent is on record.
            let _ = serve(stream, &state).await;
            state.connections.send_modify(|(_, open)| *open -= 1);
        });
    }
}

async fn serve(mut stream: TcpStream, state: &State) -> io::Result<()> {
    let mut buffer = Vec::new();
    loop {
        let request = read_request(&mut stream, &mut buffer).await?;
        state.received.lock().unwrap().push(request);
        let act = state.acts.lock().unwrap().pop_front().unwrap_or_else(|| state.otherwise.clone());
        match act {
            Act::Answer(bytes) => stream.write_all(&bytes).await?,
            Act::AnswerAndClose(bytes) => return stream.write_all(&bytes).await,
            Act::Stall(bytes) => {
                stream.write_all(&bytes).await?;
                return until_closed(&mut stream).await;
            }
            Act::Endless(first, again) => {
                stream.write_all(&first).await?;
                loop {
                    stream.write_all(&again).await?;
                }
            }
            Act::Trickle(bytes) => {
                stream.write_all(&bytes).await?;
                let mut beat = tokio::time::interval(Duration::from_millis(5));
                loop {
                    beat.tick().await;
                    stream.write_all(b" ").await?;
                }
            }
            Act::Reset => {
                stream.set_zero_linger()?;
                return Ok(());
            }
        }
    }
}

async fn until_closed(stream: &mut TcpStream) -> io::Result<()> {
    let mut rest = [0; 1024];
    while stream.read(&mut rest).await? > 0 {}
    Ok(())
}

async fn read_request(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<Received> {
    let head_end = loop {
        if let Some(at) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
            break at + 4;
        }
        read_more(stream, buffer).await?;
    };
    let head = String::from_utf8(buffer[..head_end].to_vec()).unwrap();
    let mut lines = head.trim_end().split("\r\n");
    let line = lines.next().unwrap().to_owned();
    let headers: Vec<_> = lines
        .map(|header| header.split_once(": ").expect("a header has a name"))
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
        .collect();
    let mut request = Received { line, headers, body: String::new() };
    let length: usize = request.header("content-length").map_or(0, |length| length.parse().unwrap());
    while buffer.len() < head_end + length {
        read_more(stream, buffer).await?;
    }
    let rest = buffer.split_off(head_end + length);
    request.body = String::from_utf8(buffer.split_off(head_end)).unwrap();
    *buffer = rest;
    Ok(request)
}

async fn read_more(stream: &mut TcpStream, buffer: &mut Vec<u8>) -> io::Result<()> {
    match stream.read_buf(buffer).await? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

/// A whole answer that keeps the connection.
pub fn response(status: u16, body: &str) -> Vec<u8> {
    response_with(status, "", body)
}

/// A whole answer with further header lines, each ended by CR LF.
pub fn response_with(status: u16, headers: &str, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n{headers}\r\n{body}", body.len()).into_bytes()
}

/// The beginning of an answer whose body is longer than what comes of it.
pub fn cut_response(status: u16, body: &str) -> Vec<u8> {
    format!("HTTP/1.1 {status} X\r\ncontent-length: {}\r\n\r\n{body}", body.len() + 1000).into_bytes()
}
