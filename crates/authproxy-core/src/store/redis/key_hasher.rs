//! [`KeyHasher`]: for maps whose keys hash to eight bytes of a SHA-256.

use std::hash::{BuildHasher, Hasher};

/// Passes on the eight bytes that a key hashes to: they need no second hash.
#[derive(Clone, Copy, Default)]
pub(super) struct KeyHasher;

pub(super) struct PassOn(u64);

impl BuildHasher for KeyHasher {
    type Hasher = PassOn;

    fn build_hasher(&self) -> PassOn {
        PassOn(0)
    }
}

impl Hasher for PassOn {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write_u64(&mut self, value: u64) {
        self.0 = value;
    }

    fn write(&mut self, bytes: &[u8]) {
        for chunk in bytes.chunks(8) {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            self.0 = self.0.rotate_left(5) ^ u64::from_le_bytes(word);
        }
    }
}
