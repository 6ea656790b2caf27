//! Which session a handed-out refresh token belongs to, without keeping the token.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::{
    clock::{Clock, Timestamp},
    session::{SessionKey, Version},
    store::HandedOut,
    token::RefreshToken,
};

/// HMAC-SHA256 of a refresh token under a key that only this process has, cut to 128 bits.
pub(super) type Fingerprint = [u8; 16];

struct Known {
    handed_out: Mutex<HandedOut>,
    forget_at: AtomicU64,
}

pub(super) struct Lineage {
    secret: Zeroizing<[u8; 32]>,
    known: moka::sync::Cache<Fingerprint, Arc<Known>>,
}

/// Tells moka how long to keep a fingerprint: as long as its session.
struct AsLongAsTheSession(Arc<dyn Clock>);

impl AsLongAsTheSession {
    fn left(&self, known: &Known) -> Duration {
        Timestamp::from_millis(known.forget_at.load(Ordering::Relaxed)).since(self.0.now())
    }
}

impl moka::Expiry<Fingerprint, Arc<Known>> for AsLongAsTheSession {
    fn expire_after_create(&self, _: &Fingerprint, known: &Arc<Known>, _: Instant) -> Option<Duration> {
        Some(self.left(known))
    }

    fn expire_after_update(
        &self,
        _: &Fingerprint,
        known: &Arc<Known>,
        _: Instant,
        _: Option<Duration>,
    ) -> Option<Duration> {
        Some(self.left(known))
    }
}

impl Lineage {
    pub(super) fn new(clock: Arc<dyn Clock>) -> Self {
        let mut secret = Zeroizing::new([0; 32]);
        getrandom::fill(secret.as_mut_slice()).expect("the operating system gives randomness");
        let known = moka::sync::Cache::builder().expire_after(AsLongAsTheSession(clock)).build();
        Self { secret, known }
    }

    /// Remembers a token until `forget_at`, and returns what [`keep_until`](Self::keep_until) knows it by.
    pub(super) fn hand_out(
        &self,
        token: &RefreshToken,
        key: SessionKey,
        version: Version,
        forget_at: Timestamp,
    ) -> Fingerprint {
        let fingerprint = self.fingerprint(token);
        let handed_out = Mutex::new(HandedOut { key, version, exchanged: false });
        let forget_at = AtomicU64::new(forget_at.as_millis());
        self.known.insert(fingerprint, Arc::new(Known { handed_out, forget_at }));
        fingerprint
    }

    /// The session lives longer, and so does what it has handed out.
    pub(super) fn keep_until(&self, fingerprint: &Fingerprint, forget_at: Timestamp) {
        if let Some(known) = self.known.get(fingerprint) {
            known.forget_at.store(forget_at.as_millis(), Ordering::Relaxed);
            self.known.insert(*fingerprint, known);
        }
    }

    pub(super) fn find(&self, token: &RefreshToken) -> Option<HandedOut> {
        let known = self.known.get(&self.fingerprint(token))?;
        Some(*known.handed_out.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Marks a token as exchanged; false when it was before.
    pub(super) fn take(&self, token: &RefreshToken) -> bool {
        self.known.get(&self.fingerprint(token)).is_some_and(|known| {
            let mut handed_out = known.handed_out.lock().unwrap_or_else(PoisonError::into_inner);
            !std::mem::replace(&mut handed_out.exchanged, true)
        })
    }

    pub(super) fn maintain(&self) {
        self.known.run_pending_tasks();
    }

    fn fingerprint(&self, token: &RefreshToken) -> Fingerprint {
        let mut mac = Hmac::<Sha256>::new_from_slice(self.secret.as_slice()).expect("HMAC takes a key of any length");
        mac.update(token.expose_secret().as_bytes());
        mac.finalize().into_bytes()[..16].try_into().expect("16 of 32 bytes")
    }
}
