//! `authproxy healthcheck`: asks a running instance, with nothing but a socket.

use std::{
    io::{self, Read as _, Write},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream, ToSocketAddrs as _},
    time::Duration,
};

use authproxy_core::clock::{Clock as _, SystemClock, Timestamp};

use super::Exit;
use crate::config::origin::Origin;

/// A status line that is longer than this is none.
const STATUS_LINE_BYTES: u64 = 256;

/// Which instance to ask, and how long to wait.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Healthcheck {
    host: String,
    port: u16,
    /// For the whole check. Default 3 seconds.
    pub timeout: Duration,
}

impl Healthcheck {
    /// An instance by its origin, such as `http://127.0.0.1:8000`.
    ///
    /// # Errors
    ///
    /// What is wrong with `url`, as the end of a sentence that begins with it.
    pub fn of_url(url: &str) -> Result<Self, &'static str> {
        let origin = Origin::parse(url)?;
        if origin.is_https() {
            return Err("is https; ask the instance itself, by http://");
        }
        Ok(Self::new(origin.host(), origin.port()))
    }

    /// An instance by the address it listens on; one that listens everywhere is asked on loopback.
    ///
    /// # Errors
    ///
    /// Why that is impossible, as the end of a sentence.
    pub fn of_listener(listen: SocketAddr) -> Result<Self, &'static str> {
        if listen.port() == 0 {
            return Err("has port 0, which stands for any port; say which instance with --url");
        }
        let ip = match listen.ip() {
            IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
            IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
            ip => ip,
        };
        let host = SocketAddr::new(ip, 0).to_string();
        Ok(Self::new(host.strip_suffix(":0").unwrap_or(&host).to_owned(), listen.port()))
    }

    fn new(host: String, port: u16) -> Self {
        Self { host, port, timeout: Duration::from_secs(3) }
    }
}

/// Asks `GET /session` without a cookie. An instance that works answers 401; 200 would do as well.
///
/// Blocks for at most the timeout, and for as long as the system takes to look up a host that is a name.
pub fn healthcheck(check: &Healthcheck, out: &mut impl Write, err: &mut impl Write) -> Exit {
    let authority = format!("{}:{}", check.host, check.port);
    let written = match ask(check, &authority) {
        Ok(200 | 401) => return if writeln!(out, "healthy").is_ok() { Exit::Success } else { Exit::Failure },
        Ok(status) => writeln!(err, "unhealthy: http://{authority} answered GET /session with {status}"),
        Err(error) => writeln!(err, "unhealthy: http://{authority} does not answer: {error}"),
    };
    // The exit code says it, whether or not anybody reads the line.
    drop(written);
    Exit::Failure
}

fn ask(check: &Healthcheck, authority: &str) -> io::Result<u16> {
    let clock = SystemClock::new();
    let deadline = clock.now().plus(check.timeout);
    let mut stream = connect(check, &clock, deadline)?;
    stream.set_write_timeout(Some(left(&clock, deadline)?))?;
    let request = format!(
        "GET /session HTTP/1.1\r\nHost: {authority}\r\nUser-Agent: authproxy-healthcheck\r\nAccept: \
         application/json\r\nConnection: close\r\n\r\n"
    );
    stream.write_all(request.as_bytes())?;
    let mut line = Vec::new();
    let mut byte = [0];
    while !line.ends_with(b"\r\n") {
        stream.set_read_timeout(Some(left(&clock, deadline)?))?;
        if line.len() as u64 == STATUS_LINE_BYTES || stream.read(&mut byte).map_err(timed_out)? == 0 {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "not an HTTP answer"));
        }
        line.extend_from_slice(&byte);
    }
    status(&line).ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "not an HTTP answer"))
}

fn connect(check: &Healthcheck, clock: &SystemClock, deadline: Timestamp) -> io::Result<TcpStream> {
    let mut last = io::Error::new(io::ErrorKind::NotFound, "the host has no address");
    for address in (check.host.trim_matches(['[', ']']), check.port).to_socket_addrs()? {
        match TcpStream::connect_timeout(&address, left(clock, deadline)?) {
            Ok(stream) => return Ok(stream),
            Err(error) => last = timed_out(error),
        }
    }
    Err(last)
}

fn left(clock: &SystemClock, deadline: Timestamp) -> io::Result<Duration> {
    match deadline.since(clock.now()) {
        Duration::ZERO => Err(io::ErrorKind::TimedOut.into()),
        left => Ok(left),
    }
}

/// A socket's timeout is "would block" on Unix; say what it means.
fn timed_out(error: io::Error) -> io::Error {
    if error.kind() == io::ErrorKind::WouldBlock { io::ErrorKind::TimedOut.into() } else { error }
}

fn status(line: &[u8]) -> Option<u16> {
    let rest = line.strip_prefix(b"HTTP/1.")?;
    match rest {
        [b'0' | b'1', b' ', code @ ..] => str::from_utf8(code.get(..3)?).ok()?.parse().ok(),
        _ => None,
    }
}
