//! An auth service of a few bytes that does as it is told: it works, or fails in one of the ways that services fail.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Condvar, Mutex, MutexGuard,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use authproxy_testing::Port;

use crate::program::PATIENCE;

/// Stands in every token that the service issues and in every failing answer: none of it may leak.
pub(crate) const CANARY: &str = "cAnArY-b1ackb0x";

/// What the service does with a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// Speaks the seed's contract; access tokens live a second, refresh tokens a minute.
    Works,
    /// Accepts, reads, and says nothing while the mood lasts.
    Silent,
    /// Resets the connection.
    Resets,
    /// Closes without an answer.
    HangsUp,
    /// Closes in the middle of an answer.
    BreaksOff,
    /// 500 with a stack trace.
    Fails,
    /// 503 with `Retry-After: 2`.
    Overloaded,
    /// 200 with a web page.
    Html,
    /// 200 with JSON that is no answer to anything.
    Nonsense,
    /// 200, then bytes without end.
    EndlessBody,
    /// Header lines without end.
    EndlessHead,
    /// 307 to somewhere else.
    Redirects,
    /// Speaks something that is not HTTP.
    SpeaksSsh,
}

/// The service; it ends with this handle.
pub(crate) struct AuthService {
    address: SocketAddr,
    shared: Arc<Shared>,
    accepting: Option<JoinHandle<()>>,
}

struct Shared {
    mood: Mutex<Mood>,
    changed: Condvar,
    requests: AtomicUsize,
    presentations: AtomicUsize,
    issued: AtomicUsize,
    down: AtomicBool,
}

impl AuthService {
    /// Starts on a free port, in this mood.
    pub(crate) fn start(mood: Mood) -> Self {
        let shared = Arc::new(Shared {
            mood: Mutex::new(mood),
            changed: Condvar::new(),
            requests: AtomicUsize::new(0),
            presentations: AtomicUsize::new(0),
            issued: AtomicUsize::new(0),
            down: AtomicBool::new(false),
        });
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let accepting = Some(accept(listener, shared.clone()));
        Self { address, shared, accepting }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Changes the mood; silent requests are answered in the new one.
    pub(crate) fn set(&self, mood: Mood) {
        *self.shared.mood() = mood;
        self.shared.changed.notify_all();
    }

    /// Closes the port.
    pub(crate) fn go_down(&mut self) {
        if let Some(accepting) = self.accepting.take() {
            self.shared.down.store(true, Ordering::SeqCst);
            let _ = TcpStream::connect(self.address); // wakes the accepting thread
            accepting.join().unwrap();
        }
    }

    /// Opens the same port again.
    pub(crate) fn come_up(&mut self) {
        self.shared.down.store(false, Ordering::SeqCst);
        self.accepting = Some(accept(TcpListener::bind(self.address).unwrap(), self.shared.clone()));
    }

    /// How many requests have arrived.
    pub(crate) fn requests(&self) -> usize {
        self.shared.requests.load(Ordering::SeqCst)
    }

    /// How many of them were refreshes and could be read.
    pub(crate) fn presentations(&self) -> usize {
        self.shared.presentations.load(Ordering::SeqCst)
    }
}

impl Drop for AuthService {
    fn drop(&mut self) {
        self.set(Mood::HangsUp);
        self.go_down();
    }
}

impl Shared {
    fn mood(&self) -> MutexGuard<'_, Mood> {
        self.mood.lock().unwrap()
    }

    /// The mood, once it is not silent any more.
    fn mood_to_answer_in(&self) -> Mood {
        let waited = self.changed.wait_timeout_while(self.mood(), 2 * PATIENCE, |mood| *mood == Mood::Silent);
        *waited.unwrap().0
    }
}

/// A port that nobody listens on, and that no other test gets until this process ends.
pub(crate) fn closed_port() -> SocketAddr {
    let port = Port::reserve();
    let address = port.address();
    std::mem::forget(port);
    address
}

fn accept(listener: TcpListener, shared: Arc<Shared>) -> JoinHandle<()> {
    thread::spawn(move || {
        for stream in listener.incoming() {
            if shared.down.load(Ordering::SeqCst) {
                return;
            }
            let (stream, shared) = (stream.unwrap(), shared.clone());
            // Whatever the peer does to its connection is the peer's affair.
            thread::spawn(move || drop(converse(stream, &shared)));
        }
    })
}

fn converse(mut stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.set_write_timeout(Some(PATIENCE))?;
    if *shared.mood() == Mood::Resets {
        stream.peek(&mut [0])?;
        shared.requests.fetch_add(1, Ordering::SeqCst);
        return Ok(()); // closing over unread bytes is a reset
    }
    let request = read_request(&mut stream)?;
    shared.requests.fetch_add(1, Ordering::SeqCst);
    if request.starts_with("POST /refresh ") {
        shared.presentations.fetch_add(1, Ordering::SeqCst);
    }
    let secret = format!("Traceback: {CANARY} in /srv/auth/main.py");
    match shared.mood_to_answer_in() {
        Mood::Works => stream.write_all(work(&request, shared).as_bytes()),
        Mood::Silent | Mood::Resets | Mood::HangsUp => Ok(()),
        Mood::BreaksOff => {
            let head = "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\ncontent-length: 1000\r\n\r\n";
            stream.write_all(format!("{head}{{\"access_token\": \"{CANARY}").as_bytes())
        }
        Mood::Fails => stream.write_all(answer("500 Internal Server Error", "text/plain", &secret).as_bytes()),
        Mood::Overloaded => {
            let text = answer("503 Service Unavailable\r\nretry-after: 2", "text/plain", &secret);
            stream.write_all(text.as_bytes())
        }
        Mood::Html => {
            let page = format!("<!doctype html><html><script>alert(1)</script>{secret}</html>");
            stream.write_all(answer("200 OK", "text/html", &page).as_bytes())
        }
        Mood::Nonsense => stream.write_all(answer("200 OK", "application/json", r#"[{"a": 1}]"#).as_bytes()),
        Mood::EndlessBody => {
            stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n{\"access_token\": \"")?;
            without_end(&mut stream, &[b'a'; 8192])
        }
        Mood::EndlessHead => {
            stream.write_all(b"HTTP/1.1 200 OK\r\n")?;
            without_end(&mut stream, b"x-more: and more and more and more\r\n")
        }
        Mood::Redirects => {
            let elsewhere = answer("307 Temporary Redirect\r\nlocation: /elsewhere", "text/plain", &secret);
            stream.write_all(elsewhere.as_bytes())
        }
        Mood::SpeaksSsh => stream.write_all(b"SSH-2.0-OpenSSH_9.9\r\n"),
    }
}

/// Until the peer has had enough.
fn without_end(stream: &mut TcpStream, bytes: &[u8]) -> std::io::Result<()> {
    stream.set_write_timeout(Some(Duration::from_secs(5)))?;
    loop {
        stream.write_all(bytes)?;
    }
}

fn read_request(stream: &mut TcpStream) -> std::io::Result<String> {
    let mut bytes = Vec::new();
    let mut chunk = [0; 4096];
    loop {
        let count = stream.read(&mut chunk)?;
        if count == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
        bytes.extend_from_slice(&chunk[..count]);
        let text = String::from_utf8_lossy(&bytes);
        if let Some((head, body)) = text.split_once("\r\n\r\n") {
            let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
            if body.len() >= length.map_or(0, |length| length.parse().unwrap()) {
                return Ok(text.into_owned());
            }
        }
    }
}

fn work(request: &str, shared: &Shared) -> String {
    let number = shared.issued.fetch_add(1, Ordering::SeqCst);
    let tokens = format!(
        r#"{{"access_token": "{CANARY}-access-{number}", "refresh_token": "{CANARY}-refresh-{number}",
            "token_type": "bearer", "expires_in": 1, "refresh_expires_in": 60}}"#
    );
    let json = |status: &str, body: &str| answer(status, "application/json", body);
    match request.split(' ').nth(1).unwrap() {
        "/register" => json("201 Created", r#"{"message": "User registered"}"#),
        "/login" if request.contains("password=password123") => json("200 OK", &tokens),
        "/login" => json("401 Unauthorized", r#"{"detail": "Invalid credentials"}"#),
        "/refresh" if request.contains(CANARY) => json("200 OK", &tokens),
        "/refresh" => json("401 Unauthorized", r#"{"detail": "Invalid refresh token"}"#),
        "/protected" => json("200 OK", r#"{"message": "You have access"}"#),
        _ => json("404 Not Found", r#"{"detail": "Not Found"}"#),
    }
}

fn answer(status: &str, content_type: &str, body: &str) -> String {
    format!(
        "HTTP/1.1 {status}\r\ncontent-type: {content_type}\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}",
        body.len()
    )
}
