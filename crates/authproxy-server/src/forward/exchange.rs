//! One request to an upstream: sent, perhaps once more with a fresh token, and its answer made the browser's.

use std::{pin::pin, sync::Arc};

use authproxy_core::session::SessionKey;
use futures_util::future::select;
use http::{
    HeaderValue, Response, StatusCode,
    header::{CONNECTION, CONTENT_TYPE, SET_COOKIE, UPGRADE, WWW_AUTHENTICATE},
    request::Parts,
};

use super::{
    Caller, Destination,
    connect::Protocols,
    download::Download,
    error::UpstreamError,
    headers::{self, Onward},
    live::Live,
    message::Message,
    upload::{self, Source},
    upstream::{AnswerBody, Place},
    wait::Wait,
};
use crate::{body::Body, problem::Problem, response::Response as Answer, service::App, tunnel::Tunnel};

/// One request and what was found out about it.
pub(super) struct Exchange<'a> {
    pub(super) app: &'a App,
    pub(super) head: &'a Parts,
    pub(super) onward: Onward<'a>,
    pub(super) destination: &'a Destination<'a>,
    pub(super) caller: Option<Caller<'a>>,
}

type Head = (Response<AnswerBody>, Place);

impl Exchange<'_> {
    /// Sends the request; a second time only with a body that is kept.
    pub(super) async fn send(&self, body: &mut Source) -> Result<Head, Problem> {
        let route = self.destination.route;
        let message = Message {
            method: &self.head.method,
            target: &self.destination.target,
            headers: &self.head.headers,
            onward: &self.onward,
            token: self.caller.as_ref().map(|caller| &caller.token),
        };
        let protocols = if self.onward.upgrade.is_some() { Protocols::Http1 } else { Protocols::All };
        let upload = body.take().ok_or(Problem::Internal)?;
        let wait =
            Wait { patience: route.config.first_byte_timeout, progress: body.progress(), session: self.session() };
        let sent = route.upstream.send(&message, upload, protocols, &wait).await;
        // What went wrong with the peer's own body is the peer's to hear.
        sent.map_err(|error| match body.progress().and_then(upload::Progress::failed) {
            Some(failed) => failed.into(),
            None => Problem::Upstream(error),
        })
    }

    fn session(&self) -> Option<(&Arc<Live>, SessionKey)> {
        self.caller.as_ref().map(|caller| (&self.app.forwarder.live, caller.key))
    }

    /// Whether the upstream refused our access token (RFC 6750, section 3.1), and not something else.
    pub(super) fn was_refused(&self, response: &Response<AnswerBody>) -> bool {
        // Asked first: nearly every answer is another one.
        if response.status() != StatusCode::UNAUTHORIZED || self.caller.is_none() {
            return false;
        }
        let mut challenges = response.headers().get_all(WWW_AUTHENTICATE).iter().peekable();
        let is_plain = challenges.peek().is_none();
        let refuses_token = |challenge: &HeaderValue| {
            let text = String::from_utf8_lossy(challenge.as_bytes()).to_ascii_lowercase();
            text.starts_with("bearer") && (!text.contains("error=") || text.contains("invalid_token"))
        };
        is_plain || challenges.any(refuses_token)
    }

    /// Has the refused token replaced, once for all who saw it; whether there is a newer one to try again with.
    pub(super) async fn renew(&mut self, wants_it: bool) -> Result<bool, Problem> {
        let Some(caller) = &mut self.caller else { return Ok(false) };
        self.app.manager.report_rejected(&caller.key, caller.token.version());
        if !wants_it {
            return Ok(false);
        }
        let fresh = self.app.manager.access_token(&caller.key).await?;
        let is_newer = fresh.version() > caller.token.version();
        caller.token = fresh;
        Ok(is_newer)
    }

    pub(super) fn answer(self, mut response: Response<AnswerBody>, place: Place) -> Result<Answer, Problem> {
        let route = &self.destination.route.config;
        if response.status() == StatusCode::SWITCHING_PROTOCOLS {
            return self.tunnel(response, place);
        }
        self.clean(&mut response);
        let is_endless = response.headers().get(CONTENT_TYPE).is_some_and(is_event_stream);
        Ok(response.map(|body| {
            let session = self.session().map(|(live, key)| (live.clone(), key));
            let mut download = Download::new(body, place, route.idle_timeout, session);
            if is_endless {
                download.end_with(&self.app.forwarder.shutdown);
            }
            Body::Streamed(Box::new(download))
        }))
    }

    /// Makes the connection a tunnel: what the browser and the upstream say on it is theirs from here on, as long as
    /// the session lives.
    fn tunnel(self, response: Response<AnswerBody>, place: Place) -> Result<Answer, Problem> {
        let route = &self.destination.route.config;
        let protocol = response.headers().get(UPGRADE).cloned();
        let (Some(protocol), Some(_)) = (protocol, self.onward.upgrade) else {
            return Err(Problem::Upstream(UpstreamError::UnaskedUpgrade));
        };
        let (head, body) = response.into_parts();
        let Some(upstream) = body.into_tunnel() else {
            return Err(Problem::Upstream(UpstreamError::UnaskedUpgrade));
        };
        let lasting = self.session().map(|(live, key)| live.enter(key));
        let shutdown = self.app.forwarder.shutdown.clone();
        let ended = async move {
            let _in_use = place;
            match &lasting {
                Some(lasting) => {
                    let _ = select(pin!(lasting.ended().cancelled()), pin!(shutdown.cancelled())).await;
                }
                None => shutdown.cancelled().await,
            }
        };
        let mut answer = Response::from_parts(head, Body::whole(""));
        self.clean(&mut answer);
        answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("upgrade"));
        answer.headers_mut().insert(UPGRADE, protocol);
        answer.extensions_mut().insert(Tunnel::new(upstream, route.idle_timeout, ended));
        Ok(answer)
    }

    /// Takes out of an answer's header what is not the browser's, and adds what is.
    fn clean<B>(&self, response: &mut Response<B>) {
        let (version, app) = (response.version(), self.app);
        let (route, asked) = (&self.destination.route.config, &self.head.headers);
        headers::answer(response.headers_mut(), route, app.cookie, version, asked, &app.origins);
        if let Some(Caller { id, token, .. }) = &self.caller
            && let Some(cookie) = app.prolonged(id, token)
        {
            response.headers_mut().append(SET_COOKIE, cookie);
        }
    }
}

/// Whether a content type is that of server-sent events.
fn is_event_stream(content_type: &HeaderValue) -> bool {
    let name = content_type.as_bytes().split(|byte| *byte == b';').next().unwrap_or_default();
    name.trim_ascii().eq_ignore_ascii_case(b"text/event-stream")
}
