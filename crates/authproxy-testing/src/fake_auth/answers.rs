//! The seed's contract: what the service does with a request, and its honest answer.

use std::{collections::HashMap, sync::Arc};

use authproxy_core::clock::{Clock, Timestamp};
use serde::Deserialize;
use serde_json::json;

use super::Endpoint;
use crate::{
    http1::{Answer, RecordedRequest},
    service::{Service, Tokens},
};

/// The service behind the sockets.
pub(super) struct Seed {
    pub(super) service: Service,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) accounts: HashMap<String, String>,
    pub(super) presentations: HashMap<String, usize>,
}

#[derive(Deserialize)]
struct Register {
    email: String,
    password: String,
}

#[derive(Deserialize)]
struct LogIn {
    username: String,
    password: String,
}

#[derive(Deserialize)]
struct Refresh {
    refresh_token: String,
}

#[derive(Deserialize)]
struct Revoke {
    token: String,
}

impl Seed {
    /// Counts what a request to `/refresh` presents, whether or not it will be processed.
    pub(super) fn count(&mut self, request: &RecordedRequest) {
        if let Ok(Refresh { refresh_token }) = serde_json::from_slice(&request.body()) {
            *self.presentations.entry(refresh_token).or_default() += 1;
        }
    }

    /// Does what the request asks for.
    pub(super) fn process(&mut self, endpoint: Endpoint, request: &RecordedRequest) -> Answer {
        let (body, now) = (request.body(), self.clock.now());
        if request.method() != endpoint.method() {
            return detail(405, "Method Not Allowed").with_header("allow", endpoint.method());
        }
        match endpoint {
            Endpoint::Register => self.register(&body),
            Endpoint::Login => self.log_in(&body, now),
            Endpoint::Refresh => self.refresh(&body, request.header("idempotency-key"), now),
            Endpoint::Protected => self.protected(request, now),
            Endpoint::Revoke => self.revoke(&body),
        }
    }

    fn register(&mut self, body: &[u8]) -> Answer {
        let Ok(Register { email, password }) = serde_json::from_slice(body) else { return unprocessable() };
        if self.accounts.contains_key(&email) {
            return detail(400, "Email already registered");
        }
        let answer = Answer::json(201, json!({ "message": "User registered", "email": email }).to_string());
        self.accounts.insert(email, password);
        answer
    }

    fn log_in(&mut self, body: &[u8], now: Timestamp) -> Answer {
        let Ok(LogIn { username, password }) = serde_urlencoded::from_bytes(body) else { return unprocessable() };
        if self.accounts.get(&username) != Some(&password) {
            return detail(401, "Invalid credentials");
        }
        let tokens = self.service.log_in(now);
        issued(tokens, now)
    }

    fn refresh(&mut self, body: &[u8], key: Option<&str>, now: Timestamp) -> Answer {
        let Ok(Refresh { refresh_token }) = serde_json::from_slice(body) else { return unprocessable() };
        match self.service.refresh(&refresh_token, key, false, now) {
            Some(tokens) => issued(tokens, now),
            None => detail(401, "Invalid refresh token"),
        }
    }

    fn protected(&mut self, request: &RecordedRequest, now: Timestamp) -> Answer {
        let token = request.header("authorization").and_then(|value| value.strip_prefix("Bearer "));
        if token.is_some_and(|token| self.service.accepts_access(token, now)) {
            Answer::json(200, json!({ "message": "This is protected" }).to_string())
        } else {
            detail(401, "Invalid token").with_header("www-authenticate", "Bearer")
        }
    }

    /// RFC 7009, section 2.2: 200 also for a token that the service does not know.
    fn revoke(&mut self, body: &[u8]) -> Answer {
        let Ok(Revoke { token }) = serde_urlencoded::from_bytes(body) else { return unprocessable() };
        self.service.revoke(&token);
        Answer::json(200, "{}")
    }
}

fn issued(tokens: Tokens, now: Timestamp) -> Answer {
    let mut body = json!({ "access_token": tokens.access_token, "token_type": "bearer" });
    if let Some(at) = tokens.access_expires_at {
        body["expires_in"] = at.since(now).as_secs().into();
    }
    if let Some(refresh_token) = tokens.refresh_token {
        body["refresh_token"] = refresh_token.into();
    }
    if let Some(at) = tokens.refresh_expires_at {
        body["refresh_expires_in"] = at.since(now).as_secs().into();
    }
    Answer::json(200, body.to_string())
}

pub(super) fn detail(status: u16, detail: &str) -> Answer {
    Answer::json(status, json!({ "detail": detail }).to_string())
}

fn unprocessable() -> Answer {
    detail(422, "Unprocessable Entity")
}
