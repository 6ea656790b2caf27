//! TLS to Redis: rustls with the workspace's one provider, the system's authorities or an own one.

use std::sync::Arc;

use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject};

/// Certificates for a Redis with TLS. Without an own authority the system's are trusted.
#[derive(Clone, Default)]
#[must_use]
pub struct RedisTls {
    authorities: Vec<CertificateDer<'static>>,
    client: Option<ClientCertificate>,
}

#[derive(Clone)]
struct ClientCertificate {
    chain: Vec<CertificateDer<'static>>,
    key: Arc<PrivateKeyDer<'static>>,
}

/// The certificates cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidRedisTls {
    /// No certificate authority in the PEM text.
    #[error("the PEM text holds no usable certificate authority")]
    Authority,
    /// No certificate or no private key for this client, or one that is not the other's.
    #[error("the PEM texts hold no certificate of a client with its private key")]
    Client,
    /// No own authority was given, and this machine's could not be loaded.
    #[error("TLS needs the system's certificate authorities, and none could be loaded")]
    System,
    /// The URL asks for no TLS.
    #[error("certificates are of no use with this URL: TLS is spoken with rediss://")]
    NotAsked,
}

impl RedisTls {
    /// Trusts these authorities (PEM, one or more) and no others.
    ///
    /// # Errors
    ///
    /// [`InvalidRedisTls::Authority`].
    pub fn authority(mut self, pem: &str) -> Result<Self, InvalidRedisTls> {
        self.authorities = certificates(pem).ok_or(InvalidRedisTls::Authority)?;
        Ok(self)
    }

    /// Presents this certificate (PEM, its chain behind it) with its private key (PEM).
    ///
    /// # Errors
    ///
    /// [`InvalidRedisTls::Client`].
    pub fn client(mut self, certificate: &str, private_key: &str) -> Result<Self, InvalidRedisTls> {
        let chain = certificates(certificate).ok_or(InvalidRedisTls::Client)?;
        let key = PrivateKeyDer::from_pem_slice(private_key.as_bytes()).map_err(|_| InvalidRedisTls::Client)?;
        self.client = Some(ClientCertificate { chain, key: Arc::new(key) });
        Ok(self)
    }

    pub(super) fn config(&self) -> Result<Arc<ClientConfig>, InvalidRedisTls> {
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .expect("the provider has cipher suites for both versions of TLS")
            .with_root_certificates(self.roots()?);
        let config = match &self.client {
            None => builder.with_no_client_auth(),
            Some(client) => builder
                .with_client_auth_cert(client.chain.clone(), client.key.clone_key())
                .map_err(|_| InvalidRedisTls::Client)?,
        };
        Ok(Arc::new(config))
    }

    fn roots(&self) -> Result<RootCertStore, InvalidRedisTls> {
        let mut roots = RootCertStore::empty();
        if self.authorities.is_empty() {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            return if roots.is_empty() { Err(InvalidRedisTls::System) } else { Ok(roots) };
        }
        for authority in &self.authorities {
            roots.add(authority.clone()).map_err(|_| InvalidRedisTls::Authority)?;
        }
        Ok(roots)
    }
}

impl std::fmt::Debug for RedisTls {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RedisTls")
            .field("authorities", &self.authorities.len())
            .field("client", &self.client.is_some())
            .finish()
    }
}

fn certificates(pem: &str) -> Option<Vec<CertificateDer<'static>>> {
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(pem.as_bytes()).collect();
    certificates.ok().filter(|certificates| !certificates.is_empty())
}
