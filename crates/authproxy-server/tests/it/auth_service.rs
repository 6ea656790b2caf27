//! A fake auth service on a real socket: speaks the seed's contract, records what arrives, misbehaves on command.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode, header};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use serde_json::{Value, json};
use tokio::{
    net::TcpListener,
    sync::{Notify, watch},
    task::JoinHandle,
};

/// Begins every token that the service issues.
pub(crate) const CANARY: &str = "CANARY-token";

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) line: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: String,
}

/// What happens to a request instead of the usual.
#[derive(Clone)]
pub(crate) enum Instead {
    Answer(u16, &'static str, String),
    RetryAfter(u16, u64),
    /// Never answers.
    Hang,
    /// Answers as usual once the notification came.
    Wait(Arc<Notify>),
    /// Closes the connection without an answer.
    Reset,
}

#[derive(Default)]
struct State {
    received: Vec<Received>,
    instead: HashMap<String, VecDeque<Instead>>,
    always: HashMap<String, Instead>,
    access: HashSet<String>,
    refresh: HashSet<String>,
    presented: HashMap<String, usize>,
    issued: usize,
}

#[derive(Clone)]
pub(crate) struct AuthService {
    pub(crate) address: SocketAddr,
    state: Arc<Mutex<State>>,
    arrivals: watch::Receiver<usize>,
    accepting: Arc<JoinHandle<()>>,
}

impl AuthService {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::<Mutex<State>>::default();
        let (arrived, arrivals) = watch::channel(0);
        let shared = (state.clone(), Arc::new(arrived));
        let accepting = tokio::spawn(async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let (state, arrived) = shared.clone();
                let service = service_fn(move |request| answer(state.clone(), arrived.clone(), request));
                tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(stream), service));
            }
        });
        Self { address, state, arrivals, accepting: Arc::new(accepting) }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Does this to the next request of a path.
    pub(crate) fn next(&self, path: &str, instead: Instead) {
        self.state.lock().unwrap().instead.entry(path.into()).or_default().push_back(instead);
    }

    /// Does this to every request of a path.
    pub(crate) fn always(&self, path: &str, instead: Instead) {
        self.state.lock().unwrap().always.insert(path.into(), instead);
    }

    /// No access token that was issued so far is good any more.
    pub(crate) fn forget_access_tokens(&self) {
        self.state.lock().unwrap().access.clear();
    }

    /// No token that was issued so far is good any more.
    pub(crate) fn forget_all_tokens(&self) {
        let mut state = self.state.lock().unwrap();
        state.access.clear();
        state.refresh.clear();
    }

    /// Refuses connections from now on.
    pub(crate) fn stop(&self) {
        self.accepting.abort();
    }

    pub(crate) fn received(&self, path: &str) -> Vec<Received> {
        let state = self.state.lock().unwrap();
        state.received.iter().filter(|request| request.line.ends_with(&format!(" {path}"))).cloned().collect()
    }

    /// Waits until so many requests of a path have arrived.
    pub(crate) async fn until_received(&self, path: &str, count: usize) {
        let mut arrivals = self.arrivals.clone();
        while self.received(path).len() < count {
            arrivals.changed().await.unwrap();
        }
    }

    pub(crate) fn received_anything(&self) -> bool {
        !self.state.lock().unwrap().received.is_empty()
    }

    /// How often the most often presented refresh token was presented.
    pub(crate) fn most_presentations(&self) -> usize {
        self.state.lock().unwrap().presented.values().copied().max().unwrap_or(0)
    }
}

async fn answer(
    state: Arc<Mutex<State>>,
    arrived: Arc<watch::Sender<usize>>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, std::io::Error> {
    let (head, body) = request.into_parts();
    let body = String::from_utf8_lossy(&body.collect().await.unwrap().to_bytes()).into_owned();
    let path = head.uri.path().to_owned();
    let received =
        Received { line: format!("{} {path}", head.method), headers: head.headers.clone(), body: body.clone() };
    let instead = {
        let mut state = state.lock().unwrap();
        state.received.push(received);
        let queued = state.instead.get_mut(&path).and_then(VecDeque::pop_front);
        queued.or_else(|| state.always.get(&path).cloned())
    };
    arrived.send_modify(|count| *count += 1);
    match instead {
        Some(Instead::Answer(status, content_type, body)) => {
            return Ok(Response::builder()
                .status(status)
                .header(header::CONTENT_TYPE, content_type)
                .body(body.into())
                .unwrap());
        }
        Some(Instead::RetryAfter(status, seconds)) => {
            let response = Response::builder().status(status).header(header::RETRY_AFTER, seconds);
            return Ok(response.body("{}".into()).unwrap());
        }
        Some(Instead::Hang) => std::future::pending().await,
        Some(Instead::Wait(notify)) => notify.notified().await,
        Some(Instead::Reset) => return Err(std::io::ErrorKind::ConnectionReset.into()),
        None => {}
    }
    Ok(usual(&mut state.lock().unwrap(), &path, &head.headers, &body))
}

fn usual(state: &mut State, path: &str, headers: &HeaderMap, body: &str) -> Response<Full<Bytes>> {
    let (status, body) = match path {
        "/register" => {
            let request: Value = serde_json::from_str(body).unwrap();
            (StatusCode::CREATED, json!({ "message": "User registered", "email": request["email"] }))
        }
        "/login" => {
            let form: HashMap<String, String> = serde_urlencoded::from_str(body).unwrap();
            if form["password"] == "wrong" {
                (StatusCode::UNAUTHORIZED, json!({ "detail": "Invalid credentials" }))
            } else {
                (StatusCode::OK, issue(state))
            }
        }
        "/refresh" => {
            let presented = refresh_token_of(body);
            *state.presented.entry(presented.clone()).or_default() += 1;
            if state.refresh.remove(&presented) {
                (StatusCode::OK, issue(state))
            } else {
                (StatusCode::UNAUTHORIZED, json!({ "detail": "Invalid refresh token" }))
            }
        }
        "/protected" => {
            let token = headers[header::AUTHORIZATION].to_str().unwrap().strip_prefix("Bearer ").unwrap();
            if state.access.contains(token) {
                (StatusCode::OK, json!({ "message": "You have access", "user": "a@example.com" }))
            } else {
                (StatusCode::UNAUTHORIZED, json!({ "detail": "Invalid token" }))
            }
        }
        _ => (StatusCode::NOT_FOUND, json!({ "detail": "Not Found" })),
    };
    let response = Response::builder().status(status).header(header::CONTENT_TYPE, "application/json");
    response.body(body.to_string().into()).unwrap()
}

fn issue(state: &mut State) -> Value {
    state.issued += 1;
    let (access, refresh) = (format!("{CANARY}-a{}", state.issued), format!("{CANARY}-r{}", state.issued));
    state.access.insert(access.clone());
    state.refresh.insert(refresh.clone());
    json!({
        "access_token": access, "refresh_token": refresh, "token_type": "bearer", "expires_in": 120,
        "refresh_expires_in": 240, "scope": "all",
    })
}

fn refresh_token_of(body: &str) -> String {
    let json: Value = serde_json::from_str(body).unwrap();
    json["refresh_token"].as_str().unwrap().to_owned()
}
