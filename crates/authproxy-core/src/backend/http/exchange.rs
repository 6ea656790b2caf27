//! One request and its answer, bounded in time and size. Nothing here judges an answer.

use std::time::Duration;

use http::{HeaderValue, StatusCode, header};
use reqwest::{Body, RequestBuilder, Response};
use zeroize::{Zeroize, Zeroizing};

use super::{
    once::{Handover, OnceBody},
    retry_after::retry_after,
};
use crate::{backend::Cause, clock::Timestamp};

pub(super) const JSON: HeaderValue = HeaderValue::from_static("application/json");
pub(super) const FORM: HeaderValue = HeaderValue::from_static("application/x-www-form-urlencoded");

/// Larger bodies are read into buffers that grow.
const FIRST_BUFFER: usize = 4 * 1024;

/// A request that is sent once.
pub(super) struct Outgoing {
    request: RequestBuilder,
    /// `None` for a request without a body.
    handover: Option<Handover>,
}

/// An answer, or as much of it as came.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) retry_after: Option<Duration>,
    /// Empty where the status alone decides: for all but 2xx and 4xx.
    pub(super) body: Zeroizing<Vec<u8>>,
    pub(super) end: End,
}

/// How an answer's body ended.
#[derive(Debug, Clone)]
pub(super) enum End {
    /// As it should.
    Whole,
    /// By our bound; the body holds what came up to it.
    TooLarge,
    /// By our timeout.
    TimedOut,
    /// By the peer or the network.
    CutOff(Cause),
}

/// There was not even a status.
#[derive(Debug)]
pub(super) enum NoAnswer {
    /// The request's body has not left this process and never will.
    NotSent(Cause),
    /// The request may have been received; time ran out.
    TimedOut,
    /// The request may have been received; the connection is gone.
    Lost(Cause),
}

impl Outgoing {
    pub(super) fn get(request: RequestBuilder) -> Self {
        Self { request: request.header(header::ACCEPT, JSON), handover: None }
    }

    /// The body's buffer is wiped once it has been written.
    pub(super) fn post(request: RequestBuilder, content_type: HeaderValue, body: Zeroizing<Vec<u8>>) -> Self {
        let (body, handover) = OnceBody::new(body);
        let request = request.header(header::ACCEPT, JSON).header(header::CONTENT_TYPE, content_type);
        Self { request: request.body(Body::wrap(body)), handover: Some(handover) }
    }

    pub(super) fn header(self, name: &'static str, value: &str) -> Self {
        Self { request: self.request.header(name, value), ..self }
    }

    pub(super) fn timeout(self, timeout: Duration) -> Self {
        Self { request: self.request.timeout(timeout), ..self }
    }

    /// Sends the request and reads at most `max_body` bytes of the answer's body.
    ///
    /// # Cancel safety
    ///
    /// A dropped call closes its connection. The service may have received the request.
    pub(super) async fn exchange(self, max_body: usize, now: Timestamp) -> Result<Answer, NoAnswer> {
        let mut response =
            self.request.send().await.map_err(|error| no_answer(error.without_url(), self.handover.as_ref()))?;
        let status = response.status();
        let mut answer = Answer {
            status,
            retry_after: retry_after(response.headers(), now),
            body: Zeroizing::default(),
            end: End::Whole,
        };
        if status.is_success() || status.is_client_error() {
            answer.end = read(&mut response, &mut answer.body, max_body).await;
        }
        Ok(answer)
    }
}

fn no_answer(error: reqwest::Error, handover: Option<&Handover>) -> NoAnswer {
    let not_sent = handover.map_or(error.is_connect(), Handover::withdraw);
    if not_sent {
        NoAnswer::NotSent(Cause::new(error))
    } else if error.is_timeout() {
        NoAnswer::TimedOut
    } else {
        NoAnswer::Lost(Cause::new(error))
    }
}

async fn read(response: &mut Response, body: &mut Zeroizing<Vec<u8>>, max_body: usize) -> End {
    loop {
        match response.chunk().await {
            Ok(None) => return End::Whole,
            Ok(Some(chunk)) => {
                let fits = chunk.len().min(max_body - body.len());
                extend_wiping(body, &chunk[..fits]);
                if fits < chunk.len() {
                    return End::TooLarge;
                }
            }
            Err(error) if error.is_timeout() => return End::TimedOut,
            Err(error) => return End::CutOff(Cause::new(error.without_url())),
        }
    }
}

/// Grows a buffer without leaving its old, smaller self behind unwiped.
fn extend_wiping(body: &mut Zeroizing<Vec<u8>>, chunk: &[u8]) {
    let needed = body.len() + chunk.len();
    if needed > body.capacity() {
        let mut larger = Vec::with_capacity(needed.next_power_of_two().max(FIRST_BUFFER));
        larger.extend_from_slice(body);
        body.zeroize();
        **body = larger;
    }
    body.extend_from_slice(chunk);
}
