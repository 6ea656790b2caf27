//! One HTTP request on one connection, byte by byte.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
    time::Duration,
};

use serde_json::Value;

use crate::program::PATIENCE;

/// A request that is being written.
#[derive(Clone, Debug)]
pub(crate) struct Ask {
    method: &'static str,
    path: &'static str,
    headers: Vec<(String, String)>,
    body: Option<Vec<u8>>,
}

/// What came back, whole.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Ask {
    pub(crate) fn new(method: &'static str, path: &'static str) -> Self {
        Self { method, path, headers: Vec::new(), body: None }
    }

    pub(crate) fn get(path: &'static str) -> Self {
        Self::new("GET", path)
    }

    pub(crate) fn post(path: &'static str) -> Self {
        Self::new("POST", path).body("")
    }

    pub(crate) fn json(path: &'static str, body: impl Into<Vec<u8>>) -> Self {
        Self::post(path).header("content-type", "application/json").body(body)
    }

    pub(crate) fn register(email: &str, password: &str) -> Self {
        Self::json("/register", serde_json::json!({ "email": email, "password": password }).to_string())
    }

    pub(crate) fn login(username: &str, password: &str) -> Self {
        let form = format!("username={username}&password={password}");
        Self::post("/login").header("content-type", "application/x-www-form-urlencoded").body(form)
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn cookie(self, pair: &str) -> Self {
        self.header("cookie", pair)
    }

    pub(crate) fn bearer(self, token: &str) -> Self {
        self.header("authorization", &format!("Bearer {token}"))
    }

    pub(crate) fn body(mut self, body: impl Into<Vec<u8>>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Sends the request on a connection of its own and reads the answer.
    pub(crate) fn send(&self, address: SocketAddr) -> Answer {
        self.send_and_wait(address, PATIENCE)
    }

    /// The same, for an answer that takes long.
    pub(crate) fn send_and_wait(&self, address: SocketAddr, patience: Duration) -> Answer {
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE).unwrap();
        stream.set_read_timeout(Some(patience)).unwrap();
        stream.set_write_timeout(Some(PATIENCE)).unwrap();
        let mut bytes =
            format!("{} {} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n", self.method, self.path).into_bytes();
        for (name, value) in &self.headers {
            write!(bytes, "{name}: {value}\r\n").unwrap();
        }
        if let Some(body) = &self.body {
            write!(bytes, "content-length: {}\r\n\r\n", body.len()).unwrap();
            bytes.extend_from_slice(body);
        } else {
            bytes.extend_from_slice(b"\r\n");
        }
        // A server that has heard enough may answer and close before the last byte; its answer counts.
        let _ = stream.write_all(&bytes);
        Answer::read(&mut stream, self.method == "HEAD")
    }
}

impl Answer {
    fn read(stream: &mut TcpStream, head_only: bool) -> Self {
        let mut bytes = Vec::new();
        let mut chunk = [0; 4096];
        loop {
            let text = String::from_utf8_lossy(&bytes).into_owned();
            if let Some((head, _)) = text.split_once("\r\n\r\n") {
                let mut answer = Self::parse_head(head);
                let length: usize = answer.header("content-length").map_or(0, |length| length.parse().unwrap());
                let body = bytes.iter().skip(head.len() + 4);
                if head_only || body.len() >= length {
                    answer.body = String::from_utf8(body.copied().collect()).unwrap();
                    return answer;
                }
            }
            let count = stream.read(&mut chunk).unwrap_or_else(|error| panic!("no whole answer: {error}; {text:?}"));
            assert!(count > 0, "closed before the answer was whole: {text:?}");
            bytes.extend_from_slice(&chunk[..count]);
        }
    }

    fn parse_head(head: &str) -> Self {
        let mut lines = head.split("\r\n");
        let status = lines.next().unwrap().strip_prefix("HTTP/1.1 ").unwrap()[..3].parse().unwrap();
        let split = |line: &str| {
            let (name, value) = line.split_once(": ").unwrap();
            (name.to_lowercase(), value.to_owned())
        };
        Self { status, headers: lines.map(split).collect(), body: String::new() }
    }

    /// The one value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let mut values = self.headers.iter().filter(|(named, _)| named == name).map(|(_, value)| value.as_str());
        let first = values.next();
        assert_eq!(values.next(), None, "{name} came twice");
        first
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {:?}", self.body))
    }

    pub(crate) fn detail(&self) -> Value {
        self.json()["detail"].clone()
    }

    /// A field of the body that is text.
    pub(crate) fn text(&self, field: &str) -> String {
        self.json()[field].as_str().unwrap_or_else(|| panic!("no {field} in {}", self.body)).to_owned()
    }

    /// `name=value` of the cookie that was set.
    pub(crate) fn cookie_pair(&self) -> String {
        let set = self.header("set-cookie").expect("a cookie was set");
        set.split(';').next().unwrap().to_owned()
    }
}

/// Registers `user@example.com` and logs in: the answer to the login.
pub(crate) fn log_in(address: SocketAddr) -> Answer {
    let registered = Ask::register("user@example.com", "password123").send(address);
    assert!(matches!(registered.status, 200 | 201 | 400 | 409), "{registered:?}");
    let answer = Ask::login("user@example.com", "password123").send(address);
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer
}
