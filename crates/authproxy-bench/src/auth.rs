//! The auth service behind authproxy: answers at once, and counts how often each refresh token was presented.

use std::{
    collections::HashMap,
    io,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::server::{Answering, Request, Server};

/// Bytes of an access token, about what a signed one has.
const TOKEN_SIZE: usize = 512;

/// An auth service of the seed's contract: `/login`, `/refresh`, `/revoke`. It rotates, and forgives no reuse.
pub(crate) struct AuthService {
    server: Server,
    state: Arc<Mutex<State>>,
}

/// What a proxy has done with its refresh tokens.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub(crate) struct Presentations {
    /// How often tokens were refreshed.
    pub(crate) refreshes: u64,
    /// The most presentations of one refresh token; more than one would end its session in the real world.
    pub(crate) most_of_one_token: u32,
}

#[derive(Default)]
struct State {
    expires_in: u64,
    issued: u64,
    /// Presentations by refresh token.
    presented: HashMap<String, u32>,
    seen: Presentations,
}

impl AuthService {
    pub(crate) fn start() -> io::Result<Self> {
        let state = Arc::<Mutex<State>>::default();
        let server = Server::start("auth", Endpoints { state: state.clone() })?;
        Ok(Self { server, state })
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.server.address
    }

    /// Forgets every token, and issues access tokens of this life from now on.
    pub(crate) fn begin(&self, access_life: Duration) {
        *lock(&self.state) = State { expires_in: access_life.as_secs(), ..State::default() };
    }

    pub(crate) fn presentations(&self) -> Presentations {
        lock(&self.state).seen
    }
}

/// An access token of a user, of the size that all have.
pub(crate) fn access_token(owner: &str, number: u64) -> String {
    format!("{:x<TOKEN_SIZE$}", format!("{owner}.{number}."))
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Endpoints {
    state: Arc<Mutex<State>>,
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
    fn answer(&mut self, request: &Request<'_>, out: &mut Vec<u8>) {
        let mut state = lock(&self.state);
        let (status, body) = match (request.method, request.target) {
            ("POST", "/login") => match serde_urlencoded::from_bytes::<LoginForm>(request.body) {
                Ok(form) => ("200 OK", state.issue(&form.username)),
                Err(_) => ("400 Bad Request", json!({ "error": "invalid_request" })),
            },
            ("POST", "/refresh") => match serde_json::from_slice::<RefreshBody>(request.body) {
                Ok(body) => state.refresh(body.refresh_token),
                Err(_) => ("400 Bad Request", json!({ "error": "invalid_request" })),
            },
            ("POST", "/revoke") => ("200 OK", json!({})),
            _ => ("404 Not Found", json!({ "error": "not_found" })),
        };
        let body = body.to_string();
        let head =
            format!("HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n", body.len());
        out.extend_from_slice(head.as_bytes());
        out.extend_from_slice(body.as_bytes());
    }
}

impl State {
    fn issue(&mut self, owner: &str) -> serde_json::Value {
        self.issued += 1;
        json!({
            "access_token": access_token(owner, self.issued),
            "refresh_token": format!("{owner}.{}.refresh", self.issued),
            "token_type": "bearer",
            "expires_in": self.expires_in,
        })
    }

    fn refresh(&mut self, token: String) -> (&'static str, serde_json::Value) {
        let owner = token.split('.').next().unwrap_or_default().to_owned();
        let times = self.presented.entry(token).or_default();
        *times += 1;
        let is_first = *times == 1;
        self.seen.refreshes += 1;
        self.seen.most_of_one_token = self.seen.most_of_one_token.max(*times);
        if is_first {
            ("200 OK", self.issue(&owner))
        } else {
            ("401 Unauthorized", json!({ "error": "invalid_grant" }))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refresh_token_is_good_once_and_every_presentation_is_counted() {
        let mut state = State::default();
        state.issue("7");
        assert_eq!(state.refresh("7.1.refresh".into()).0, "200 OK");
        assert_eq!(state.refresh("7.2.refresh".into()).0, "200 OK");
        assert_eq!(state.refresh("7.1.refresh".into()).0, "401 Unauthorized");
        assert_eq!((state.seen.refreshes, state.seen.most_of_one_token), (3, 2));
    }

    #[test]
    fn access_tokens_have_one_size() {
        assert_eq!(access_token("0000007", 1).len(), TOKEN_SIZE);
        assert_eq!(access_token("anybody", 1_000_000).len(), TOKEN_SIZE);
    }
}
