//! One connection of the load, and the little of HTTP that its answers need.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use super::{Question, outcome::Failure};

const MOST_FIELDS: usize = 64;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection with at most one request under way.
pub(super) struct Connection {
    stream: TcpStream,
    /// What has arrived of the answer.
    arrived: Vec<u8>,
    asking: Option<Asking>,
}

#[derive(Clone, Copy)]
struct Asking {
    question: usize,
    due: Instant,
}

/// How far an answer has come.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Progress {
    Partial,
    /// It is whole and right.
    Answered {
        due: Instant,
    },
}

impl Connection {
    pub(super) fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self { stream, arrived: Vec::with_capacity(16 * 1024), asking: None })
    }

    pub(super) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    pub(super) fn is_asking(&self) -> bool {
        self.asking.is_some()
    }

    pub(super) fn ask(&mut self, question: &Question, place: usize, due: Instant) -> io::Result<()> {
        self.asking = Some(Asking { question: place, due });
        self.stream.write_all(&question.bytes)
    }

    /// Reads once.
    pub(super) fn hear(&mut self, questions: &[Question]) -> Result<Progress, Failure> {
        let mut input = [0; 16 * 1024];
        let arrived = match self.stream.read(&mut input) {
            Ok(arrived @ 1..) => &input[..arrived],
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(Progress::Partial),
            Ok(0) | Err(_) => return Err(Failure::Closed),
        };
        let Some(Asking { question, due }) = self.asking else { return Err(Failure::Unasked) };
        let page = &questions[question].page;
        let is_whole = if self.arrived.is_empty() {
            let is_whole = is_right(arrived, page)?;
            if !is_whole {
                self.arrived.extend_from_slice(arrived);
            }
            is_whole
        } else {
            self.arrived.extend_from_slice(arrived);
            is_right(&self.arrived, page)?
        };
        if !is_whole {
            return Ok(Progress::Partial);
        }
        self.arrived.clear();
        self.asking = None;
        Ok(Progress::Answered { due })
    }
}

/// Whether the answer is whole; an error when it is not the right one.
fn is_right(answer: &[u8], page: &[u8]) -> Result<bool, Failure> {
    let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
    let mut head = httparse::Response::new(&mut fields);
    let begin = match head.parse(answer) {
        Ok(httparse::Status::Complete(begin)) => begin,
        Ok(httparse::Status::Partial) => return Ok(false),
        Err(_) => return Err(Failure::Malformed),
    };
    let status = head.code.unwrap_or_default();
    if !(200..300).contains(&status) {
        return Err(Failure::Status(status));
    }
    let length = head.headers.iter().find(|field| field.name.eq_ignore_ascii_case("content-length"));
    let length = length.and_then(|field| std::str::from_utf8(field.value).ok()?.parse::<usize>().ok());
    if length != Some(page.len()) {
        return Err(Failure::WrongBody);
    }
    let body = &answer[begin..];
    if body.len() < page.len() {
        return Ok(false);
    }
    if body == page { Ok(true) } else { Err(Failure::WrongBody) }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &[u8] = b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n";

    #[test]
    fn an_answer_is_right_when_it_is_whole_and_every_byte_is() {
        let answer = [HEAD, b"abc"].concat();
        for end in 0..answer.len() {
            assert_eq!(is_right(&answer[..end], b"abc"), Ok(false), "{end}");
        }
        assert_eq!(is_right(&answer, b"abc"), Ok(true));
        assert_eq!(is_right(&answer, b"abd"), Err(Failure::WrongBody));
        assert_eq!(is_right(&[&answer, &b"d"[..]].concat(), b"abc"), Err(Failure::WrongBody));
        assert_eq!(is_right(&answer, b"abcd"), Err(Failure::WrongBody));
    }

    #[test]
    fn an_answer_without_a_length_or_with_another_status_is_a_failure() {
        assert_eq!(is_right(b"HTTP/1.1 200 OK\r\n\r\n", b""), Err(Failure::WrongBody));
        assert_eq!(is_right(b"HTTP/1.1 401 No\r\n\r\n", b""), Err(Failure::Status(401)));
        assert_eq!(is_right(b"220 mail\r\n", b""), Err(Failure::Malformed));
    }
}
