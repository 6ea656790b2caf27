//! The auth service behind authproxy: answers at once, or a refresh after a while; counts how often each refresh token
//! was presented.

pub(crate) mod openid;

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::server::{Answering, Request, Server};

/// Bytes of an access token, about what a signed one has.
const TOKEN_SIZE: usize = 512;
/// Bytes of the protected resource.
const PROTECTED_SIZE: usize = 1024;

/// An auth service of the seed's contract: `/login`, `/refresh`, `/protected`, `/revoke`, and `/token` for
/// those who speak `OpenID` Connect. It rotates, and forgives no reuse.
pub(crate) struct AuthService {
    server: Server,
    state: Arc<Mutex<State>>,
}

/// How it answers.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Terms {
    /// How long access tokens live that a login gets.
    pub(crate) first_life: Duration,
    /// How long those live that a refresh gets.
    pub(crate) later_life: Duration,
    /// How long a refresh takes.
    pub(crate) refresh_takes: Duration,
    /// Bytes of a token; refresh tokens are short when this is not set.
    pub(crate) size: Option<usize>,
}

impl Terms {
    /// Answers at once, with tokens of one life.
    pub(crate) fn of_life(life: Duration) -> Self {
        Self { first_life: life, later_life: life, refresh_takes: Duration::ZERO, size: None }
    }
}

/// What a proxy has done with its tokens.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Presentations {
    /// How often tokens were refreshed.
    pub(crate) refreshes: u64,
    /// The most presentations of one refresh token; more than one would end its session in the real world.
    pub(crate) most_of_one_token: u32,
    /// How often a refresh token was revoked.
    pub(crate) revocations: u64,
}

struct State {
    terms: Terms,
    issued: u64,
    /// Presentations by refresh token.
    presented: HashMap<String, u32>,
    seen: Presentations,
}

impl AuthService {
    pub(crate) fn start() -> io::Result<Self> {
        let state = Arc::new(Mutex::new(State::new(Terms::of_life(Duration::ZERO))));
        let answering = state.clone();
        let server =
            Server::start_at("auth", |address| Endpoints { state: answering, issuer: format!("http://{address}") })?;
        Ok(Self { server, state })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// Forgets every token, and issues them on these terms from now on.
    pub(crate) fn begin(&self, terms: Terms) {
        *lock(&self.state) = State::new(terms);
    }

    pub(crate) fn presentations(&self) -> Presentations {
        lock(&self.state).seen
    }
}

/// An access token of a user, of the size that all have.
pub(crate) fn access_token(owner: &str, number: u64) -> String {
    padded(&format!("{owner}.{number}."), TOKEN_SIZE)
}

/// The protected resource, as a user gets it.
pub(crate) fn protected(user: u32) -> Arc<[u8]> {
    protected_of(&format!("{user:07}")).into_bytes().into()
}

fn protected_of(owner: &str) -> String {
    let text = |filler: &str| format!(r#"{{"user":"{owner}","message":"{filler}"}}"#);
    text(&"y".repeat(PROTECTED_SIZE - text("").len()))
}

fn padded(begin: &str, size: usize) -> String {
    format!("{begin:x<size$}")
}

/// [`padded`], so that the last part is base64url, as all of a JWT's are (RFC 7515, section 3.1).
fn in_base64url(begin: &str, size: usize) -> String {
    let last = size.saturating_sub(begin.rfind('.').map_or(0, |dot| dot + 1));
    // No base64url is one longer than a multiple of four.
    let tail = if last % 4 == 1 { ".AA" } else { "" };
    format!("{begin:A<0$}{tail}", size.saturating_sub(tail.len()))
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Endpoints {
    state: Arc<Mutex<State>>,
    /// Its own address, as `OpenID` Connect names it.
    issuer: String,
}

#[derive(Deserialize)]
struct LoginForm {
    username: String,
}

#[derive(Deserialize)]
struct RefreshBody {
    refresh_token: String,
}

impl Answering for Endpoints {
    fn answer(&mut self, request: &Request<'_>, out: &mut Vec<u8>) -> Duration {
        let mut state = lock(&self.state);
        let mut takes = Duration::ZERO;
        let (status, body) = match (request.method, request.target) {
            ("POST", "/login") => match serde_urlencoded::from_bytes::<LoginForm>(request.body) {
                Ok(form) => {
                    let life = state.terms.first_life;
                    ("200 OK", state.issue(&form.username, life).to_string())
                }
                Err(_) => ("400 Bad Request", error("invalid_request")),
            },
            ("POST", "/refresh") => match serde_json::from_slice::<RefreshBody>(request.body) {
                Ok(body) => {
                    takes = state.terms.refresh_takes;
                    state.refresh(body.refresh_token)
                }
                Err(_) => ("400 Bad Request", error("invalid_request")),
            },
            ("POST", "/token") => match openid::tokens(request.body, &self.issuer) {
                Some(tokens) => ("200 OK", tokens),
                None => ("400 Bad Request", error("invalid_request")),
            },
            ("GET", "/protected") => match owner(request) {
                Some(owner) => ("200 OK", protected_of(owner)),
                None => ("401 Unauthorized", error("invalid_token")),
            },
            ("POST", "/revoke") => {
                state.seen.revocations += u64::from(is_refresh_token(request.body));
                ("200 OK", json!({}).to_string())
            }
            _ => ("404 Not Found", error("not_found")),
        };
        let head =
            format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(body.as_bytes());
        takes
    }
}

fn error(name: &str) -> String {
    json!({ "error": name }).to_string()
}

/// Whose token a request carries.
fn owner<'a>(request: &Request<'a>) -> Option<&'a str> {
    let token = std::str::from_utf8(request.field("authorization")?.strip_prefix(b"Bearer ")?).ok()?;
    token.split('.').next()
}

fn is_refresh_token(form: &[u8]) -> bool {
    form.windows(REFRESH.len()).any(|part| part == REFRESH.as_bytes())
}

const REFRESH: &str = ".refresh";

impl State {
    fn new(terms: Terms) -> Self {
        Self { terms, issued: 0, presented: HashMap::new(), seen: Presentations::default() }
    }

    fn issue(&mut self, owner: &str, life: Duration) -> Value {
        self.issued += 1;
        let size = self.terms.size.unwrap_or_default();
        json!({
            "access_token": padded(&access_token(owner, self.issued), size),
            "refresh_token": in_base64url(&format!("{owner}.{}{REFRESH}", self.issued), size),
            "token_type": "bearer",
            "expires_in": life.as_secs(),
        })
    }

    fn refresh(&mut self, token: String) -> (&'static str, String) {
        let owner = token.split('.').next().unwrap_or_default().to_owned();
        let times = self.presented.entry(token).or_default();
        *times += 1;
        let is_first = *times == 1;
        self.seen.refreshes += 1;
        self.seen.most_of_one_token = self.seen.most_of_one_token.max(*times);
        if is_first {
            ("200 OK", self.issue(&owner, self.terms.later_life).to_string())
        } else {
            ("401 Unauthorized", error("invalid_grant"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HOUR: Duration = Duration::from_secs(3600);

    #[test]
    fn a_refresh_token_is_good_once_and_every_presentation_is_counted() {
        let mut state = State::new(Terms::of_life(HOUR));
        state.issue("7", HOUR);
        assert_eq!(state.refresh("7.1.refresh".into()).0, "200 OK");
        assert_eq!(state.refresh("7.2.refresh".into()).0, "200 OK");
        assert_eq!(state.refresh("7.1.refresh".into()).0, "401 Unauthorized");
        assert_eq!((state.seen.refreshes, state.seen.most_of_one_token), (3, 2));
    }

    #[test]
    fn access_tokens_have_one_size() {
        assert_eq!(access_token("0000007", 1).len(), TOKEN_SIZE);
        assert_eq!(access_token("anybody", 1_000_000).len(), TOKEN_SIZE);
        let mut state = State::new(Terms { size: Some(800), ..Terms::of_life(HOUR) });
        let issued = state.issue("7", HOUR);
        for token in ["access_token", "refresh_token"] {
            assert_eq!(issued[token].as_str().map(str::len), Some(800));
        }
    }

    #[test]
    fn the_protected_resource_has_one_size_and_is_json() {
        assert_eq!(protected(7).len(), PROTECTED_SIZE);
        let value = serde_json::from_slice::<Value>(&protected(1_000_000));
        assert_eq!(value.ok().and_then(|value| value["user"].as_str().map(str::to_owned)), Some("1000000".into()));
    }
}
