#![allow(clippy::unwrap_used)]

use std::fs;

use rcgen::generate_simple_self_signed;
use tokio::time::sleep;

use super::*;

#[tokio::test(start_paused = true)]
async fn a_new_certificate_is_in_use_soon_after_it_was_written() {
    let folder = std::env::temp_dir().join(format!("authproxy-tls-{}-watch", std::process::id()));
    fs::create_dir_all(&folder).unwrap();
    let (cert, key) = (folder.join("cert.pem"), folder.join("key.pem"));
    // The name's length makes files of different lengths: times alone may be too coarse for a test.
    let write = |name: &str| {
        let made = generate_simple_self_signed([name.to_owned()]).unwrap();
        fs::write(&key, made.signing_key.serialize_pem()).unwrap();
        fs::write(&cert, made.cert.pem()).unwrap();
        made.cert.der().to_vec()
    };
    let first = write("localhost");
    let config = TlsConfig { cert: Some(cert.clone()), key: Some(key.clone()) };
    let tls = Tls::load(&config).unwrap().unwrap();
    let shown = || tls.certificate.current().cert[0].to_vec();
    assert_eq!(shown(), first);
    let second = write("a.much.longer.name.than.the.first.one.example");
    tokio::select! {
        () = tls.watch() => panic!("it ended"),
        () = async { while shown() != second { sleep(Duration::from_secs(1)).await } } => {}
        () = sleep(2 * RELOAD_EVERY) => panic!("it was not read again"),
    }
    fs::remove_dir_all(&folder).unwrap();
}
