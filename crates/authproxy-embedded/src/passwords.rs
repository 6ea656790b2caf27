//! Accounts and their argon2id passwords. Hashing runs beside the runtime, a few at a time, and never queues for long.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use argon2::{
    Argon2, Params,
    password_hash::{PasswordHasher, PasswordVerifier, phc::PasswordHash},
};
use tokio::sync::Semaphore;
use zeroize::Zeroizing;

/// Why an account was not created or a password not checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denied {
    /// The address has an account.
    Taken,
    /// There are as many accounts as there may be.
    Full,
    /// Too many passwords are being checked.
    Busy,
}

pub(crate) struct Passwords {
    argon2: Argon2<'static>,
    hashes: Mutex<HashMap<String, Arc<str>>>,
    /// Checked where the account is unknown, so that it takes as long as a known one.
    nobody: Arc<str>,
    hashing: Arc<Semaphore>,
    waiting: Arc<Semaphore>,
    capacity: usize,
}

impl Passwords {
    pub(crate) fn new(cost: Params, capacity: usize) -> Self {
        let argon2 = Argon2::new(argon2::Algorithm::Argon2id, argon2::Version::V0x13, cost);
        let nobody = hash(&argon2, "the password of nobody");
        Self {
            argon2,
            hashes: Mutex::default(),
            nobody,
            hashing: Arc::new(Semaphore::new(2)),
            waiting: Arc::new(Semaphore::new(64)),
            capacity,
        }
    }

    /// Creates an account.
    pub(crate) async fn register(&self, account: &str, password: Zeroizing<String>) -> Result<(), Denied> {
        let account = canonical(account);
        self.room_for(&self.lock(), &account)?;
        let argon2 = self.argon2.clone();
        let hash = self.beside(move || hash(&argon2, &password)).await?;
        let mut hashes = self.lock(); // of two who come at once, the second finds the first
        self.room_for(&hashes, &account)?;
        hashes.insert(account, hash);
        Ok(())
    }

    /// Whether the account exists and this is its password.
    pub(crate) async fn verify(&self, account: &str, password: Zeroizing<String>) -> Result<bool, Denied> {
        let known = self.lock().get(&canonical(account)).cloned();
        let exists = known.is_some();
        let (argon2, hash) = (self.argon2.clone(), known.unwrap_or_else(|| self.nobody.clone()));
        let right = self.beside(move || verify(&argon2, &hash, &password)).await?;
        Ok(right && exists)
    }

    fn room_for(&self, hashes: &HashMap<String, Arc<str>>, account: &str) -> Result<(), Denied> {
        if hashes.contains_key(account) {
            return Err(Denied::Taken);
        }
        if hashes.len() >= self.capacity {
            return Err(Denied::Full);
        }
        Ok(())
    }

    async fn beside<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Result<T, Denied> {
        let _waiting = self.waiting.clone().try_acquire_owned().map_err(|_| Denied::Busy)?;
        let permit = self.hashing.clone().acquire_owned().await.map_err(|_| Denied::Busy)?;
        let work = move || {
            let _permit = permit; // until the work is done, also when nobody waits for it any more
            work()
        };
        tokio::task::spawn_blocking(work).await.map_err(|_| Denied::Busy)
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<str>>> {
        self.hashes.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Addresses that differ in case or surrounding space name one account.
fn canonical(account: &str) -> String {
    account.trim().to_lowercase()
}

fn hash(argon2: &Argon2<'_>, password: &str) -> Arc<str> {
    let hash = argon2.hash_password(password.as_bytes()).expect("argon2 hashes any password within our bounds");
    hash.to_string().into()
}

fn verify(argon2: &Argon2<'_>, hash: &str, password: &str) -> bool {
    let hash = PasswordHash::new(hash).expect("made by us");
    argon2.verify_password(password.as_bytes(), &hash).is_ok()
}
