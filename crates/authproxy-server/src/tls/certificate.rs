//! A certificate and its private key, as their files have them.

use std::{
    fmt, fs, io,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError, RwLock},
    time::SystemTime,
};

use rustls::{
    InconsistentKeys,
    crypto::CryptoProvider,
    pki_types::{
        CertificateDer, PrivateKeyDer,
        pem::{self, PemObject},
    },
    sign::CertifiedKey,
};
use zeroize::Zeroizing;

/// Why the certificate or its key cannot be used. Nothing of a file's contents is repeated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// One of `tls.cert` and `tls.key` is missing.
    #[error("`tls.cert` and `tls.key` belong together: set both or none")]
    HalfConfigured,
    /// A file cannot be read.
    #[error("`{key}` cannot be read from {}: {error}", path.display())]
    Unreadable {
        /// The configuration key.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// A file has nothing of what it should have.
    #[error("`{key}`: {} has no {wanted} in PEM", path.display())]
    Missing {
        /// The configuration key.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// What should be there.
        wanted: &'static str,
    },
    /// The key is not the certificate's.
    #[error("`tls.key` does not belong to the first certificate of `tls.cert`")]
    Mismatch,
    /// TLS can do nothing with the certificate or its key.
    #[error("`tls.cert` and `tls.key` cannot be used: {0}")]
    Unusable(#[source] rustls::Error),
}

/// The certificate in use, and how its files were when it was read.
pub(super) struct Certificate {
    cert: PathBuf,
    key: PathBuf,
    provider: Arc<CryptoProvider>,
    current: RwLock<Arc<CertifiedKey>>,
    seen: Mutex<Stamp>,
}

/// When both files were written, and their lengths.
type Stamp = [Option<(SystemTime, u64)>; 2];

impl Certificate {
    /// Reads both files.
    pub(super) fn load(cert: &Path, key: &Path, provider: Arc<CryptoProvider>) -> Result<Self, TlsError> {
        let seen = Mutex::new(stamp(cert, key));
        let current = RwLock::new(Arc::new(read(cert, key, &provider)?));
        Ok(Self { cert: cert.to_owned(), key: key.to_owned(), provider, current, seen })
    }

    /// The certificate that new connections get.
    pub(super) fn current(&self) -> Arc<CertifiedKey> {
        self.current.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Reads the files again when they have changed; true when there is a new certificate.
    ///
    /// # Errors
    ///
    /// [`TlsError`]; the old one stays in use. Files that were read once are not read again before they change: who
    /// writes one after the other causes at most one error on the way.
    pub(super) fn reload(&self) -> Result<bool, TlsError> {
        let now = stamp(&self.cert, &self.key);
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if *seen == now {
            return Ok(false);
        }
        *seen = now;
        drop(seen);
        let certificate = Arc::new(read(&self.cert, &self.key, &self.provider)?);
        *self.current.write().unwrap_or_else(PoisonError::into_inner) = certificate;
        Ok(true)
    }
}

impl fmt::Debug for Certificate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Certificate").field("cert", &self.cert).field("key", &self.key).finish_non_exhaustive()
    }
}

fn stamp(cert: &Path, key: &Path) -> Stamp {
    [cert, key].map(|path| fs::metadata(path).ok().and_then(|file| Some((file.modified().ok()?, file.len()))))
}

fn read(cert: &Path, key: &Path, provider: &CryptoProvider) -> Result<CertifiedKey, TlsError> {
    const CERT: &str = "tls.cert";
    const KEY: &str = "tls.key";
    let pem = contents(CERT, cert)?;
    let chain: Result<Vec<_>, pem::Error> = CertificateDer::pem_slice_iter(&pem).collect();
    let chain = chain.ok().filter(|chain| !chain.is_empty()).ok_or(missing(CERT, cert, "certificate"))?;
    let pem = contents(KEY, key)?;
    let private = PrivateKeyDer::from_pem_slice(&pem).map_err(|_| missing(KEY, key, "unencrypted private key"))?;
    CertifiedKey::from_der(chain, private, provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => TlsError::Mismatch,
        error => TlsError::Unusable(error),
    })
}

fn contents(key: &'static str, path: &Path) -> Result<Zeroizing<Vec<u8>>, TlsError> {
    fs::read(path).map(Zeroizing::new).map_err(|error| TlsError::Unreadable { key, path: path.to_owned(), error })
}

fn missing(key: &'static str, path: &Path, wanted: &'static str) -> TlsError {
    TlsError::Missing { key, path: path.to_owned(), wanted }
}

#[cfg(test)]
mod tests;
