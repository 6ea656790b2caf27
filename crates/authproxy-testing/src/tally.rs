//! Bodies that are too large to be kept: made of a pattern, and compared by length and hash.

use std::fmt;

use sha2::{Digest, Sha256};

/// How many bytes of a pattern there are at once.
const BLOCK: usize = 64 * 1024;

/// The length and the hash of a body.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    /// How many bytes it had.
    pub length: u64,
    /// Their SHA-256.
    pub sha256: [u8; 32],
}

/// Makes a [`Tally`] of pieces.
#[derive(Clone, Default)]
pub struct Tallying {
    length: u64,
    hash: Sha256,
}

/// A body of any length in which no two blocks are alike, so that nothing can be lost, doubled or swapped unseen.
pub struct Pattern {
    block: Vec<u8>,
    number: u64,
    left: u64,
}

impl Tally {
    /// Of a body at hand.
    pub fn of(body: &[u8]) -> Self {
        let mut tallying = Tallying::default();
        tallying.add(body);
        tallying.tally()
    }

    /// Of a pattern's first `length` bytes.
    pub fn of_pattern(length: u64) -> Self {
        let (mut pattern, mut tallying) = (Pattern::new(length), Tallying::default());
        while let Some(block) = pattern.next_block() {
            tallying.add(block);
        }
        tallying.tally()
    }
}

impl fmt::Debug for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes, {:02x}{:02x}{:02x}..", self.length, self.sha256[0], self.sha256[1], self.sha256[2])
    }
}

impl Tallying {
    /// Adds what comes next.
    pub fn add(&mut self, piece: &[u8]) {
        self.length += piece.len() as u64;
        self.hash.update(piece);
    }

    /// How many bytes there were so far.
    pub fn length(&self) -> u64 {
        self.length
    }

    /// What it comes to so far.
    pub fn tally(&self) -> Tally {
        Tally { length: self.length, sha256: self.hash.clone().finalize().into() }
    }
}

impl Pattern {
    /// A body of `length` bytes.
    pub fn new(length: u64) -> Self {
        let block = (0..=250u8).cycle().take(BLOCK).collect();
        Self { block, number: 0, left: length }
    }

    /// The next bytes; `None` after the last.
    pub fn next_block(&mut self) -> Option<&[u8]> {
        let length = usize::try_from(self.left).unwrap_or(usize::MAX).min(BLOCK);
        self.block[..8].copy_from_slice(&self.number.to_be_bytes());
        self.number += 1;
        self.left -= length as u64;
        (length > 0).then(|| &self.block[..length])
    }
}
