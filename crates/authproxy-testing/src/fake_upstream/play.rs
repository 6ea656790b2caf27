//! What a [`FakeUpstream`](super::FakeUpstream) does with a request: a few steps, written down beforehand.

use super::EventStream;
use crate::{Answer, Gate};

/// What is done with one request, step by step. The constructors are the common ones; the rest is put together.
#[derive(Clone, Debug, Default)]
pub struct Play {
    pub(super) steps: Vec<Step>,
}

/// One step. When all are done and none has ended the connection, the next request is read from it.
#[derive(Clone, Debug)]
pub enum Step {
    /// Reads the request's body to its end. Without this step it is read after all others.
    ReadBody,
    /// Writes an answer; of one to a HEAD request only the head.
    Answer(Answer, Framing),
    /// Writes these bytes.
    Write(Vec<u8>),
    /// Writes so many bytes of a [`Pattern`](crate::Pattern), as fast as the peer takes them.
    Fill(u64),
    /// Waits at a gate, or until the peer has gone; the latter is not noticed while a body is unread.
    Hold(Gate),
    /// Answers with a stream of events until it is ended or the peer has gone.
    Events(EventStream),
    /// Accepts a WebSocket (RFC 6455, section 4.2.2).
    Handshake,
    /// Writes every byte back that comes, until the peer has gone.
    Echo,
    /// Does nothing until the peer has gone.
    Never,
    /// Closes the connection.
    Close,
    /// Closes the connection as soon as the next request begins to arrive.
    CloseAtNextByte,
    /// Resets the connection.
    Reset,
}

/// How an answer's end is told (RFC 9112, section 6.3).
#[derive(Clone, Debug)]
pub enum Framing {
    /// By Content-Length.
    Length,
    /// By its last chunk, after which these trailer fields come. The body goes in two chunks where it can.
    Chunked(Vec<(String, String)>),
    /// By the connection's end.
    UntilClose,
}

impl Play {
    /// These steps.
    pub fn of(steps: impl Into<Vec<Step>>) -> Self {
        Self { steps: steps.into() }
    }

    /// Reads the body, then takes these steps.
    pub fn reading(steps: impl IntoIterator<Item = Step>) -> Self {
        Self { steps: std::iter::once(Step::ReadBody).chain(steps).collect() }
    }

    /// An answer with a Content-Length.
    pub fn answer(answer: Answer) -> Self {
        Self::reading([Step::Answer(answer, Framing::Length)])
    }

    /// An answer before any of the request's body is read.
    pub fn early(answer: Answer) -> Self {
        Self::of([Step::Answer(answer, Framing::Length)])
    }

    /// An answer in chunks, with trailers.
    pub fn chunked(answer: Answer, trailers: &[(&str, &str)]) -> Self {
        let trailers = trailers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned()));
        Self::reading([Step::Answer(answer, Framing::Chunked(trailers.collect()))])
    }

    /// An answer that ends with its connection.
    pub fn until_close(answer: Answer) -> Self {
        Self::reading([Step::Answer(answer, Framing::UntilClose)])
    }

    /// Refuses the token, with this challenge (RFC 6750, section 3) or without any.
    pub fn unauthorized(challenge: Option<&str>) -> Self {
        let answer = Answer::json(401, r#"{"detail":"refused by the upstream"}"#);
        Self::answer(match challenge {
            Some(challenge) => answer.with_header("www-authenticate", challenge),
            None => answer,
        })
    }

    /// A pattern of this length as the body of an answer.
    pub fn download(length: u64) -> Self {
        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
        Self::reading([Step::Write(head.into()), Step::Fill(length)])
    }

    /// A stream of events.
    pub fn events(events: &EventStream) -> Self {
        Self::reading([Step::Events(events.clone())])
    }

    /// A WebSocket that echoes.
    pub fn websocket_echo() -> Self {
        Self::of([Step::Handshake, Step::Echo])
    }

    /// No answer at all.
    pub fn never() -> Self {
        Self::reading([Step::Never])
    }

    /// An answer whose second half waits at a gate.
    pub fn held_in_body(gate: &Gate, answer: &Answer) -> Self {
        let mut first = answer.bytes();
        let second = first.split_off(first.len() - answer.body.len() / 2);
        Self::reading([Step::Write(first), Step::Hold(gate.clone()), Step::Write(second)])
    }

    /// An answer after which the connection is closed although nothing has said so.
    pub fn answer_and_close(answer: Answer) -> Self {
        Self::answer(answer).then(Step::Close)
    }

    /// An answer after which the connection is closed when it is used again.
    pub fn answer_and_close_at_reuse(answer: Answer) -> Self {
        Self::answer(answer).then(Step::CloseAtNextByte)
    }

    /// The same, with a further step at the end.
    #[must_use]
    pub fn then(mut self, step: Step) -> Self {
        self.steps.push(step);
        self
    }

    /// The same, with a further step before the answer.
    #[must_use]
    pub fn first(mut self, step: Step) -> Self {
        let place = self.steps.iter().take_while(|step| matches!(step, Step::ReadBody)).count();
        self.steps.insert(place, step);
        self
    }

    /// The same, with an answer of another kind before the final one (RFC 9110, section 15.2), such as 103.
    #[must_use]
    pub fn with_informational(self, status: u16, name: &str, value: &str) -> Self {
        let answer = Answer { status, headers: vec![(name.to_owned(), value.to_owned())], body: Vec::new() };
        self.first(Step::Write(answer.head(None)))
    }

    /// The same, waiting at a gate before the answer.
    #[must_use]
    pub fn held(self, gate: &Gate) -> Self {
        self.first(Step::Hold(gate.clone()))
    }
}
