//! One call to a [`FakeBackend`](super::FakeBackend), from its arrival to its answer.

use async_trait::async_trait;
use authproxy_core::{
    backend::{
        AuthBackend, BackendError, Cause, Credentials, IssuedTokens, Login, RefreshError, RefreshRequest, Registration,
        Reply, RevokeRequest, RotationContract,
    },
    token::{AccessToken, RefreshToken, TokenSet},
};
use bytes::Bytes;
use http::StatusCode;

use super::{Call, CallFault, FakeBackend, Scripted, UnderWay};
use crate::service::Tokens;

#[async_trait]
impl AuthBackend for FakeBackend {
    async fn register(&self, _: &Registration) -> Result<Reply, BackendError> {
        self.play(Call::Register, |fault| match fault {
            CallFault::Refused => reply(StatusCode::BAD_REQUEST, r#"{"detail":"Email already registered"}"#),
            _ => reply(StatusCode::OK, r#"{"message":"registered"}"#),
        })
        .await
    }

    async fn login(&self, credentials: &Credentials) -> Result<Login, BackendError> {
        let Credentials::Password { password, .. } = credentials else {
            return Err(BackendError::Malformed(Cause::new("passwords only")));
        };
        self.play(Call::Login, |fault| {
            if matches!(fault, CallFault::Refused) || password.as_str() == super::WRONG_PASSWORD {
                return Login::Refused(reply(StatusCode::UNAUTHORIZED, r#"{"detail":"Invalid credentials"}"#));
            }
            let mut tokens = token_set(self.lock().service.log_in(self.now()));
            if matches!(fault, CallFault::WithoutRefreshToken) {
                (tokens.refresh_token, tokens.refresh_expires_at) = (None, None);
            }
            Login::Issued(IssuedTokens { tokens, extra: serde_json::Map::new() })
        })
        .await
    }

    async fn refresh(&self, request: RefreshRequest<'_>) -> Result<TokenSet, RefreshError> {
        let under_way = UnderWay::begin(self);
        let answer = self.play_refresh(request).await;
        under_way.answered();
        answer
    }

    async fn revoke(&self, request: RevokeRequest<'_>) -> Result<(), BackendError> {
        self.play(Call::Revoke, |_| {
            let mut inner = self.lock();
            inner.revocations += 1;
            inner.service.revoke(request.access_token.expose_secret());
            if let Some(refresh_token) = request.refresh_token {
                inner.service.revoke(refresh_token.expose_secret());
            }
        })
        .await
    }

    async fn protected(&self, access_token: &AccessToken) -> Result<Reply, BackendError> {
        self.play(Call::Protected, |fault| {
            if self.accepts(access_token) && !matches!(fault, CallFault::Refused) {
                reply(StatusCode::OK, r#"{"message":"protected"}"#)
            } else {
                reply(StatusCode::UNAUTHORIZED, r#"{"detail":"Invalid token"}"#)
            }
        })
        .await
    }

    fn rotation(&self) -> RotationContract {
        self.contract
    }
}

impl FakeBackend {
    /// Plays a call that is no refresh. `process` is the service's part; its result is the honest answer.
    async fn play<T>(&self, call: Call, process: impl FnOnce(&CallFault) -> T + Send) -> Result<T, BackendError> {
        let fault = self.next_call(call);
        match &fault {
            CallFault::Unreachable => return Err(BackendError::Unreachable(Cause::new("scripted"))),
            CallFault::Overloaded(retry_after) => {
                return Err(BackendError::Overloaded { retry_after: *retry_after });
            }
            CallFault::Panic => panic!("scripted panic"),
            CallFault::HoldBefore(gate) => gate.pass().await,
            _ => {}
        }
        let answer = process(&fault);
        let held = self.lock().login_gate.clone().filter(|_| call == Call::Login);
        if let Some(gate) = held {
            gate.pass().await;
        }
        match &fault {
            CallFault::TimedOut => Err(BackendError::TimedOut),
            CallFault::Malformed => Err(BackendError::Malformed(Cause::new("scripted"))),
            CallFault::HoldAfter(gate) => {
                gate.pass().await;
                Ok(answer)
            }
            _ => Ok(answer),
        }
    }

    async fn play_refresh(&self, request: RefreshRequest<'_>) -> Result<TokenSet, RefreshError> {
        let scripted = self.next_refresh();
        match &scripted {
            Scripted::NotProcessed(retry_after) => {
                let cause = Cause::new("scripted");
                return Err(RefreshError::NotProcessed { retry_after: *retry_after, cause });
            }
            Scripted::ClientRejected => {
                let refusal = reply(StatusCode::UNAUTHORIZED, r#"{"error":"invalid_client"}"#);
                return Err(RefreshError::ClientRejected(refusal));
            }
            Scripted::LostBefore => return Err(lost(None)),
            Scripted::PanicBefore => panic!("scripted panic"),
            Scripted::HoldBefore(gate) => gate.pass().await,
            Scripted::Slow(delay) => tokio::time::sleep(*delay).await,
            _ => {}
        }
        let answer = self.process(&request, &scripted);
        match &scripted {
            Scripted::LostAfter => return Err(lost(None)),
            Scripted::Salvageable => return Err(lost(answer.ok().and_then(|tokens| tokens.refresh_token))),
            Scripted::PanicAfter => panic!("scripted panic"),
            Scripted::HoldAfter(gate) => gate.pass().await,
            Scripted::TimedOutAfter => {
                tokio::time::sleep(request.timeout).await;
                return Err(lost(None));
            }
            _ => {}
        }
        answer
    }

    fn process(&self, request: &RefreshRequest<'_>, scripted: &Scripted) -> Result<TokenSet, RefreshError> {
        let now = self.now();
        let presented = request.refresh_token.expose_secret();
        let mut inner = self.lock();
        *inner.presentations.entry(presented.to_owned()).or_default() += 1;
        inner.presented_at.push(now);
        if matches!(scripted, Scripted::Rejected) {
            return Err(rejected());
        }
        let usual = inner.service.lifetimes;
        if let Scripted::AccessTtl(Some(ttl)) = scripted {
            inner.service.lifetimes.access = Some(*ttl);
        }
        let keep = matches!(scripted, Scripted::KeepRefreshToken);
        let tokens = inner.service.refresh(presented, Some(request.idempotency_key), keep, now);
        inner.service.lifetimes = usual;
        let mut tokens = token_set(tokens.ok_or_else(rejected)?);
        if matches!(scripted, Scripted::AccessTtl(None)) {
            tokens.access_expires_at = None;
        }
        Ok(tokens)
    }
}

fn token_set(tokens: Tokens) -> TokenSet {
    TokenSet {
        access_token: AccessToken::new(&tokens.access_token).expect("well-formed"),
        access_expires_at: tokens.access_expires_at,
        refresh_token: tokens.refresh_token.map(|token| RefreshToken::new(&token).expect("well-formed")),
        refresh_expires_at: tokens.refresh_expires_at,
        refresh_in: None,
    }
}

fn reply(status: StatusCode, body: &'static str) -> Reply {
    Reply { status, body: Bytes::from_static(body.as_bytes()), is_json: true, retry_after: None }
}

fn rejected() -> RefreshError {
    RefreshError::Rejected(reply(StatusCode::UNAUTHORIZED, r#"{"detail":"Invalid refresh token"}"#))
}

fn lost(salvaged: Option<RefreshToken>) -> RefreshError {
    RefreshError::Ambiguous { retry_after: None, salvaged, cause: Cause::new("scripted") }
}
