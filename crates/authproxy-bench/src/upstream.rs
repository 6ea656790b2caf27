//! The API behind every proxy: pages for each user, given to that user's token only.

use std::{io, sync::Arc, time::Duration};

use crate::server::{Answering, Request, Server};

/// What a proxy without sessions sends as its token: good for every page.
pub(crate) const ANYBODY: &str = "anybody";
/// Bytes of a page, and of a large one.
const SIZE: usize = 1024;
const LARGE_SIZE: usize = 1024 * 1024;
const PREFIX: &str = "/api/";
const LARGE: &str = "large/";
const UPLOAD: &str = "upload/";
const BEARER: &[u8] = b"Bearer ";
/// Pages differ between users who ask at the same time, so that an answer to another's question shows.
const PAGES: u32 = 61;

/// The target of a user's page.
pub(crate) fn target(user: u32) -> String {
    format!("{PREFIX}{user:07}")
}

/// The target of a user's large page.
pub(crate) fn large_target(user: u32) -> String {
    format!("{PREFIX}{LARGE}{user:07}")
}

/// Where a user's large page is sent to.
pub(crate) fn upload_target(user: u32) -> String {
    format!("{PREFIX}{UPLOAD}{user:07}")
}

/// A user's page.
pub(crate) fn page(user: u32) -> Arc<[u8]> {
    SMALL.with(|pages| pages[(user % PAGES) as usize].clone())
}

/// A user's large page.
pub(crate) fn large_page(user: u32) -> Arc<[u8]> {
    LARGE_PAGES.with(|pages| pages[(user % PAGES) as usize].clone())
}

thread_local! {
    static SMALL: Vec<Arc<[u8]>> = (0..PAGES).map(|number| text(number, SIZE)).collect();
    static LARGE_PAGES: Vec<Arc<[u8]>> = (0..PAGES).map(|number| text(number, LARGE_SIZE)).collect();
}

fn text(number: u32, size: usize) -> Arc<[u8]> {
    let line = format!("{number:02} the quick brown fox jumps over the lazy dog\n");
    line.bytes().cycle().take(size).collect()
}

/// Starts the upstream.
pub(crate) fn start() -> io::Result<Server> {
    let answer = |page: Arc<[u8]>| {
        let length = page.len();
        let head = format!("HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n");
        [head.as_bytes(), &page].concat()
    };
    let small = (0..PAGES).map(page).map(answer).collect();
    let large = (0..PAGES).map(large_page).map(answer).collect();
    let uploads = (0..PAGES).map(large_page).collect();
    Server::start("upstream", Upstream { small, large, uploads })
}

/// Whole answers, and what must be sent here.
struct Upstream {
    small: Vec<Vec<u8>>,
    large: Vec<Vec<u8>>,
    uploads: Vec<Arc<[u8]>>,
}

impl Answering for Upstream {
    fn answer(&mut self, request: &Request<'_>, out: &mut Vec<u8>) -> Duration {
        let answer = user(request).and_then(|(kind, user)| {
            let place = (user % PAGES) as usize;
            match kind {
                "" => Some(&self.small[place]),
                LARGE => Some(&self.large[place]),
                _ => (request.body == &*self.uploads[place]).then(|| &self.small[place]),
            }
        });
        out.extend_from_slice(answer.map_or(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", |answer| answer));
        Duration::ZERO
    }
}

/// What is asked for, and the user whose page it is, when the request carries that user's token.
fn user<'a>(request: &Request<'a>) -> Option<(&'a str, u32)> {
    let path = request.target.strip_prefix(PREFIX)?;
    let (kind, name) = path.split_at(path.find('/').map_or(0, |slash| slash + 1));
    let token = request.field("authorization")?.strip_prefix(BEARER)?;
    let owner = token.split(|byte| *byte == b'.').next()?;
    let user = (owner == name.as_bytes() || owner == ANYBODY.as_bytes()).then(|| name.parse().ok())??;
    ["", LARGE, UPLOAD].contains(&kind).then_some((kind, user))
}
