//! [`Envelope`]: seals what a store keeps outside this process, so that neither the store's contents nor the server's
//! secrets alone yield a token.
//!
//! `MemoryStore` does not need it. A store that writes elsewhere seals each record with it.

use std::fmt;

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, NONCE_LEN, Nonce, UnboundKey},
    hkdf,
};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::session::{SessionKey, Version};

const FORMAT: u8 = 1;
const SECRET_ID_LEN: usize = 4;
const HEADER_LEN: usize = 1 + SECRET_ID_LEN + NONCE_LEN;
const SHORTEST_SECRET: usize = 32;

/// Seals and opens records: AES-256-GCM under a key that is derived (HKDF-SHA-256) from a server secret and from the
/// half of the [`SessionKey`] that no store sees, bound to the session and its version.
///
/// Several secrets may be given: the first seals, all open, so secrets can be rotated without ending a session.
///
/// ```
/// use authproxy_core::{SessionId, session::Version, store::Envelope};
///
/// let envelope = Envelope::new(["0123456789abcdef0123456789abcdef"])?;
/// let key = SessionId::random().key();
/// let sealed = envelope.seal(&key, Version::FIRST, b"a record");
/// assert_eq!(envelope.open(&key, Version::FIRST, &sealed)?.as_slice(), b"a record");
/// assert!(envelope.open(&SessionId::random().key(), Version::FIRST, &sealed).is_err());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct Envelope {
    secrets: Vec<Secret>,
}

/// One of the server's secrets.
pub(super) struct Secret {
    id: [u8; SECRET_ID_LEN],
    prk: hkdf::Prk,
}

/// The secrets cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidSecrets {
    /// There is none.
    #[error("at least one secret is needed")]
    None,
    /// One is too short.
    #[error("a secret needs at least 32 characters")]
    TooShort,
}

/// A record cannot be opened; there is nothing to be had from it. Treat its session as one that must log in again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OpenRecordError {
    /// It was sealed with a secret that is not among ours.
    #[error("the record was sealed with a secret that is not known here")]
    UnknownSecret,
    /// It was changed, belongs to another session or version, or is no record at all.
    #[error("the record is not what was sealed for this session and version")]
    Forged,
}

impl Envelope {
    /// Takes the server's secrets, the sealing one first.
    ///
    /// # Errors
    ///
    /// [`InvalidSecrets`].
    pub fn new<S: AsRef<str>>(secrets: impl IntoIterator<Item = S>) -> Result<Self, InvalidSecrets> {
        let secrets: Vec<_> =
            secrets.into_iter().map(|secret| Secret::new(secret.as_ref())).collect::<Result<_, _>>()?;
        if secrets.is_empty() { Err(InvalidSecrets::None) } else { Ok(Self { secrets }) }
    }

    /// Seals a record for a session and a version.
    ///
    /// # Panics
    ///
    /// When the operating system has no randomness to give.
    pub fn seal(&self, key: &SessionKey, version: Version, record: &[u8]) -> Vec<u8> {
        let secret = &self.secrets[0];
        let mut nonce = [0; NONCE_LEN];
        getrandom::fill(&mut nonce).expect("the operating system gives randomness");
        let mut sealed = Vec::with_capacity(HEADER_LEN + record.len() + AES_256_GCM.tag_len());
        sealed.push(FORMAT);
        sealed.extend_from_slice(&secret.id);
        sealed.extend_from_slice(&nonce);
        let mut body = Zeroizing::new(record.to_vec());
        let tag = secret
            .sealing_key(key)
            .seal_in_place_separate_tag(Nonce::assume_unique_for_key(nonce), binding(key, version, &sealed), &mut body)
            .expect("records are far below AES-GCM's bound");
        sealed.extend_from_slice(&body);
        sealed.extend_from_slice(tag.as_ref());
        sealed
    }

    /// Opens what was sealed for this session and version.
    ///
    /// # Errors
    ///
    /// [`OpenRecordError`]; never a panic, whatever the bytes.
    pub fn open(
        &self,
        key: &SessionKey,
        version: Version,
        sealed: &[u8],
    ) -> Result<Zeroizing<Vec<u8>>, OpenRecordError> {
        let (header, body) = sealed.split_at_checked(HEADER_LEN).ok_or(OpenRecordError::Forged)?;
        let (id, nonce) = header[1..].split_at(SECRET_ID_LEN);
        if header[0] != FORMAT {
            return Err(OpenRecordError::Forged);
        }
        let secret = self.secrets.iter().find(|secret| secret.id == id).ok_or(OpenRecordError::UnknownSecret)?;
        let nonce = Nonce::try_assume_unique_for_key(nonce).map_err(|_| OpenRecordError::Forged)?;
        let mut record = Zeroizing::new(body.to_vec());
        let opened = secret
            .sealing_key(key)
            .open_in_place(nonce, binding(key, version, header), &mut record)
            .map_err(|_| OpenRecordError::Forged)?
            .len();
        record.truncate(opened);
        Ok(record)
    }
}

#[cfg(feature = "redis")]
impl Envelope {
    /// A keyed hash of `text` for one purpose, under each secret, the sealing one first: what a store's server may see
    /// of a text, and cannot compute itself.
    pub(super) fn hashes(&self, purpose: &str, text: &str) -> impl Iterator<Item = [u8; 32]> {
        self.secrets().map(move |secret| secret.hash(purpose, text.as_bytes()))
    }

    /// The secrets, the sealing one first.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &Secret> {
        self.secrets.iter()
    }
}

#[cfg(feature = "redis")]
struct Hash;

#[cfg(feature = "redis")]
impl hkdf::KeyType for Hash {
    fn len(&self) -> usize {
        32
    }
}

impl Secret {
    /// A keyed hash of `text` for one purpose.
    #[cfg(feature = "redis")]
    pub(super) fn hash(&self, purpose: &str, text: &[u8]) -> [u8; 32] {
        let digest = Sha256::digest(text);
        let info = [purpose.as_bytes(), &digest];
        let mut hash = [0; 32];
        let okm = self.prk.expand(&info, Hash).expect("one hash is within HKDF's bound");
        okm.fill(&mut hash).expect("as long as was asked");
        hash
    }

    fn new(secret: &str) -> Result<Self, InvalidSecrets> {
        if secret.chars().count() < SHORTEST_SECRET {
            return Err(InvalidSecrets::TooShort);
        }
        let digest = Sha256::new().chain_update(b"authproxy secret id").chain_update(secret).finalize();
        let id = digest[..SECRET_ID_LEN].try_into().expect("4 of 32 bytes");
        let prk = hkdf::Salt::new(hkdf::HKDF_SHA256, b"authproxy envelope").extract(secret.as_bytes());
        Ok(Self { id, prk })
    }

    fn sealing_key(&self, key: &SessionKey) -> LessSafeKey {
        let secret_half = Zeroizing::new(key.expose_secret());
        let info = [secret_half.as_slice()];
        let okm = self.prk.expand(&info, &AES_256_GCM).expect("one key is within HKDF's bound");
        LessSafeKey::new(UnboundKey::from(okm))
    }
}

/// What a sealed record is bound to: its own header, the session, the version.
fn binding(key: &SessionKey, version: Version, header: &[u8]) -> Aad<Vec<u8>> {
    let mut bound = header.to_vec();
    bound.extend_from_slice(&key.name());
    bound.extend_from_slice(&version.0.to_be_bytes());
    Aad::from(bound)
}

impl fmt::Debug for Envelope {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Envelope").field("secrets", &self.secrets.len()).finish()
    }
}

#[cfg(test)]
mod tests;
