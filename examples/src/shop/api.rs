//! The API: who am I, an order, a stream of events.

use std::{
    io::{self, Write},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use futures_util::stream;
use http::{
    HeaderMap, HeaderValue, Method, Request, Response, StatusCode,
    header::{ALLOW, AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE},
};
use http_body_util::{BodyExt, Limited, StreamBody};
use hyper::body::{Frame, Incoming};
use serde_json::{Value, json};
use tokio::time::interval;

use super::{Answer, tokens::Tokens, with_body};

const LARGEST_ORDER: usize = 1024;
const EVENT_EVERY: Duration = Duration::from_secs(1);

pub(super) struct Api {
    auth_url: String,
    http_client: reqwest::Client,
    tokens: Tokens,
    orders: AtomicU64,
    streams: AtomicU64,
}

/// Why nobody is named.
enum Refused {
    /// No token, or one that the auth service does not take: RFC 6750, section 3.1.
    Token,
    /// The auth service does not answer.
    NotNow,
}

impl Api {
    pub(super) fn new(auth_url: String) -> Self {
        let http_client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(5)).build();
        Self {
            auth_url,
            http_client: http_client.expect("plain HTTP needs nothing of the system"),
            tokens: Tokens::default(),
            orders: AtomicU64::new(0),
            streams: AtomicU64::new(0),
        }
    }

    pub(super) async fn answer(self: Arc<Self>, request: Request<Incoming>, path: &str) -> Answer {
        let user = match self.user(request.headers()).await {
            Ok(user) => user,
            Err(refused) => return refused.answer(),
        };
        match (request.method(), path) {
            (&Method::GET, "/api/me") => {
                json_answer(StatusCode::OK, &json!({ "user": user, "tokens_seen": self.tokens.of(&user) }))
            }
            (&Method::POST, "/api/orders") => self.order(request.into_body()).await,
            (&Method::GET, "/api/events") => self.events(user),
            (_, "/api/me" | "/api/events") => wrong_method("GET"),
            (_, "/api/orders") => wrong_method("POST"),
            _ => json_answer(StatusCode::NOT_FOUND, &json!({ "detail": "Not Found" })),
        }
    }

    /// Asks the auth service whose token came with a request.
    async fn user(&self, headers: &HeaderMap) -> Result<String, Refused> {
        let authorization = headers.get(AUTHORIZATION).ok_or(Refused::Token)?;
        let asked = self.http_client.get(format!("{}/protected", self.auth_url));
        let reply = asked.header(AUTHORIZATION, authorization).send().await.map_err(|_| Refused::NotNow)?;
        match reply.status() {
            StatusCode::OK => {}
            StatusCode::UNAUTHORIZED => return Err(Refused::Token),
            _ => return Err(Refused::NotNow),
        }
        let body = reply.bytes().await.map_err(|_| Refused::NotNow)?;
        let body: Value = serde_json::from_slice(&body).map_err(|_| Refused::NotNow)?;
        let user = body["user"].as_str().ok_or(Refused::NotNow)?.to_owned();
        self.tokens.note(&user, authorization.as_bytes());
        Ok(user)
    }

    async fn order(&self, body: Incoming) -> Answer {
        let Ok(body) = Limited::new(body, LARGEST_ORDER).collect().await else {
            return json_answer(StatusCode::PAYLOAD_TOO_LARGE, &json!({ "detail": "The order is too large" }));
        };
        let order: Value = serde_json::from_slice(&body.to_bytes()).unwrap_or_default();
        match order["item"].as_str() {
            Some(item) => {
                let number = self.orders.fetch_add(1, Ordering::Relaxed) + 1;
                json_answer(StatusCode::CREATED, &json!({ "order": number, "item": item }))
            }
            None => json_answer(StatusCode::BAD_REQUEST, &json!({ "detail": "An order names an item" })),
        }
    }

    /// Server-sent events, one a second, until the other side hangs up. They do not end with the access token that the
    /// request came with: the session lives on, and the proxy ends the stream when it does not.
    fn events(self: Arc<Self>, user: String) -> Answer {
        let events = stream::unfold((interval(EVENT_EVERY), 0, Open::new(self)), move |(mut tick, number, open)| {
            let user = user.clone();
            async move {
                tick.tick().await;
                let number = number + 1;
                let event = json!({ "number": number, "tokens_seen": open.api.tokens.of(&user) });
                // `retry` is how many milliseconds a browser waits before it connects again.
                let text = format!("retry: 1000\ndata: {event}\n\n");
                Some((Ok(Frame::data(Bytes::from(text))), (tick, number, open)))
            }
        });
        let mut answer = Response::new(StreamBody::new(events).boxed_unsync());
        answer.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/event-stream"));
        answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
        answer
    }
}

/// A stream that is open; says so on standard output, and when it is not any more.
struct Open {
    api: Arc<Api>,
}

impl Open {
    fn new(api: Arc<Api>) -> Self {
        say_open(api.streams.fetch_add(1, Ordering::Relaxed) + 1);
        Self { api }
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        say_open(self.api.streams.fetch_sub(1, Ordering::Relaxed) - 1);
    }
}

fn say_open(count: u64) {
    // Standard output may be closed; the stream is no worse for it.
    let _ = writeln!(io::stdout(), "event streams open: {count}");
}

impl Refused {
    fn answer(self) -> Answer {
        match self {
            Self::Token => {
                let body = json!({ "detail": "Invalid or expired token" });
                let mut answer = json_answer(StatusCode::UNAUTHORIZED, &body);
                let challenge = HeaderValue::from_static(r#"Bearer error="invalid_token""#);
                answer.headers_mut().insert(WWW_AUTHENTICATE, challenge);
                answer
            }
            Self::NotNow => {
                let body = json!({ "detail": "The auth service does not answer" });
                let mut answer = json_answer(StatusCode::SERVICE_UNAVAILABLE, &body);
                answer.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("1"));
                answer
            }
        }
    }
}

fn wrong_method(allow: &'static str) -> Answer {
    let mut answer = json_answer(StatusCode::METHOD_NOT_ALLOWED, &json!({ "detail": "Method Not Allowed" }));
    answer.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    answer
}

fn json_answer(status: StatusCode, body: &Value) -> Answer {
    let mut answer = with_body(status, "application/json", body.to_string());
    answer.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    answer
}
