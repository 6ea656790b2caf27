//! `authproxy healthcheck`: asks a running instance, with nothing but a socket.

mod bounded;
mod secure;

use std::{
    io::{self, Read, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr},
    time::Duration,
};

use self::{bounded::Bounded, secure::Trust};
use super::Exit;
use crate::config::{Config, origin::Origin};

/// A status line that is longer than this is none.
const STATUS_LINE_BYTES: u64 = 256;

/// Which instance to ask, and how long to wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Healthcheck {
    host: String,
    port: u16,
    /// Over TLS, and whose certificate will do.
    tls: Option<Trust>,
    /// For the whole check. Default 3 seconds.
    pub timeout: Duration,
}

impl Healthcheck {
    /// An instance by its origin, such as `http://127.0.0.1:8000`. The certificate of an https one is checked.
    ///
    /// # Errors
    ///
    /// What is wrong with `url`, as the end of a sentence that begins with it.
    pub fn of_url(url: &str) -> Result<Self, &'static str> {
        let origin = Origin::parse(url)?;
        let tls = origin.is_https().then_some(Trust::SystemRoots);
        Ok(Self { host: origin.host(), port: origin.port(), tls, timeout: PATIENCE })
    }

    /// The instance that has this configuration: by the address it listens on, and on loopback where that is everywhere.
    ///
    /// With `tls.cert` it is asked over TLS, and its certificate is not checked: it is made for the name that browsers
    /// use, and nothing secret is said.
    ///
    /// # Errors
    ///
    /// Why that is impossible, as the end of a sentence.
    pub fn of_instance(config: &Config) -> Result<Self, &'static str> {
        let listen = config.listen;
        if listen.port() == 0 {
            return Err("has port 0, which stands for any port; say which instance with --url");
        }
        let ip = match listen.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        let host = SocketAddr::new(ip, 0).to_string();
        let host = host.strip_suffix(":0").unwrap_or(&host).to_owned();
        let tls = config.tls.cert.is_some().then_some(Trust::Anyone);
        Ok(Self { host, port: listen.port(), tls, timeout: PATIENCE })
    }
}

const PATIENCE: Duration = Duration::from_secs(3);

/// Asks `GET /session` without a cookie. An instance that works answers 401; 200 would do as well.
///
/// Blocks for at most the timeout, and for as long as the system takes to look up a host that is a name.
pub fn healthcheck(check: &Healthcheck, out: &mut impl Write, err: &mut impl Write) -> Exit {
    let authority = format!("{}:{}", check.host, check.port);
    let scheme = if check.tls.is_some() { "https" } else { "http" };
    let written = match ask(check, &authority) {
        Ok(200 | 401) => return if writeln!(out, "healthy").is_ok() { Exit::Success } else { Exit::Failure },
        Ok(status) => writeln!(err, "unhealthy: {scheme}://{authority} answered GET /session with {status}"),
        Err(error) => writeln!(err, "unhealthy: {scheme}://{authority} does not answer: {error}"),
    };
    // The exit code says it, whether or not anybody reads the line.
    drop(written);
    Exit::Failure
}

fn ask(check: &Healthcheck, authority: &str) -> io::Result<u16> {
    let host = check.host.trim_matches(['[', ']']);
    let stream = Bounded::connect(host, check.port, check.timeout)?;
    match check.tls {
        None => exchange(stream, authority),
        Some(trust) => exchange(secure::wrap(stream, host, trust)?, authority),
    }
}

fn exchange(mut stream: impl Read + Write, authority: &str) -> io::Result<u16> {
    let request = format!(
        "GET /session HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: authproxy-healthcheck\r\nAccept: \
         application/json\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let mut line = Vec::new();
    let mut byte = [0];
    while !line.ends_with(b"\r\n") {
        if line.len() as u64 == STATUS_LINE_BYTES || stream.read(&mut byte)? == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not an HTTP answer"));
        }
        line.extend_from_slice(&byte);
    }
    status(&line).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not an HTTP answer"))
}

fn status(line: &[u8]) -> Option<u16> {
    let rest = line.strip_prefix(b"HTTP/1.")?;
    match rest {
        [b'0' | b'1', b' ', code @ ..] => str::from_utf8(code.get(..3)?).ok()?.parse().ok(),
        _ => None,
    }
}
