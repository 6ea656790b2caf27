//! The files that a configuration names: whether they can be used, before anybody is served.

use crate::{
    config::Config,
    forward::{self, TrustError},
    store::{Store, StoreError},
    tls::{Tls, TlsError},
};

/// A file that the configuration names cannot be used. `Display` names its key; nothing of its contents is repeated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum FileError {
    /// `tls.*`
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// `store.tls.*`
    #[error(transparent)]
    Store(#[from] StoreError),
    /// `upstream_ca` of a route, or the system's authorities in its place.
    #[error(transparent)]
    Trust(#[from] TrustError),
}

/// Loads certificates, keys and authorities as [`run`](crate::run()) will, and keeps nothing.
///
/// # Errors
///
/// All that are wrong, at least one: at most one of `tls.*`, one of `store.tls.*`, and one of each route.
pub fn check_files(config: &Config) -> Result<(), Vec<FileError>> {
    let mut errors = Vec::new();
    errors.extend(Tls::load(&config.tls).err().map(FileError::from));
    errors.extend(Store::check(config).err().map(FileError::from));
    errors.extend(forward::check_trust(&config.route).map(FileError::from));
    if errors.is_empty() { Ok(()) } else { Err(errors) }
}
