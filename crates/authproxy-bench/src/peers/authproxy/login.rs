//! Logging in as many users, one after the other, over one connection.

use std::{
    io::{self, Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

const PATIENCE: Duration = Duration::from_secs(60);

/// Logs in users 0, 1, 2, …; the cookie of each, as a request carries it.
pub(super) fn log_in(address: SocketAddr, users: u32) -> io::Result<Vec<String>> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    (0..users).map(|user| log_in_one(&mut stream, user)).collect()
}

fn log_in_one(stream: &mut TcpStream, user: u32) -> io::Result<String> {
    let form = format!("username={user:07}&password=password123");
    let request = format!(
        "POST /login HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\n\r\n{form}",
        form.len()
    );
    stream.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    let mut part = [0; 4096];
    loop {
        match stream.read(&mut part)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            arrived => answer.extend_from_slice(&part[..arrived]),
        }
        if let Some(cookie) = cookie(&answer)? {
            return Ok(cookie);
        }
    }
}

/// The cookie that a whole answer sets; `None` while it is not whole.
fn cookie(answer: &[u8]) -> io::Result<Option<String>> {
    let mut fields = [httparse::EMPTY_HEADER; 64];
    let mut head = httparse::Response::new(&mut fields);
    let httparse::Status::Complete(begin) = head.parse(answer).map_err(io::Error::other)? else { return Ok(None) };
    let field = |name: &str| {
        let field = head.headers.iter().find(|field| field.name.eq_ignore_ascii_case(name))?;
        std::str::from_utf8(field.value).ok()
    };
    let length: usize = field("content-length").and_then(|text| text.parse().ok()).unwrap_or_default();
    if answer.len() < begin + length {
        return Ok(None);
    }
    match (head.code, field("set-cookie").and_then(|cookie| cookie.split(';').next())) {
        (Some(200), Some(cookie)) => Ok(Some(cookie.to_owned())),
        (status, _) => Err(io::Error::other(format!("no login: status {}", status.unwrap_or_default()))),
    }
}
