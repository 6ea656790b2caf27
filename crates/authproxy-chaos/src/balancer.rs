//! A small load balancer in front of the nodes, in the place where the load is made.
//!
//! It does what real ones do by default: connections are kept and used again; a node that refuses connections is left
//! out for a moment and the request goes to another; a GET that was sent over a kept connection, which ended without a
//! byte of an answer, is sent again (RFC 9110, section 9.2.2). Nothing else is ever sent twice.

use std::{
    io::ErrorKind,
    net::SocketAddr,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    net::TcpStream,
    time::{Instant, timeout_at},
};

use crate::http::{Answer, Broken, Connection};

/// How long a node that refused, or did not answer in time, is asked last.
const LEFT_OUT: Duration = Duration::from_millis(250);
/// How often a request is offered to every node.
const ROUNDS: usize = 2;
/// Kept connections of one node at most.
const MOST_KEPT: usize = 64;

/// The balancer.
pub(crate) struct Balancer {
    nodes: Vec<Backend>,
    patience: Duration,
}

struct Backend {
    address: SocketAddr,
    kept: Mutex<Vec<Connection>>,
    left_out_until: Mutex<Option<Instant>>,
}

/// A request's bytes, and whether it may be sent again.
#[derive(Clone, Debug)]
pub(crate) struct Question {
    bytes: Vec<u8>,
    is_safe: bool,
}

/// How a request ended.
#[derive(Debug)]
pub(crate) struct Sent {
    /// The node that was asked last.
    pub(crate) node: usize,
    /// When it was sent to that node.
    pub(crate) at: Instant,
    pub(crate) answer: Result<Answer, Failure>,
}

/// Why there is no answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Failure {
    /// No node takes connections; what the last one said.
    Refused(ErrorKind),
    /// The connection ended before the answer did.
    Cut(Broken),
    /// There was no answer in time.
    TimedOut,
}

impl Question {
    /// A GET with a session's cookie.
    pub(crate) fn get(target: &str, cookie: &str) -> Self {
        let text = format!("GET {target} HTTP/1.1\r\nHost: localhost\r\nCookie: {cookie}\r\n\r\n");
        Self { bytes: text.into_bytes(), is_safe: true }
    }

    /// A login, as a program sends it.
    pub(crate) fn log_in(user: &str) -> Self {
        let form = format!("username={user}&password=password123");
        Self::post("/login", "Content-Type: application/x-www-form-urlencoded\r\n", &form)
    }

    /// A logout with a session's cookie.
    pub(crate) fn log_out(cookie: &str) -> Self {
        Self::post("/logout", &format!("Cookie: {cookie}\r\n"), "")
    }

    fn post(target: &str, fields: &str, body: &str) -> Self {
        let length = body.len();
        let text =
            format!("POST {target} HTTP/1.1\r\nHost: localhost\r\n{fields}Content-Length: {length}\r\n\r\n{body}");
        Self { bytes: text.into_bytes(), is_safe: false }
    }
}

impl Balancer {
    /// In front of these nodes; an answer may take so long.
    pub(crate) fn new(nodes: impl IntoIterator<Item = SocketAddr>, patience: Duration) -> Self {
        let backend = |address| Backend { address, kept: Mutex::default(), left_out_until: Mutex::default() };
        Self { nodes: nodes.into_iter().map(backend).collect(), patience }
    }

    /// How many nodes there are.
    pub(crate) fn len(&self) -> usize {
        self.nodes.len()
    }

    /// Sends a request to a node or, where that does not take it, to another.
    pub(crate) async fn send(&self, question: &Question, preferred: usize) -> Sent {
        let mut order: Vec<usize> = (0..self.nodes.len()).map(|step| (preferred + step) % self.nodes.len()).collect();
        order.sort_by_key(|node| self.nodes[*node].is_left_out());
        let mut last = None;
        // Whoever refused at first may be back when another has gone.
        for node in order.repeat(ROUNDS) {
            let sent = self.send_to(question, node).await;
            if !matches!(sent.answer, Err(Failure::Refused(_))) {
                return sent;
            }
            last = Some(sent);
        }
        last.expect("there is a node")
    }

    /// Sends a request to one node.
    pub(crate) async fn send_to(&self, question: &Question, node: usize) -> Sent {
        let backend = &self.nodes[node];
        let deadline = Instant::now() + self.patience;
        loop {
            let at = Instant::now();
            let kept = if question.is_safe { backend.take() } else { None };
            let is_kept = kept.is_some();
            let exchange = async {
                let mut connection = match kept {
                    Some(connection) => connection,
                    None => Connection::new(
                        TcpStream::connect(backend.address).await.map_err(|error| Failure::Refused(error.kind()))?,
                    ),
                };
                let answer = connection.ask(&question.bytes).await.map_err(Failure::Cut)?;
                if answer.keeps_alive {
                    backend.keep(connection);
                }
                Ok(answer)
            };
            let answer = timeout_at(deadline, exchange).await.unwrap_or(Err(Failure::TimedOut));
            match answer {
                Err(Failure::Cut(Broken::BeforeAnswer)) if is_kept => continue,
                Err(Failure::Refused(_) | Failure::TimedOut) => backend.leave_out(),
                _ => {}
            }
            return Sent { node, at, answer };
        }
    }
}

impl Backend {
    fn take(&self) -> Option<Connection> {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).pop()
    }

    fn keep(&self, connection: Connection) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < MOST_KEPT {
            kept.push(connection);
        }
    }

    fn leave_out(&self) {
        *self.left_out_until.lock().unwrap_or_else(PoisonError::into_inner) = Some(Instant::now() + LEFT_OUT);
    }

    fn is_left_out(&self) -> bool {
        let until = *self.left_out_until.lock().unwrap_or_else(PoisonError::into_inner);
        until.is_some_and(|until| Instant::now() < until)
    }
}
