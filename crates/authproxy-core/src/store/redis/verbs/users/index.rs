//! [`UsersIndex`]: what a user's index is called and what its members are. Keyed hashes, all of it.
//!
//! A member is a hash of a session's name, then the name itself under a mask that is a hash of that hash: a synthetic IV
//! (RFC 5297). So a session is the same member whenever it is written, who knows the secret and the user reads the names
//! of the user's sessions, and to all others no member tells which record it is of.

use crate::store::{Envelope, envelope::Secret, redis::names};

const USER: &str = "user";
const SESSION: &str = "a user's session";
const MASK: &str = "the name of a user's session";

/// What a session is in its user's index.
pub(in crate::store::redis) type Member = [u8; 32];

/// A session's place in its user's index.
#[derive(Clone)]
pub(in crate::store::redis) struct Place {
    pub(in crate::store::redis) index: String,
    pub(in crate::store::redis) member: Member,
}

/// A user's index under one secret.
pub(super) struct UsersIndex<'a> {
    secret: &'a Secret,
    user: [u8; 32],
}

impl<'a> UsersIndex<'a> {
    /// A user's indexes, that of the sealing secret first: what is written is written there.
    pub(super) fn of(envelope: &'a Envelope, user: &str) -> impl Iterator<Item = Self> {
        envelope.secrets().map(move |secret| Self { secret, user: secret.hash(USER, user.as_bytes()) })
    }

    pub(super) fn name(&self) -> String {
        names::user(&self.user[..16])
    }

    /// Where a session stands by its name.
    pub(super) fn place(&self, name: &[u8; 16]) -> Place {
        let mut member = Member::default();
        let (hash, masked) = member.split_at_mut(16);
        hash.copy_from_slice(&self.hash(SESSION, name));
        masked.copy_from_slice(&xor(name, &self.hash(MASK, hash)));
        Place { index: self.name(), member }
    }

    /// The name of the session that a member is; `None` for what is none of this user's.
    pub(super) fn session(&self, member: &[u8]) -> Option<[u8; 16]> {
        let (hash, masked) = member.split_first_chunk::<16>()?;
        let name = xor(masked.try_into().ok()?, &self.hash(MASK, hash));
        (self.hash(SESSION, &name) == *hash).then_some(name)
    }

    fn hash(&self, purpose: &str, text: &[u8]) -> [u8; 16] {
        let hash = self.secret.hash(purpose, &[&self.user[..], text].concat());
        hash[..16].try_into().expect("16 of 32 bytes")
    }
}

fn xor(one: &[u8; 16], other: &[u8; 16]) -> [u8; 16] {
    std::array::from_fn(|at| one[at] ^ other[at])
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    const OLD: &str = "an-old-secret-an-old-secret-an-old-secret";
    const NEW: &str = "a-new-secret-a-new-secret-a-new-secret-a";
    const NAME: [u8; 16] = *b"a session's name";

    fn place(secrets: &[&str], user: &str, name: [u8; 16]) -> Place {
        let envelope = Envelope::new(secrets).unwrap();
        UsersIndex::of(&envelope, user).next().unwrap().place(&name)
    }

    fn read(secrets: &[&str], user: &str, member: &[u8]) -> Vec<Option<[u8; 16]>> {
        let envelope = Envelope::new(secrets).unwrap();
        UsersIndex::of(&envelope, user).map(|index| index.session(member)).collect()
    }

    #[test]
    fn a_member_is_read_by_who_knows_secret_and_user_and_by_nobody_else() {
        let member = place(&[OLD], "user", NAME).member;
        assert_eq!(read(&[OLD], "user", &member), [Some(NAME)]);
        assert_eq!(read(&[NEW, OLD], "user", &member), [None, Some(NAME)]);
        assert_eq!(read(&[OLD], "another user", &member), [None]);
        for other in [&member[1..], &[member.as_slice(), b"x"].concat(), &[0; 32], b"", &NAME] {
            assert_eq!(read(&[OLD], "user", other), [None]);
        }
    }

    #[test]
    fn a_session_is_always_the_same_member_and_shows_nothing_of_its_name() {
        let first = place(&[NEW, OLD], "user", NAME);
        let again = place(&[NEW], "user", NAME);
        assert_eq!((first.index, first.member), (again.index, again.member));
        let mut members = vec![again.member, place(&[OLD], "user", NAME).member, place(&[NEW], "other", NAME).member];
        members.push(place(&[NEW], "user", *b"another session.").member);
        let mut pieces: Vec<_> = members.iter().flat_map(|member| member.as_chunks::<16>().0).collect();
        assert!(!pieces.contains(&&NAME));
        pieces.sort_unstable();
        pieces.dedup();
        assert_eq!(pieces.len(), 8, "no two of them share anything");
    }
}
