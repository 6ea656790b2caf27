//! Certificates for a Redis server and its clients.

use std::{fs, path::PathBuf};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use super::directory::Directory;

/// Where the certificates of a server with TLS lie, all PEM. Issued for `localhost` and `127.0.0.1`.
#[derive(Clone, Debug)]
pub struct RedisTlsFiles {
    /// The authority that has signed both certificates; no other program knows it.
    pub ca: PathBuf,
    /// The server's certificate.
    pub certificate: PathBuf,
    /// The server's key.
    pub key: PathBuf,
    /// A client's certificate; the server asks for one.
    pub client_certificate: PathBuf,
    /// The client's key.
    pub client_key: PathBuf,
}

impl RedisTlsFiles {
    /// Issues everything anew.
    pub(super) fn issue(directory: &Directory) -> Self {
        let key = || KeyPair::generate().expect("the operating system gives randomness");
        let mut authority = CertificateParams::default();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        // OpenSSL takes a certificate whose issuer has its own name for one that has signed itself.
        authority.distinguished_name.push(DnType::CommonName, "the authority of a test");
        let authority = CertifiedIssuer::self_signed(authority, key()).expect("the parameters are good");
        let sign = |key: &KeyPair| {
            let names = CertificateParams::new(["localhost".to_owned(), "127.0.0.1".to_owned()]);
            names.and_then(|names| names.signed_by(key, &authority)).expect("the names are good").pem()
        };
        let (server, client) = (key(), key());
        Self {
            ca: directory.write("ca.pem", &authority.pem()),
            certificate: directory.write("server.pem", &sign(&server)),
            key: directory.write("server.key", &server.serialize_pem()),
            client_certificate: directory.write("client.pem", &sign(&client)),
            client_key: directory.write("client.key", &client.serialize_pem()),
        }
    }

    /// The text of one of the files.
    pub fn read(path: &PathBuf) -> String {
        fs::read_to_string(path).expect("the server is still there")
    }
}
