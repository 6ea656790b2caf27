//! What a [`FakeUpstream`](super::FakeUpstream) remembers: requests, connections, and how far its answers have come.

use std::{collections::VecDeque, ops::Deref};

use crate::{RecordedRequest, Tally, tally::Tallying};

/// How much of a body is kept as it came.
const KEPT: usize = 1024 * 1024;
/// How many requests are remembered: the last ones.
const REMEMBERED: usize = 20_000;

/// A request as it came, on which connection, and how much of its body.
#[derive(Clone, Debug)]
pub struct ReceivedRequest {
    request: RecordedRequest,
    /// The connection's place among all, from 0.
    pub connection: usize,
    /// The body without its chunks; of a large one [`RecordedRequest::raw_body`] is only the beginning.
    pub tally: Tally,
    /// Whether the body has come to its end.
    pub is_complete: bool,
}

impl Deref for ReceivedRequest {
    type Target = RecordedRequest;

    fn deref(&self) -> &RecordedRequest {
        &self.request
    }
}

/// Everything that happened so far.
#[derive(Default)]
pub(super) struct Seen {
    requests: VecDeque<Receiving>,
    /// How many requests were forgotten.
    forgotten: usize,
    /// Connections that were ever made, and those that are open now.
    pub(super) connections: usize,
    pub(super) open: usize,
    /// Bytes of patterns that the system took, and how often it took none for a while.
    pub(super) filled: u64,
    pub(super) stalls: usize,
}

impl Seen {
    /// Remembers a request and returns its place among all.
    pub(super) fn push(&mut self, request: Receiving) -> usize {
        if self.requests.len() == REMEMBERED {
            self.requests.pop_front();
            self.forgotten += 1;
        }
        self.requests.push_back(request);
        self.forgotten + self.requests.len() - 1
    }

    pub(super) fn requests(&self) -> impl Iterator<Item = &Receiving> {
        self.requests.iter()
    }

    pub(super) fn request(&mut self, place: usize) -> Option<&mut Receiving> {
        self.requests.get_mut(place.checked_sub(self.forgotten)?)
    }
}

/// A request that may still be on its way.
pub(super) struct Receiving {
    request: RecordedRequest,
    connection: usize,
    tallying: Tallying,
    is_complete: bool,
}

impl Receiving {
    pub(super) fn new(head: Vec<u8>, connection: usize) -> Self {
        let request = RecordedRequest { head, raw_body: Vec::new() };
        Self { request, connection, tallying: Tallying::default(), is_complete: false }
    }

    pub(super) fn head(&self) -> &RecordedRequest {
        &self.request
    }

    /// Bytes of the body as they came.
    pub(super) fn raw(&mut self, bytes: &[u8]) {
        let room = KEPT.saturating_sub(self.request.raw_body.len());
        self.request.raw_body.extend_from_slice(&bytes[..bytes.len().min(room)]);
    }

    /// Bytes of the body itself.
    pub(super) fn data(&mut self, bytes: &[u8]) {
        self.tallying.add(bytes);
    }

    pub(super) fn body_length(&self) -> u64 {
        self.tallying.length()
    }

    pub(super) fn complete(&mut self) {
        self.is_complete = true;
    }

    pub(super) fn received(&self) -> ReceivedRequest {
        let Self { request, connection, tallying, is_complete } = self;
        let (connection, is_complete) = (*connection, *is_complete);
        ReceivedRequest { request: request.clone(), connection, tally: tallying.tally(), is_complete }
    }
}
