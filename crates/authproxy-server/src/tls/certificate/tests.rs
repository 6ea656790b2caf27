#![allow(clippy::unwrap_used)]

use rcgen::{CertifiedKey as Generated, KeyPair, generate_simple_self_signed};
use rustls::crypto::aws_lc_rs;

use super::*;

/// A folder for one test, gone after it.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("authproxy-tls-{}-{name}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    fn write(&self, name: &str, contents: impl AsRef<[u8]>) -> PathBuf {
        let path = self.0.join(name);
        fs::write(&path, contents).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn generate() -> Generated<KeyPair> {
    generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap()
}

fn load(cert: &Path, key: &Path) -> Result<Certificate, TlsError> {
    Certificate::load(cert, key, Arc::new(aws_lc_rs::default_provider()))
}

#[test]
fn what_cannot_be_used_is_named_and_nothing_of_it_is_repeated() {
    let folder = Folder::new("mistakes");
    let (ours, other) = (generate(), generate());
    let cert = folder.write("cert.pem", ours.cert.pem());
    let key = folder.write("key.pem", ours.signing_key.serialize_pem());
    load(&cert, &key).unwrap();

    let secret = ours.signing_key.serialize_pem().lines().nth(1).unwrap()[..40].to_owned();
    let empty = folder.write("empty.pem", "");
    let binary = folder.write("binary.pem", [0xff, 0, 0x80]);
    let broken =
        folder.write("broken.pem", format!("-----BEGIN PRIVATE KEY-----\n{secret}\n-----END PRIVATE KEY-----\n"));
    let locked = folder.write("locked.pem", ours.signing_key.serialize_pem().replace("PRIVATE", "ENCRYPTED PRIVATE"));
    let not_der = folder.write("not_der.pem", "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n");
    let others = folder.write("others.pem", other.signing_key.serialize_pem());
    let none = folder.0.join("none.pem");
    for (cert, key, says) in [
        (&none, &key, "`tls.cert` cannot be read from "),
        (&cert, &none, "`tls.key` cannot be read from "),
        (&cert, &folder.0, "`tls.key` cannot be read from "),
        (&empty, &key, "has no certificate in PEM"),
        (&binary, &key, "has no certificate in PEM"),
        (&key, &key, "has no certificate in PEM"),
        (&cert, &empty, "has no unencrypted private key in PEM"),
        (&cert, &cert, "has no unencrypted private key in PEM"),
        (&cert, &locked, "has no unencrypted private key in PEM"),
        (&cert, &broken, "cannot be used: "),
        (&not_der, &key, "cannot be used: "),
        (&cert, &others, "`tls.key` does not belong to the first certificate"),
    ] {
        let error = load(cert, key).err().unwrap();
        let (text, debug) = (error.to_string(), format!("{error:?}"));
        assert!(text.contains(says) && !text.contains('\n'), "{text}");
        assert!(!text.contains(&secret) && !debug.contains(&secret), "{debug}");
    }
}

#[test]
fn a_certificate_is_read_again_when_its_files_change() {
    let folder = Folder::new("reload");
    let (first, second) = (generate(), generate());
    let cert = folder.write("cert.pem", first.cert.pem());
    let key = folder.write("key.pem", first.signing_key.serialize_pem());
    let certificate = load(&cert, &key).unwrap();
    let shown = || certificate.current().cert[0].as_ref().to_vec();
    assert!(!certificate.reload().unwrap(), "nothing has changed");

    // Long after: a file system's times may be coarse.
    let later = |path: &Path, seconds| {
        let file = fs::File::options().append(true).open(path).unwrap();
        let modified = file.metadata().unwrap().modified().unwrap();
        file.set_modified(modified + std::time::Duration::from_secs(seconds)).unwrap();
    };
    folder.write("cert.pem", second.cert.pem());
    later(&cert, 60);
    assert!(matches!(certificate.reload(), Err(TlsError::Mismatch)), "the key is still the old one");
    assert_eq!(shown(), first.cert.der().as_ref());
    assert!(!certificate.reload().unwrap(), "a mistake is told once");

    folder.write("key.pem", second.signing_key.serialize_pem());
    later(&key, 60);
    assert!(certificate.reload().unwrap());
    assert_eq!(shown(), second.cert.der().as_ref());

    fs::remove_file(&key).unwrap();
    assert!(matches!(certificate.reload(), Err(TlsError::Unreadable { key: "tls.key", .. })));
    assert_eq!(shown(), second.cert.der().as_ref());
}
