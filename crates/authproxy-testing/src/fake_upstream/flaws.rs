//! Answers that break off and answers that are none.

use super::play::{Play, Step};

/// Where an answer is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CutPoint {
    /// Before its first byte.
    BeforeHead,
    /// In the middle of its head.
    InHead,
    /// Between head and body.
    AfterHead,
    /// In the middle of its body, which has a Content-Length.
    InBody,
    /// After all of its body, before the chunk that says so.
    BeforeLastChunk,
}

/// What is wrong with an answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Malformation {
    /// A status line with words for a number.
    StatusLine,
    /// A header line without a colon.
    NoColon,
    /// Content-Length and Transfer-Encoding.
    LengthAndChunked,
    /// Two different Content-Lengths.
    TwoLengths,
    /// A Content-Length below zero.
    NegativeLength,
    /// A megabyte of header fields.
    HugeHead,
    /// A NUL in a header field's value.
    Nul,
    /// A body without any head, as HTTP/0.9 had it.
    NoHead,
    /// A chunk size that is no number.
    ChunkSize,
}

impl CutPoint {
    /// Every point, from the answer's beginning to its end.
    pub const ALL: [Self; 5] = [Self::BeforeHead, Self::InHead, Self::AfterHead, Self::InBody, Self::BeforeLastChunk];

    /// What is written before the cut.
    fn bytes(self) -> Vec<u8> {
        let text = match self {
            Self::BeforeHead => "",
            Self::InHead => "HTTP/1.1 200 OK\r\ncontent-ty",
            Self::AfterHead => "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n",
            Self::InBody => "HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n01234",
            Self::BeforeLastChunk => "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\na\r\n0123456789\r\n",
        };
        text.into()
    }
}

impl Malformation {
    /// Every kind.
    pub const ALL: [Self; 9] = [
        Self::StatusLine,
        Self::NoColon,
        Self::LengthAndChunked,
        Self::TwoLengths,
        Self::NegativeLength,
        Self::HugeHead,
        Self::Nul,
        Self::NoHead,
        Self::ChunkSize,
    ];

    fn bytes(self) -> Vec<u8> {
        let head = |fields: &str| format!("HTTP/1.1 200 OK\r\n{fields}\r\n\r\n");
        let text = match self {
            Self::StatusLine => "HTTP/1.1 fine OK\r\ncontent-length: 0\r\n\r\n".into(),
            Self::NoColon => head("content-length: 0\r\nno colon here"),
            Self::LengthAndChunked => {
                head("content-length: 4\r\ntransfer-encoding: chunked") + "5\r\nhello\r\n0\r\n\r\n"
            }
            Self::TwoLengths => head("content-length: 4\r\ncontent-length: 5") + "hello",
            Self::NegativeLength => head("content-length: -5") + "hello",
            Self::HugeHead => head(&format!("content-length: 0\r\nx-huge: {}", "x".repeat(1024 * 1024))),
            Self::Nul => head("content-length: 0\r\nx-nul: a\0b"),
            Self::NoHead => "<html>hello</html>\r\n\r\n".into(),
            Self::ChunkSize => head("transfer-encoding: chunked") + "five\r\nhello\r\n0\r\n\r\n",
        };
        text.into_bytes()
    }
}

impl Play {
    /// An answer that ends in a reset connection.
    pub fn reset(at: CutPoint) -> Self {
        Self::reading([Step::Write(at.bytes()), Step::Reset])
    }

    /// An answer that ends in a connection closed by the book: with [`CutPoint::InBody`] shorter than its
    /// Content-Length, with [`CutPoint::BeforeLastChunk`] chunked without an end.
    pub fn cut(at: CutPoint) -> Self {
        Self::reading([Step::Write(at.bytes()), Step::Close])
    }

    /// An answer that is none; the connection stays open.
    pub fn malformed(flaw: Malformation) -> Self {
        Self::reading([Step::Write(flaw.bytes())])
    }

    /// A good answer and, unasked, the beginning of another.
    pub fn garbage_after(body: &str) -> Self {
        let length = body.len();
        let stray = "HTTP/1.1 200 OK\r\nx-stray: yes\r\ncontent-length: 5\r\n\r\nstray";
        Self::reading([Step::Write(format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n{body}{stray}").into())])
    }
}
