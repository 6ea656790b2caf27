//! One connection of the load, and the little of HTTP that its answers need.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::{Duration, Instant},
};

use super::{
    outcome::Failure,
    question::{Head, Question},
};

const MOST_FIELDS: usize = 64;
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A connection with at most one request under way.
pub(super) struct Connection {
    stream: TcpStream,
    /// What has arrived of the answer.
    arrived: Vec<u8>,
    /// What is still to be written of the request.
    unsent: usize,
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
        question: usize,
        due: Instant,
        /// What it sets, without attributes.
        cookie: Option<String>,
    },
}

impl Connection {
    pub(super) fn open(address: SocketAddr) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&address, CONNECT_TIMEOUT)?;
        stream.set_nodelay(true)?;
        stream.set_nonblocking(true)?;
        Ok(Self { stream, arrived: Vec::new(), unsent: 0, asking: None })
    }

    pub(super) fn stream(&self) -> &TcpStream {
        &self.stream
    }

    pub(super) fn is_asking(&self) -> bool {
        self.asking.is_some()
    }

    /// Writes as much of a question as the socket takes; whether it took all.
    pub(super) fn ask(&mut self, question: &Question, place: usize, due: Instant) -> io::Result<bool> {
        self.asking = Some(Asking { question: place, due });
        self.unsent = question.bytes.len();
        self.write(question)
    }

    /// Writes on, when the socket takes more; whether there is nothing left.
    pub(super) fn write_on(&mut self, questions: &[Question]) -> io::Result<bool> {
        match self.asking {
            Some(asking) => self.write(&questions[asking.question]),
            None => Ok(true),
        }
    }

    fn write(&mut self, question: &Question) -> io::Result<bool> {
        while self.unsent > 0 {
            match self.stream.write(&question.bytes[question.bytes.len() - self.unsent..]) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => self.unsent -= written,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) => return Err(error),
            }
        }
        Ok(true)
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
        let cookie = if self.arrived.is_empty() {
            let judged = judge(arrived, &questions[question])?;
            if judged.is_none() {
                self.arrived.extend_from_slice(arrived);
            }
            judged
        } else {
            self.arrived.extend_from_slice(arrived);
            judge(&self.arrived, &questions[question])?
        };
        let Some(cookie) = cookie else { return Ok(Progress::Partial) };
        self.arrived.clear();
        self.asking = None;
        Ok(Progress::Answered { question, due, cookie })
    }
}

/// The cookie that an answer sets, if any; `None` while it is not whole, and an error when it is not the right one.
#[expect(clippy::option_option, reason = "not whole, whole without a cookie, whole with one")]
fn judge(answer: &[u8], question: &Question) -> Result<Option<Option<String>>, Failure> {
    let mut fields = [httparse::EMPTY_HEADER; MOST_FIELDS];
    let mut head = httparse::Response::new(&mut fields);
    let begin = match head.parse(answer) {
        Ok(httparse::Status::Complete(begin)) => begin,
        Ok(httparse::Status::Partial) => return Ok(None),
        Err(_) => return Err(Failure::Malformed),
    };
    let field =
        |name: &str| head.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name)).map(|field| field.value);
    let cookie = field("set-cookie");
    let length = question.judge_head(&Head {
        status: head.code.unwrap_or_default(),
        length: field("content-length").and_then(|value| std::str::from_utf8(value).ok()?.parse().ok()),
        authorization: field("authorization"),
        cookie,
    })?;
    let body = &answer[begin..];
    if body.len() < length {
        return Ok(None);
    }
    if body.len() > length || !question.is_right_body(body) {
        return Err(Failure::WrongBody);
    }
    let pair = cookie.and_then(|cookie| cookie.split(|byte| *byte == b';').next());
    Ok(Some(pair.map(|pair| String::from_utf8_lossy(pair).into_owned())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{load::Errand, upstream};

    fn question() -> Question {
        Question::new(Errand::Page, 7, "session_id=x")
    }

    fn answer(body: &[u8]) -> Vec<u8> {
        let length = body.len();
        [format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\nSet-Cookie: a=b; Path=/\r\n\r\n").as_bytes(), body]
            .concat()
    }

    #[test]
    fn an_answer_is_right_when_it_is_whole_and_every_byte_is() {
        let page = upstream::page(7);
        let whole = answer(&page);
        for end in 0..whole.len() {
            assert_eq!(judge(&whole[..end], &question()), Ok(None), "{end}");
        }
        assert_eq!(judge(&whole, &question()), Ok(Some(Some("a=b".into()))));
        assert_eq!(judge(&[&whole, &b"d"[..]].concat(), &question()), Err(Failure::WrongBody));
        assert_eq!(judge(&answer(&upstream::page(8)), &question()), Err(Failure::WrongBody));
        assert_eq!(judge(&answer(&page[1..]), &question()), Err(Failure::WrongBody));
    }

    #[test]
    fn an_answer_without_a_length_or_with_another_status_is_a_failure() {
        assert_eq!(judge(b"HTTP/1.1 200 OK\r\n\r\n", &question()), Err(Failure::WrongBody));
        assert_eq!(judge(b"HTTP/1.1 401 No\r\n\r\n", &question()), Err(Failure::Status(401)));
        assert_eq!(judge(b"220 mail\r\n", &question()), Err(Failure::Malformed));
    }
}
