//! The API behind every proxy: a page of 1 KiB for each user, given to that user's token only.

use std::io;

use crate::server::{Answering, Request, Server};

/// What a proxy without sessions sends as its token: good for every page.
pub(crate) const ANYBODY: &str = "anybody";
/// Bytes of a page.
const SIZE: usize = 1024;
const PREFIX: &str = "/api/";
const BEARER: &[u8] = b"Bearer ";
/// Pages differ between users who ask at the same time, so that an answer to another's question shows.
const PAGES: u32 = 61;

/// The target of a user's page.
pub(crate) fn target(user: u32) -> String {
    format!("{PREFIX}{user:07}")
}

/// A user's page.
pub(crate) fn page(user: u32) -> Vec<u8> {
    let line = format!("{:02} the quick brown fox jumps over the lazy dog\n", user % PAGES);
    line.bytes().cycle().take(SIZE).collect()
}

/// Starts the upstream.
pub(crate) fn start() -> io::Result<Server> {
    let answer = |user| {
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {SIZE}\r\n\r\n");
        [head.into_bytes(), page(user)].concat()
    };
    Server::start("upstream", Upstream { answers: (0..PAGES).map(answer).collect() })
}

struct Upstream {
    answers: Vec<Vec<u8>>,
}

impl Answering for Upstream {
    fn answer(&mut self, request: &Request<'_>, out: &mut Vec<u8>) {
        match user(request) {
            Some(user) => out.extend_from_slice(&self.answers[(user % PAGES) as usize]),
            None => out.extend_from_slice(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"),
        }
    }
}

/// The user whose page is asked for, when the request carries that user's token.
fn user(request: &Request<'_>) -> Option<u32> {
    let name = request.target.strip_prefix(PREFIX)?;
    let token = request.field("authorization")?.strip_prefix(BEARER)?;
    let owner = token.split(|byte| *byte == b'.').next()?;
    (owner == name.as_bytes() || owner == ANYBODY.as_bytes()).then(|| name.parse().ok())?
}
