//! A certificate of a test's own.

use std::{fs, path::PathBuf};

use rcgen::generate_simple_self_signed;

/// A certificate and its key in files that go with it.
pub(crate) struct Certificate {
    cert: PathBuf,
    key: PathBuf,
}

impl Certificate {
    pub(crate) fn new(name: &str, host: &str) -> Self {
        let made = generate_simple_self_signed([host.to_owned()]).unwrap();
        let file = |end| std::env::temp_dir().join(format!("authproxy-blackbox-{}-{name}.{end}", std::process::id()));
        let files = Self { cert: file("cert.pem"), key: file("key.pem") };
        fs::write(&files.cert, made.cert.pem()).unwrap();
        fs::write(&files.key, made.signing_key.serialize_pem()).unwrap();
        files
    }

    pub(crate) fn cert(&self) -> &str {
        self.cert.to_str().unwrap()
    }

    pub(crate) fn key(&self) -> &str {
        self.key.to_str().unwrap()
    }
}

impl Drop for Certificate {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.cert);
        let _ = fs::remove_file(&self.key);
    }
}
