//! How many access tokens each user has come with: what makes refreshes visible without showing a token.

use std::{
    collections::HashMap,
    hash::{BuildHasher, RandomState},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Counts tokens by their hashes, and keeps none.
#[derive(Default)]
pub(super) struct Tokens {
    /// As many as the auth service has users.
    users: Mutex<HashMap<String, Seen>>,
    hasher: RandomState,
}

#[derive(Default)]
struct Seen {
    count: u64,
    /// The last two: requests that cross a refresh may come with either.
    last: [u64; 2],
}

impl Tokens {
    /// Takes note of the token that a user's request came with.
    pub(super) fn note(&self, user: &str, token: &[u8]) {
        let hash = self.hasher.hash_one(token);
        let mut users = self.lock();
        let seen = users.entry(user.to_owned()).or_default();
        if !seen.last.contains(&hash) {
            seen.count += 1;
            seen.last = [hash, seen.last[0]];
        }
    }

    /// How many different tokens a user has come with so far.
    pub(super) fn of(&self, user: &str) -> u64 {
        self.lock().get(user).map_or(0, |seen| seen.count)
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Seen>> {
        self.users.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_token_counts_once_for_its_user() {
        let tokens = Tokens::default();
        for token in ["a", "a", "b", "a", "b", "c"] {
            tokens.note("user", token.as_bytes());
        }
        tokens.note("other", b"a");
        assert_eq!([tokens.of("user"), tokens.of("other"), tokens.of("nobody")], [3, 1, 0]);
    }
}
