//! What a peer sends on one connection, cut into requests. Pure: no I/O, no clock.

use bytes::{Bytes, BytesMut};

use super::head::{self, Head};
use crate::{
    heads::Refusal,
    http1::decoder::{BadBody, Decoded, Decoder},
};

/// The bytes that have arrived and what they belong to. Between two requests it holds no memory.
pub(super) struct Inbound {
    pub(super) unread: BytesMut,
    /// How much of an incomplete head was looked at already.
    seen: usize,
    /// The body of the request under way, or of the last one.
    body: Decoder,
}

impl Inbound {
    pub(super) fn new() -> Self {
        Self { unread: BytesMut::new(), seen: 0, body: Decoder::none() }
    }

    /// The next request's head, if it is whole. The last one's body must have ended.
    pub(super) fn head(&mut self) -> Result<Option<Head>, Refusal> {
        debug_assert!(self.body.is_done(), "a body is no head");
        if self.unread.is_empty() {
            return Ok(None);
        }
        let Some(mut head) = head::take(&mut self.unread, self.seen)? else {
            self.seen = self.unread.len();
            return Ok(None);
        };
        self.seen = 0;
        self.body = std::mem::replace(&mut head.body, Decoder::none());
        self.release();
        Ok(Some(head))
    }

    /// Whether some of a head is there: an empty line is none of it (RFC 9112, section 2.2).
    pub(super) fn has_begun(&self) -> bool {
        self.unread.iter().any(|byte| !matches!(byte, b'\r' | b'\n'))
    }

    /// The next part of the body, if it is there.
    pub(super) fn frame(&mut self) -> Result<Decoded, BadBody> {
        let decoded = self.body.advance(&mut self.unread);
        self.release();
        decoded
    }

    /// Passes over what has arrived of a body that nobody reads; whether that was all of it.
    pub(super) fn skip_body(&mut self) -> bool {
        while let Ok(Decoded::Frame(_)) = self.frame() {}
        self.body.is_done()
    }

    /// The body of the request under way.
    pub(super) fn body(&self) -> &Decoder {
        &self.body
    }

    /// All that was not taken.
    pub(super) fn take_unread(&mut self) -> Bytes {
        std::mem::take(&mut self.unread).freeze()
    }

    fn release(&mut self) {
        if self.unread.is_empty() {
            self.unread = BytesMut::new();
        }
    }
}

#[cfg(test)]
mod tests;
