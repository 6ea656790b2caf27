//! Which session a handed-out refresh token belongs to, without keeping the token.

use std::{
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::{
    session::{SessionKey, Version},
    store::HandedOut,
    token::RefreshToken,
};

/// Longer than any refresh token that this proxy still has to recognise as its own.
const KEPT_FOR: Duration = Duration::from_hours(24);

/// HMAC-SHA256 of a refresh token under a key that only this process has, cut to 128 bits.
type Fingerprint = [u8; 16];

pub(super) struct Lineage {
    secret: Zeroizing<[u8; 32]>,
    handed_out: moka::sync::Cache<Fingerprint, Arc<Mutex<HandedOut>>>,
}

impl Lineage {
    /// Remembers at most `capacity` tokens. A forgotten one is passed to the auth service like a stranger's.
    pub(super) fn new(capacity: usize) -> Self {
        let mut secret = Zeroizing::new([0; 32]);
        getrandom::fill(secret.as_mut_slice()).expect("the operating system gives randomness");
        let capacity = u64::try_from(capacity).unwrap_or(u64::MAX);
        let handed_out = moka::sync::Cache::builder().max_capacity(capacity).time_to_live(KEPT_FOR).build();
        Self { secret, handed_out }
    }

    pub(super) fn hand_out(&self, token: &RefreshToken, key: SessionKey, version: Version) {
        let handed_out = HandedOut { key, version, exchanged: false };
        self.handed_out.insert(self.fingerprint(token), Arc::new(Mutex::new(handed_out)));
    }

    pub(super) fn find(&self, token: &RefreshToken) -> Option<HandedOut> {
        let found = self.handed_out.get(&self.fingerprint(token))?;
        Some(*found.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Marks `presented` as exchanged for `current`; false when it was exchanged before.
    ///
    /// Where the service does not rotate the two are one token, which then stays exchangeable.
    pub(super) fn exchange(&self, presented: &RefreshToken, current: &RefreshToken, version: Version) -> bool {
        let Some(found) = self.handed_out.get(&self.fingerprint(presented)) else { return false };
        let key = {
            let mut found = found.lock().unwrap_or_else(PoisonError::into_inner);
            if std::mem::replace(&mut found.exchanged, true) {
                return false;
            }
            found.key
        };
        self.hand_out(current, key, version);
        true
    }

    pub(super) fn maintain(&self) {
        self.handed_out.run_pending_tasks();
    }

    fn fingerprint(&self, token: &RefreshToken) -> Fingerprint {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.as_slice()).expect("HMAC takes a key of any length");
        mac.update(token.expose_secret().as_bytes());
        mac.finalize().into_bytes()[..16].try_into().expect("16 of 32 bytes")
    }
}
