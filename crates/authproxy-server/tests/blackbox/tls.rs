//! The program with a certificate: reached by curl over both protocols, and its start without a usable one.

use std::{fs, process::Command};

use crate::{certificate::Certificate, program::Program};

#[test]
fn with_a_certificate_it_serves_over_tls_and_says_so() {
    let files = Certificate::new("serves", "127.0.0.1");
    let set = [format!("tls.cert={}", files.cert()), format!("tls.key={}", files.key())];
    let (program, address) = Program::dev(&["--set", &set[0], "--set", &set[1]]);
    let banner = program.wait_for_output("Stop it");
    assert!(banner.contains(&format!("https://{address}/docs")), "{banner}");
    for (protocol, version) in [("--http2", "2"), ("--http1.1", "1.1")] {
        let output = Command::new("curl")
            .args(["-sS", "-m", "20", "-o", "/dev/null", "-w", "%{http_version} %{http_code}", protocol, "--cacert"])
            .args([files.cert(), &format!("https://{address}/session")])
            .output()
            .unwrap();
        assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("{version} 401"), "{:?}", output.stderr);
    }
    assert_eq!(program.stop().code, Some(0));
}

#[test]
fn healthcheck_asks_an_instance_with_a_certificate_over_tls() {
    let files = Certificate::new("healthcheck", "127.0.0.1");
    let set = [format!("tls.cert={}", files.cert()), format!("tls.key={}", files.key())];
    let (program, address) = Program::dev(&["--set", &set[0], "--set", &set[1]]);
    let listen = address.to_string();
    let asked = ["healthcheck", "--listen", &listen, "--set", &set[0], "--set", &set[1]];
    let healthy = Program::run(&asked, &[]);
    assert_eq!((healthy.code, healthy.stdout.as_str()), (Some(0), "healthy\n"), "{healthy:?}");
    // By its URL its certificate is checked, and nobody has signed this one.
    let url = format!("https://{address}");
    let ended = Program::run(&["healthcheck", "--url", &url], &[]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.contains("invalid peer certificate"), "{ended:?}");
    assert_eq!(program.stop().code, Some(0));
    let ended = Program::run(&asked, &[]);
    assert_eq!(ended.code, Some(1), "{ended:?}");
    assert!(ended.stderr.starts_with(&format!("unhealthy: {url} does not answer: ")), "{ended:?}");
}

#[test]
fn a_key_that_does_not_fit_is_one_line_and_an_exit_code() {
    let (ours, other) = (Certificate::new("ours", "127.0.0.1"), Certificate::new("other", "127.0.0.1"));
    let environment =
        [("AUTH_URL", "http://127.0.0.1:9"), ("AUTHPROXY_TLS__CERT", ours.cert()), ("AUTHPROXY_TLS__KEY", other.key())];
    let ended = Program::run(&["serve", "--listen", "127.0.0.1:0"], &environment);
    let told = "authproxy: `tls.key` does not belong to the first certificate of `tls.cert`\n";
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(1), told));
    let secret = fs::read_to_string(other.key()).unwrap().lines().nth(1).unwrap().to_owned();
    assert!(!format!("{ended:?}").contains(&secret));
}
