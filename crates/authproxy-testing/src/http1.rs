//! HTTP/1.1 as the fakes read and write it: every byte is kept, and nothing stands between a test and the wire.

use std::{fmt, io};

use tokio::io::{AsyncReadExt, AsyncWriteExt};

use crate::socket::Stream;

const LONGEST_HEAD: usize = 1024 * 1024;
const LONGEST_BODY: usize = 64 * 1024 * 1024;

/// A request as it came, byte for byte.
#[derive(Clone, PartialEq, Eq)]
pub struct RecordedRequest {
    /// The request line and the header fields, with the empty line.
    pub head: Vec<u8>,
    /// The body as it was sent, with its chunks where it had any.
    pub raw_body: Vec<u8>,
}

impl RecordedRequest {
    /// The method.
    pub fn method(&self) -> &str {
        self.request_line().split(' ').next().unwrap_or_default()
    }

    /// The target, as it was sent.
    pub fn target(&self) -> &str {
        self.request_line().split(' ').nth(1).unwrap_or_default()
    }

    /// The target without its query.
    pub fn path(&self) -> &str {
        self.target().split('?').next().unwrap_or_default()
    }

    /// Every value of a header field, in order; names compare without case.
    pub fn header_values(&self, name: &str) -> Vec<&str> {
        let fields = self.head_text().split("\r\n").skip(1).filter_map(|line| line.split_once(':'));
        fields.filter(|(found, _)| found.eq_ignore_ascii_case(name)).map(|(_, value)| value.trim()).collect()
    }

    /// The first value of a header field.
    pub fn header(&self, name: &str) -> Option<&str> {
        self.header_values(name).into_iter().next()
    }

    /// The body without its chunks.
    pub fn body(&self) -> Vec<u8> {
        let dechunked = self.is_chunked().then(|| dechunk(&self.raw_body)).flatten();
        dechunked.map_or_else(|| self.raw_body.clone(), |(body, _)| body)
    }

    /// Whether `text` stands anywhere in the request.
    pub fn contains(&self, text: &str) -> bool {
        [&self.head, &self.raw_body].iter().any(|bytes| position(bytes, text.as_bytes()).is_some())
    }

    fn head_text(&self) -> &str {
        self.head.utf8_chunks().next().map_or("", |chunk| chunk.valid())
    }

    fn request_line(&self) -> &str {
        self.head_text().split("\r\n").next().unwrap_or_default()
    }

    pub(crate) fn is_chunked(&self) -> bool {
        self.header_values("transfer-encoding").iter().any(|coding| coding.eq_ignore_ascii_case("chunked"))
    }
}

/// Shows the request line and the sizes: heads and bodies hold tokens.
impl fmt::Debug for RecordedRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (head, body) = (self.head.len(), self.raw_body.len());
        write!(f, "{} {} ({head} bytes of head, {body} of body)", self.method(), self.path())
    }
}

/// A connection that a fake serves.
pub(crate) struct Connection {
    stream: Stream,
    buffer: Vec<u8>,
}

impl Connection {
    pub(crate) fn new(stream: Stream) -> Self {
        Self { stream, buffer: Vec::new() }
    }

    /// The next request; `None` when the peer has closed or sends what is no request.
    pub(crate) async fn request(&mut self) -> io::Result<Option<RecordedRequest>> {
        let Some(head_end) = self.fill_until(b"\r\n\r\n", LONGEST_HEAD).await? else { return Ok(None) };
        let mut request = RecordedRequest { head: self.buffer.drain(..head_end).collect(), raw_body: Vec::new() };
        let body_end = if request.is_chunked() {
            self.fill_chunks().await?
        } else {
            let length = request.header("content-length").map_or(Ok(0), str::parse);
            match length {
                Ok(length) if length <= LONGEST_BODY => self.fill(length).await?,
                _ => None,
            }
        };
        let Some(body_end) = body_end else { return Ok(None) };
        request.raw_body = self.buffer.drain(..body_end).collect();
        Ok(Some(request))
    }

    async fn fill_until(&mut self, end: &[u8], longest: usize) -> io::Result<Option<usize>> {
        loop {
            if let Some(at) = position(&self.buffer, end) {
                return Ok(Some(at + end.len()));
            }
            if self.buffer.len() > longest || !self.more().await? {
                return Ok(None);
            }
        }
    }

    async fn fill_chunks(&mut self) -> io::Result<Option<usize>> {
        loop {
            if let Some((_, end)) = dechunk(&self.buffer) {
                return Ok(Some(end));
            }
            if self.buffer.len() > LONGEST_BODY || !self.more().await? {
                return Ok(None);
            }
        }
    }

    async fn fill(&mut self, length: usize) -> io::Result<Option<usize>> {
        while self.buffer.len() < length {
            if !self.more().await? {
                return Ok(None);
            }
        }
        Ok(Some(length))
    }

    async fn more(&mut self) -> io::Result<bool> {
        Ok(self.stream.read_buf(&mut self.buffer).await? > 0)
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await?;
        self.stream.flush().await
    }

    /// Resets the connection: the peer sees an error, not an end.
    pub(crate) fn reset(self) {
        self.stream.reset();
    }
}

/// An answer to write.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status code.
    pub status: u16,
    /// The header fields, without Content-Length.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl Answer {
    /// An answer with a body of this type.
    pub fn new(status: u16, content_type: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: vec![("content-type".to_owned(), content_type.to_owned())], body: body.into() }
    }

    /// A JSON answer.
    pub fn json(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self::new(status, "application/json", body)
    }

    /// The same with a further header field.
    #[must_use]
    pub fn with_header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    /// The status line and header fields, with the empty line.
    pub(crate) fn head(&self, length: Option<usize>) -> Vec<u8> {
        let reason = http::StatusCode::from_u16(self.status).ok().and_then(|status| status.canonical_reason());
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason.unwrap_or("Unknown"));
        for (name, value) in &self.headers {
            head.extend([name, ": ", value, "\r\n"]);
        }
        if let Some(length) = length {
            head.extend(["content-length: ", &length.to_string(), "\r\n"]);
        }
        head.push_str("\r\n");
        head.into_bytes()
    }

    /// The whole answer.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = self.head(Some(self.body.len()));
        bytes.extend_from_slice(&self.body);
        bytes
    }
}

pub(crate) fn position(bytes: &[u8], sought: &[u8]) -> Option<usize> {
    bytes.windows(sought.len()).position(|window| window == sought)
}

/// The body inside the chunks (RFC 9112, section 7.1) and where they end, trailers included; `None` when they do not.
fn dechunk(raw: &[u8]) -> Option<(Vec<u8>, usize)> {
    let (mut body, mut at) = (Vec::new(), 0);
    loop {
        let size_end = at + position(&raw[at..], b"\r\n")?;
        let size = std::str::from_utf8(&raw[at..size_end]).ok()?.split(';').next()?;
        let size = usize::from_str_radix(size.trim(), 16).ok()?;
        at = size_end + 2;
        if size == 0 {
            // With trailers the end is an empty line; without them it is the next two bytes.
            let end = if raw[at..].starts_with(b"\r\n") { 2 } else { position(&raw[at..], b"\r\n\r\n")? + 4 };
            return Some((body, at + end));
        }
        let chunk_end = at.checked_add(size)?;
        body.extend_from_slice(raw.get(at..chunk_end)?);
        at = chunk_end.checked_add(2).filter(|at| *at <= raw.len())?;
    }
}
