//! TLS in the server: who gets a connection, which protocol it speaks, and what the cookie then looks like.

use std::{process::Command, time::Duration};

use authproxy_server::config::Config;
use http::Version;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

use crate::{
    harness::{Ask, Connection, Proxy},
    secure::Certified,
};

const SHORT: Duration = Duration::from_millis(300);

/// The seed's usage, with the cookie carried by hand.
async fn log_in_and_use(proxy: &Proxy, client: &reqwest::Client, version: Version) {
    let url = |path: &str| format!("https://localhost:{}{path}", proxy.address.port());
    let form = "username=a%40example.com&password=password123";
    let login = client.post(url("/login")).header("content-type", "application/x-www-form-urlencoded").body(form);
    let answer = login.send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.version()), (200, version));
    assert_eq!(answer.headers()["strict-transport-security"], "max-age=31536000");
    let cookie = answer.headers()["set-cookie"].to_str().unwrap().to_owned();
    assert!(cookie.starts_with("__Host-session_id=") && cookie.contains("; Secure"), "{cookie}");
    let pair = cookie.split(';').next().unwrap();
    let answer = client.get(url("/protected-auto")).header("cookie", pair).send().await.unwrap();
    assert_eq!((answer.status().as_u16(), answer.version()), (200, version));
    let answer = client.post(url("/logout")).header("cookie", pair).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let answer = client.get(url("/protected-auto")).header("cookie", pair).send().await.unwrap();
    assert_eq!(answer.status(), 401);
}

#[tokio::test]
async fn a_session_works_over_both_protocols_and_its_cookie_is_secure() {
    let certified = Certified::new("both");
    let proxy = certified.proxy(|_| {}).await;
    log_in_and_use(&proxy, &certified.client(), Version::HTTP_2).await;
    let root = reqwest::Certificate::from_pem(certified.pem.as_bytes()).unwrap();
    let http1 = reqwest::Client::builder().tls_certs_only([root]).http1_only().build().unwrap();
    log_in_and_use(&proxy, &http1, Version::HTTP_11).await;
}

/// A browser's stand-in with a cookie jar of its own, which gives the cookie back over TLS only.
#[tokio::test(flavor = "multi_thread")]
async fn curl_keeps_the_session_over_both_protocols() {
    let certified = Certified::new("curl");
    let proxy = certified.proxy(|_| {}).await;
    let jar = certified.cert.with_extension("jar");
    let url = |path: &str| format!("https://localhost:{}{path}", proxy.address.port());
    let curl = |arguments: &[&str]| {
        let files = ["--cacert".as_ref(), certified.cert.as_os_str(), "-b".as_ref(), jar.as_os_str()];
        let mut curl = Command::new("curl");
        curl.args(["-sS", "-m", "20", "-o", "/dev/null", "-w", "%{http_version} %{http_code}", "-c"]);
        let output = curl.arg(&jar).args(files).args(arguments).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let credentials = ["-d", "username=a@example.com", "-d", "password=password123"];
    for (protocol, version) in [("--http2", "2"), ("--http1.1", "1.1")] {
        let target = url("/login");
        let login = [&[protocol], &credentials[..], &[&target]].concat();
        assert_eq!(curl(&login), format!("{version} 200"));
        assert_eq!(curl(&[protocol, &url("/protected-auto")]), format!("{version} 200"));
        assert_eq!(curl(&[protocol, "-I", &url("/docs")]), format!("{version} 200"));
        assert_eq!(curl(&[protocol, "-X", "POST", &url("/logout")]), format!("{version} 200"));
        assert_eq!(curl(&[protocol, &url("/protected-auto")]), format!("{version} 401"));
    }
    std::fs::remove_file(&jar).unwrap();
}

#[tokio::test]
async fn the_peer_chooses_the_protocol() {
    let certified = Certified::new("alpn");
    let proxy = certified.proxy(|_| {}).await;
    for (offered, chosen) in [
        (&["h2", "http/1.1"][..], Some("h2")),
        (&["http/1.1", "h2"], Some("h2")),
        (&["http/1.1"], Some("http/1.1")),
        (&[], None),
    ] {
        let stream = certified.connect(proxy.address, offered).await;
        assert_eq!(stream.get_ref().1.alpn_protocol(), chosen.map(str::as_bytes), "{offered:?}");
        if chosen != Some("h2") {
            let answer = Connection::over(stream).ask(&Ask::get("/session")).await;
            assert_eq!(answer.status, 401);
        }
    }
}

#[tokio::test]
async fn framing_is_as_strict_over_tls() {
    let certified = Certified::new("framing");
    let proxy = certified.proxy(|_| {}).await;
    let mut connection = Connection::over(certified.connect(proxy.address, &["http/1.1"]).await);
    connection.send("GET / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n").await;
    assert_eq!(connection.answer().await.status, 400);
    connection.assert_closed().await;
}

#[tokio::test]
async fn who_speaks_plain_http_is_told_that_the_port_does_not() {
    let certified = Certified::new("plain");
    let proxy = certified.proxy(|_| {}).await;
    let mut connection = proxy.connect().await;
    let answer = connection.ask(&Ask::get("/session")).await;
    assert_eq!((answer.status, answer.detail()), (400, "This port speaks TLS: use https".into()));
    connection.assert_closed().await;
    assert!(!proxy.service.received_anything());
}

#[tokio::test]
async fn bytes_that_are_no_handshake_end_their_connection_only() {
    let certified = Certified::new("junk");
    let proxy = certified.proxy(|_| {}).await;
    for junk in [&[22, 3, 1, 0, 5, 1, 0, 0, 1, 0][..], &[22; 64], &[22, 3, 1, 0xff, 0xff]] {
        let mut stream = TcpStream::connect(proxy.address).await.unwrap();
        stream.write_all(junk).await.unwrap();
        stream.shutdown().await.unwrap();
        let mut seen = Vec::new();
        let _ = stream.read_to_end(&mut seen).await;
        assert!(!seen.starts_with(b"HTTP"), "{seen:?}");
    }
    let mut connection = Connection::over(certified.connect(proxy.address, &["http/1.1"]).await);
    assert_eq!(connection.ask(&Ask::get("/session")).await.status, 401);
}

#[tokio::test]
async fn a_handshake_that_stalls_is_closed_in_time_and_holds_a_slot_until_then() {
    let certified = Certified::new("stall");
    let proxy = certified
        .proxy(|config| {
            config.limits.header_timeout = SHORT;
            config.limits.connections = 3;
        })
        .await;
    let mut served = Connection::over(certified.connect(proxy.address, &["http/1.1"]).await);
    assert_eq!(served.ask(&Ask::get("/session")).await.status, 401);
    let silent = proxy.connect().await;
    let mut dawdling = proxy.connect().await;
    dawdling.send([22, 3, 1]).await;
    let mut refused = Connection::over(certified.connect(proxy.address, &["http/1.1"]).await);
    let answer = refused.answer().await;
    assert_eq!((answer.status, answer.detail()), (503, "Too many connections".into()));
    assert_eq!(served.ask(&Ask::get("/session")).await.status, 401, "others are served meanwhile");
    silent.assert_closed().await;
    dawdling.assert_closed().await;
    let mut next = Connection::over(certified.connect(proxy.address, &["http/1.1"]).await);
    assert_eq!(next.ask(&Ask::get("/session")).await.status, 401);
}

#[tokio::test]
async fn over_http_2_too_a_peer_is_told_that_there_is_no_room() {
    let certified = Certified::new("room");
    let proxy = certified.proxy(|config| config.limits.connections = 1).await;
    let mut first = Connection::over(certified.connect(proxy.address, &["http/1.1"]).await);
    assert_eq!(first.ask(&Ask::get("/session")).await.status, 401);
    let mut second = certified.http2(proxy.address, 65_535).await;
    let request = http::Request::get("https://localhost/session").body(()).unwrap();
    let answer = second.ask(request).await.unwrap();
    assert_eq!(answer.status, 503);
    assert!(answer.headers.contains_key("retry-after"));
    second.ended.await.unwrap().unwrap();
}

#[tokio::test]
async fn the_public_origin_is_https_unless_it_is_configured() {
    let certified = Certified::new("origin");
    let proxy = certified.proxy(|_| {}).await;
    let login = |origin: String| Ask::login("a@example.com", "password123").header("origin", &origin);
    for (origin, status) in [("https", 200), ("http", 403)] {
        let mut connection = Connection::over(certified.connect(proxy.address, &["http/1.1"]).await);
        let answer = connection.ask(&login(format!("{origin}://{}", proxy.address))).await;
        assert_eq!(answer.status, status, "{origin}");
    }
    let proxy = certified.proxy(|config| config.public_url = Some("https://app.example".into())).await;
    let mut connection = Connection::over(certified.connect(proxy.address, &["http/1.1"]).await);
    assert_eq!(connection.ask(&login("https://app.example".into())).await.status, 200);
}

#[tokio::test]
async fn a_certificate_that_cannot_be_used_is_a_start_that_fails_in_one_line() {
    let (ours, other) = (Certified::new("ours"), Certified::new("other"));
    let none = ours.cert.with_extension("none");
    for (cert, key, word) in [
        (Some(&ours.cert), None, "belong together"),
        (None, Some(&ours.key), "belong together"),
        (Some(&none), Some(&ours.key), "`tls.cert` cannot be read"),
        (Some(&ours.cert), Some(&other.key), "`tls.key` does not belong"),
    ] {
        let mut config = Config::default();
        config.auth_url = Some("http://127.0.0.1:9".into());
        (config.tls.cert, config.tls.key) = (cert.cloned(), key.cloned());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let error = authproxy_server::run(listener, config, async {}).await.unwrap_err().to_string();
        assert!(error.contains(word) && !error.contains('\n'), "{error}");
    }
}
