//! HTTP/1.1 as far as the load and the services behind the nodes need it: whole messages with a Content-Length.

use std::io;

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

const MOST_FIELDS: usize = 64;
const LONGEST_MESSAGE: usize = 1024 * 1024;

/// A request that has arrived whole.
#[derive(Clone, Debug)]
pub(crate) struct Request {
    pub(crate) target: String,
    pub(crate) authorization: Option<String>,
    pub(crate) idempotency_key: Option<String>,
    pub(crate) body: Vec<u8>,
}

/// An answer that has arrived whole.
#[derive(Clone, Debug, Default)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Every `Set-Cookie`.
    pub(crate) cookies: Vec<String>,
    pub(crate) has_retry_after: bool,
    /// Whether the connection may carry another request.
    pub(crate) keeps_alive: bool,
    pub(crate) body: Vec<u8>,
}

/// How an exchange failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Broken {
    /// The connection ended before a byte of the answer.
    BeforeAnswer,
    /// It ended, or made no sense, in the middle of the answer.
    InAnswer,
}

/// A connection, of either end.
pub(crate) struct Connection {
    stream: TcpStream,
    buffer: Vec<u8>,
}

impl Connection {
    pub(crate) fn new(stream: TcpStream) -> Self {
        let _ = stream.set_nodelay(true);
        Self { stream, buffer: Vec::new() }
    }

    /// The next request; `None` when the peer has closed.
    pub(crate) async fn request(&mut self) -> io::Result<Option<Request>> {
        loop {
            if let Some((request, end)) = parse_request(&self.buffer)? {
                self.buffer.drain(..end);
                return Ok(Some(request));
            }
            if self.buffer.len() > LONGEST_MESSAGE || self.stream.read_buf(&mut self.buffer).await? == 0 {
                return Ok(None);
            }
        }
    }

    /// Sends a request and reads the answer to it.
    pub(crate) async fn ask(&mut self, request: &[u8]) -> Result<Answer, Broken> {
        // A peer that closes may still have answered what it refuses to read.
        let sent = self.stream.write_all(request).await;
        loop {
            match parse_answer(&self.buffer) {
                Ok(Some((answer, end))) => {
                    self.buffer.drain(..end);
                    return Ok(Answer { keeps_alive: answer.keeps_alive && sent.is_ok(), ..answer });
                }
                Ok(None) => {}
                Err(_) => return Err(Broken::InAnswer),
            }
            let begun = !self.buffer.is_empty();
            match self.stream.read_buf(&mut self.buffer).await {
                Ok(0) | Err(_) if begun => return Err(Broken::InAnswer),
                Ok(0) | Err(_) => return Err(Broken::BeforeAnswer),
                Ok(_) => {}
            }
        }
    }

    pub(crate) async fn write(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes).await
    }

    /// Ends the connection so that the peer sees an error.
    pub(crate) fn reset(self) {
        let _ = self.stream.set_zero_linger();
    }
}

/// An answer's bytes.
pub(crate) fn answer(status: &str, content_type: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\nContent-Length: {length}\r\n\r\n{body}").into_bytes()
}

fn parse_request(bytes: &[u8]) -> io::Result<Option<(Request, usize)>> {
    let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
    let mut head = httparse::Request::new(&mut fields);
    let httparse::Status::Complete(begin) = head.parse(bytes).map_err(io::Error::other)? else { return Ok(None) };
    let length = content_length(head.headers)?;
    let Some(body) = bytes.get(begin..begin + length) else { return Ok(None) };
    let request = Request {
        target: head.path.unwrap_or_default().to_owned(),
        authorization: field(head.headers, "authorization").map(str::to_owned),
        idempotency_key: field(head.headers, "idempotency-key").map(str::to_owned),
        body: body.to_vec(),
    };
    Ok(Some((request, begin + length)))
}

fn parse_answer(bytes: &[u8]) -> io::Result<Option<(Answer, usize)>> {
    let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
    let mut head = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(begin) = head.parse(bytes).map_err(io::Error::other)? else { return Ok(None) };
    let length = content_length(head.headers)?;
    let Some(body) = bytes.get(begin..begin + length) else { return Ok(None) };
    let cookies = head.headers.iter().filter(|field| field.name.eq_ignore_ascii_case("set-cookie"));
    let closes = field(head.headers, "connection").is_some_and(|value| value.eq_ignore_ascii_case("close"));
    let answer = Answer {
        status: head.code.unwrap_or_default(),
        cookies: cookies.map(|field| String::from_utf8_lossy(field.value).into_owned()).collect(),
        has_retry_after: field(head.headers, "retry-after").is_some(),
        keeps_alive: !closes,
        body: body.to_vec(),
    };
    Ok(Some((answer, begin + length)))
}

fn field<'a>(fields: &'a [httparse::Header<'_>], name: &str) -> Option<&'a str> {
    let field = fields.iter().find(|field| field.name.eq_ignore_ascii_case(name))?;
    std::str::from_utf8(field.value).ok()
}

fn content_length(fields: &[httparse::Header<'_>]) -> io::Result<usize> {
    let length = field(fields, "content-length").map_or(Ok(0), str::parse);
    if field(fields, "transfer-encoding").is_some() {
        return Err(io::Error::other("a body without a length"));
    }
    match length {
        Ok(length) if length <= LONGEST_MESSAGE => Ok(length),
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn a_message_is_taken_when_it_is_whole() {
        let bytes = b"POST /refresh HTTP/1.1\r\nAuthorization: Bearer x\r\nContent-Length: 3\r\n\r\nabcGET";
        assert!(parse_request(&bytes[..bytes.len() - 4]).unwrap().is_none());
        let (request, end) = parse_request(bytes).unwrap().unwrap();
        assert_eq!((request.target.as_str(), &bytes[end..]), ("/refresh", &b"GET"[..]));
        assert_eq!((request.authorization.as_deref(), request.body.as_slice()), (Some("Bearer x"), &b"abc"[..]));

        let bytes = b"HTTP/1.1 401 No\r\nSet-Cookie: a=b\r\nConnection: close\r\nContent-Length: 1\r\n\r\n!";
        let (answer, end) = parse_answer(bytes).unwrap().unwrap();
        assert_eq!((answer.status, answer.cookies.as_slice(), end), (401, &["a=b".to_owned()][..], bytes.len()));
        assert!(!answer.keeps_alive && !answer.has_retry_after);
    }
}
