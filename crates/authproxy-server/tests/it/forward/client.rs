//! A browser's end of a connection, byte by byte: bodies of every framing, and how they end.

use std::{io, net::SocketAddr, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use crate::harness::Ask;

/// Only a failing test waits for so long.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// An answer as it came.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    /// 0 when the connection ended before an answer's head had come whole.
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
    pub(crate) trailers: Vec<(String, String)>,
    /// Whether the body came to the end that its framing promised; never of one that ends with its connection.
    pub(crate) is_complete: bool,
}

impl Reply {
    /// Every value of a field, in order.
    pub(crate) fn values(&self, name: &str) -> Vec<&str> {
        self.headers.iter().filter(|(found, _)| found == name).map(|(_, value)| value.as_str()).collect()
    }

    /// The only value of a field.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let values = self.values(name);
        assert!(values.len() < 2, "{name} stands twice: {values:?}");
        values.first().copied()
    }

    pub(crate) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The text of `detail`.
    pub(crate) fn detail(&self) -> String {
        let json: serde_json::Value = serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{self:?}"));
        json["detail"].as_str().unwrap_or_else(|| panic!("{self:?}")).to_owned()
    }
}

pub(crate) struct Client {
    pub(crate) stream: TcpStream,
    buffer: Vec<u8>,
}

impl Client {
    pub(crate) async fn open(address: SocketAddr) -> Self {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self { stream, buffer: Vec::new() }
    }

    /// Writes; what the server no longer wants to read is lost.
    pub(crate) async fn send(&mut self, bytes: impl AsRef<[u8]>) {
        let _ = self.stream.write_all(bytes.as_ref()).await;
    }

    pub(crate) async fn ask(&mut self, ask: &Ask) -> Reply {
        self.send(ask.bytes()).await;
        self.reply_to(ask.method()).await
    }

    /// The next final answer with its body, as far as it comes.
    pub(crate) async fn reply(&mut self) -> Reply {
        self.reply_to("GET").await
    }

    pub(crate) async fn reply_to(&mut self, method: &str) -> Reply {
        let mut reply = self.head().await;
        while (100..200).contains(&reply.status) && reply.status != 101 {
            reply = self.head().await;
        }
        if reply.status == 0 {
            return reply;
        }
        let is_empty = method == "HEAD" || [101, 204, 304].contains(&reply.status);
        reply.is_complete = is_empty || self.body(&mut reply).await.is_ok();
        reply
    }

    /// The next head.
    pub(crate) async fn head(&mut self) -> Reply {
        let nothing = Reply { status: 0, headers: vec![], body: vec![], trailers: vec![], is_complete: false };
        let Ok(head) = self.until(b"\r\n\r\n").await else { return nothing };
        let head = String::from_utf8(head).unwrap();
        let mut lines = head.trim_end().split("\r\n");
        let status = lines.next().unwrap().split(' ').nth(1).unwrap().parse().unwrap();
        let headers = fields(lines);
        Reply { status, headers, ..nothing }
    }

    async fn body(&mut self, reply: &mut Reply) -> io::Result<()> {
        if reply.header("transfer-encoding").is_some() {
            assert_eq!(reply.values("content-length"), Vec::<&str>::new());
            while let Some(chunk) = self.chunk(reply).await? {
                reply.body.extend(chunk);
            }
            return Ok(());
        }
        let Some(length) = reply.header("content-length") else {
            while self.fill().await? {}
            reply.body.append(&mut self.buffer);
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        let length = length.parse().unwrap();
        let outcome = self.exactly(length).await;
        if outcome.is_err() {
            reply.body.append(&mut self.buffer);
        }
        reply.body.extend(outcome?);
        Ok(())
    }

    /// The next chunk; `None` for the last, after which the trailers are known.
    pub(crate) async fn chunk(&mut self, reply: &mut Reply) -> io::Result<Option<Vec<u8>>> {
        let size = String::from_utf8(self.until(b"\r\n").await?).unwrap();
        let size = usize::from_str_radix(size.trim(), 16).unwrap();
        if size > 0 {
            let mut chunk = self.exactly(size + 2).await?;
            assert_eq!(chunk.split_off(size), b"\r\n");
            return Ok(Some(chunk));
        }
        loop {
            let line = String::from_utf8(self.until(b"\r\n").await?).unwrap();
            if line == "\r\n" {
                return Ok(None);
            }
            reply.trailers.extend(fields([line.trim_end()].into_iter()));
        }
    }

    /// So many bytes.
    pub(crate) async fn exactly(&mut self, length: usize) -> io::Result<Vec<u8>> {
        while self.buffer.len() < length {
            if !self.fill().await? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        Ok(self.buffer.drain(..length).collect())
    }

    /// What was read ahead.
    pub(crate) fn buffered(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.buffer)
    }

    async fn until(&mut self, end: &[u8]) -> io::Result<Vec<u8>> {
        loop {
            if let Some(at) = self.buffer.windows(end.len()).position(|window| window == end) {
                return Ok(self.buffer.drain(..at + end.len()).collect());
            }
            if !self.fill().await? {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
    }

    /// Waits until the server has closed, however it does; returns what came before.
    pub(crate) async fn closed(&mut self) -> Vec<u8> {
        while self.fill().await.unwrap_or(false) {}
        std::mem::take(&mut self.buffer)
    }

    /// The status of the next answer; `None` when the server closes without one, or within it.
    pub(crate) async fn closed_or_answered(&mut self) -> Option<u16> {
        while !self.buffer.windows(4).any(|window| window == b"\r\n\r\n") {
            if !self.fill().await.unwrap_or(false) {
                return None;
            }
        }
        let reply = self.reply().await;
        reply.is_complete.then_some(reply.status)
    }

    /// Reads more; false when the server has closed.
    async fn fill(&mut self) -> io::Result<bool> {
        let read = timeout(PATIENCE, self.stream.read_buf(&mut self.buffer)).await;
        Ok(read.expect("the server answers in time")? > 0)
    }
}

fn fields<'a>(lines: impl Iterator<Item = &'a str>) -> Vec<(String, String)> {
    let field = |line: &str| {
        let (name, value) = line.split_once(':').unwrap_or_else(|| panic!("no field: {line:?}"));
        (name.to_lowercase(), value.trim().to_owned())
    };
    lines.map(field).collect()
}
