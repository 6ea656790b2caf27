//! [`FakeBackend`]: a small auth service in memory that counts every presentation of every refresh token.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use authproxy_core::{
    backend::{
        AuthBackend, BackendError, Cause, Credentials, IssuedTokens, Login, RefreshError, RefreshRequest, Registration,
        Reply, RevokeRequest, RotationContract,
    },
    clock::{Clock, Timestamp},
    token::{AccessToken, RefreshToken, TokenSet},
};
use bytes::Bytes;
use http::StatusCode;

use crate::{CANARY, Gate};

/// What the next refresh is to do instead of simply working.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum Scripted {
    /// Work after all.
    Work,
    /// Refuse unprocessed, as a 429 does.
    NotProcessed(Option<Duration>),
    /// Refuse the proxy itself, as `invalid_client` does.
    ClientRejected,
    /// Pass a verdict on the token without looking at it.
    Rejected,
    /// Fail before the service has seen the token, and not know it.
    LostBefore,
    /// Rotate, and lose the answer.
    LostAfter,
    /// Rotate, and answer so badly that only the new refresh token can be read.
    Salvageable,
    /// Panic before the service has seen the token.
    PanicBefore,
    /// Rotate, and panic.
    PanicAfter,
    /// Wait at the gate before the service sees the token.
    HoldBefore(Gate),
    /// Rotate, and wait at the gate before answering.
    HoldAfter(Gate),
    /// Take this long before the service sees the token.
    Slow(Duration),
    /// Issue an access token with this life.
    AccessTtl(Option<Duration>),
    /// Issue an access token but keep the refresh token (RFC 6749, section 6).
    KeepRefreshToken,
}

/// An auth service in memory. Clones share it, also as `Arc<dyn AuthBackend>`.
#[derive(Clone)]
pub struct FakeBackend {
    service: Arc<Mutex<Service>>,
    clock: Arc<dyn Clock>,
    contract: RotationContract,
}

struct Service {
    access_ttl: Duration,
    refresh_ttl: Duration,
    issued: u64,
    script: VecDeque<Scripted>,
    login_gate: Option<Gate>,
    refresh_tokens: HashMap<String, Issued>,
    access_tokens: HashMap<String, (u64, Timestamp)>,
    revoked_families: HashSet<u64>,
    presentations: HashMap<String, u32>,
    presented_at: Vec<Timestamp>,
    answers: HashMap<String, (String, String)>,
    revocations: u32,
}

struct Issued {
    family: u64,
    expires_at: Timestamp,
    spent_at: Option<Timestamp>,
}

impl FakeBackend {
    /// A service with strict rotation, access tokens of 2 minutes and refresh tokens of an hour.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self::with_contract(clock, RotationContract::Strict)
    }

    /// A service that keeps to this contract, and punishes what the contract forbids by revoking the family.
    pub fn with_contract(clock: Arc<dyn Clock>, contract: RotationContract) -> Self {
        let service = Service {
            access_ttl: Duration::from_mins(2),
            refresh_ttl: Duration::from_hours(1),
            issued: 0,
            script: VecDeque::new(),
            login_gate: None,
            refresh_tokens: HashMap::new(),
            access_tokens: HashMap::new(),
            revoked_families: HashSet::new(),
            presentations: HashMap::new(),
            presented_at: Vec::new(),
            answers: HashMap::new(),
            revocations: 0,
        };
        Self { service: Arc::new(Mutex::new(service)), clock, contract }
    }

    /// The life of tokens issued from now on.
    #[must_use]
    pub fn ttls(self, access: Duration, refresh: Duration) -> Self {
        let mut service = self.lock();
        (service.access_ttl, service.refresh_ttl) = (access, refresh);
        drop(service);
        self
    }

    /// Queues what the next refreshes do, one entry a call; when the queue is empty they work.
    pub fn script(&self, script: impl IntoIterator<Item = Scripted>) {
        self.lock().script.extend(script);
    }

    /// Holds logins at a gate, after the service has issued the tokens.
    pub fn hold_logins(&self, gate: Gate) {
        self.lock().login_gate = Some(gate);
    }

    /// How many presentations of refresh tokens the service saw.
    pub fn presentations(&self) -> usize {
        self.lock().presentations.values().map(|count| *count as usize).sum()
    }

    /// How often the most often presented token was presented.
    pub fn most_presentations_of_one_token(&self) -> u32 {
        self.lock().presentations.values().copied().max().unwrap_or(0)
    }

    /// When each presentation came, in order.
    pub fn presented_at(&self) -> Vec<Timestamp> {
        self.lock().presented_at.clone()
    }

    /// How many revocations the service was asked for.
    pub fn revocations(&self) -> u32 {
        self.lock().revocations
    }

    /// Whether the service would accept this access token now.
    pub fn accepts(&self, token: &AccessToken) -> bool {
        self.lock().accepts(token, self.clock.now())
    }

    /// How many families still have a refresh token that works.
    pub fn live_families(&self) -> usize {
        let service = self.lock();
        let now = self.clock.now();
        let live = service.refresh_tokens.values().filter(|issued| {
            issued.spent_at.is_none() && now < issued.expires_at && !service.revoked_families.contains(&issued.family)
        });
        live.map(|issued| issued.family).collect::<HashSet<_>>().len()
    }

    fn lock(&self) -> MutexGuard<'_, Service> {
        self.service.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn process(&self, request: &RefreshRequest<'_>, scripted: &Scripted) -> Result<TokenSet, RefreshError> {
        let now = self.clock.now();
        let mut service = self.lock();
        let presented = request.refresh_token.expose_secret().to_owned();
        *service.presentations.entry(presented.clone()).or_default() += 1;
        service.presented_at.push(now);
        if matches!(scripted, Scripted::Rejected) {
            return Err(rejected());
        }
        if let (RotationContract::Idempotent, Some((access, refresh))) =
            (self.contract, service.answers.get(request.idempotency_key).cloned())
        {
            return Ok(service.token_set(&access, Some(&refresh), now));
        }
        let family = service.judge(&presented, self.contract, now).ok_or_else(rejected)?;
        let keeps = self.contract == RotationContract::Reusable || matches!(scripted, Scripted::KeepRefreshToken);
        let access_ttl = match scripted {
            Scripted::AccessTtl(ttl) => ttl.unwrap_or(service.access_ttl),
            _ => service.access_ttl,
        };
        let access = service.issue_access(family, now, access_ttl);
        if keeps {
            return Ok(service.token_set(&access, None, now));
        }
        let spent = service.refresh_tokens.get_mut(&presented).expect("judged");
        spent.spent_at.get_or_insert(now);
        let refresh = service.issue_refresh(family, now);
        service.answers.insert(request.idempotency_key.to_owned(), (access.clone(), refresh.clone()));
        let mut tokens = service.token_set(&access, Some(&refresh), now);
        if matches!(scripted, Scripted::AccessTtl(None)) {
            tokens.access_expires_at = None;
        }
        Ok(tokens)
    }
}

#[async_trait]
impl AuthBackend for FakeBackend {
    async fn register(&self, _: &Registration) -> Result<Reply, BackendError> {
        Ok(reply(StatusCode::OK, r#"{"message":"registered"}"#))
    }

    async fn login(&self, credentials: &Credentials) -> Result<Login, BackendError> {
        let Credentials::Password { password, .. } = credentials else {
            return Err(BackendError::Malformed(Cause::new("passwords only")));
        };
        if password.as_str() == "wrong" {
            return Ok(Login::Refused(reply(StatusCode::UNAUTHORIZED, r#"{"detail":"Invalid credentials"}"#)));
        }
        let now = self.clock.now();
        let (tokens, gate) = {
            let mut service = self.lock();
            service.issued += 1;
            let (family, access_ttl) = (service.issued, service.access_ttl);
            let access = service.issue_access(family, now, access_ttl);
            let refresh = service.issue_refresh(family, now);
            (service.token_set(&access, Some(&refresh), now), service.login_gate.clone())
        };
        if let Some(gate) = gate {
            gate.pass().await;
        }
        Ok(Login::Issued(IssuedTokens { tokens, extra: serde_json::Map::new() }))
    }

    async fn refresh(&self, request: RefreshRequest<'_>) -> Result<TokenSet, RefreshError> {
        let scripted = self.lock().script.pop_front().unwrap_or(Scripted::Work);
        match &scripted {
            Scripted::NotProcessed(retry_after) => {
                let cause = Cause::new("scripted");
                return Err(RefreshError::NotProcessed { retry_after: *retry_after, cause });
            }
            Scripted::ClientRejected => {
                return Err(RefreshError::ClientRejected(reply(
                    StatusCode::UNAUTHORIZED,
                    r#"{"error":"invalid_client"}"#,
                )));
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
            _ => {}
        }
        answer
    }

    async fn revoke(&self, request: RevokeRequest<'_>) -> Result<(), BackendError> {
        let mut service = self.lock();
        service.revocations += 1;
        let by_refresh = request.refresh_token.and_then(|token| service.refresh_tokens.get(token.expose_secret()));
        let family = by_refresh
            .map(|issued| issued.family)
            .or_else(|| service.access_tokens.get(request.access_token.expose_secret()).map(|(family, _)| *family));
        if let Some(family) = family {
            service.revoked_families.insert(family);
        }
        Ok(())
    }

    async fn protected(&self, access_token: &AccessToken) -> Result<Reply, BackendError> {
        if self.accepts(access_token) {
            Ok(reply(StatusCode::OK, r#"{"message":"protected"}"#))
        } else {
            Ok(reply(StatusCode::UNAUTHORIZED, r#"{"detail":"Invalid token"}"#))
        }
    }

    fn rotation(&self) -> RotationContract {
        self.contract
    }
}

impl Service {
    /// The family of a token that may be used now; reuse outside the contract revokes the family.
    fn judge(&mut self, presented: &str, contract: RotationContract, now: Timestamp) -> Option<u64> {
        let issued = self.refresh_tokens.get(presented)?;
        let family = issued.family;
        if now >= issued.expires_at || self.revoked_families.contains(&family) {
            return None;
        }
        let forgiven = match (issued.spent_at, contract) {
            (None, _) => true,
            (Some(spent_at), RotationContract::Grace(grace)) => now.since(spent_at) < grace,
            (Some(_), _) => false,
        };
        if !forgiven {
            self.revoked_families.insert(family);
            return None;
        }
        Some(family)
    }

    fn issue_access(&mut self, family: u64, now: Timestamp, ttl: Duration) -> String {
        self.issued += 1;
        let token = format!("{CANARY}-access-{}", self.issued);
        self.access_tokens.insert(token.clone(), (family, now.plus(ttl)));
        token
    }

    fn issue_refresh(&mut self, family: u64, now: Timestamp) -> String {
        self.issued += 1;
        let token = format!("{CANARY}-refresh-{}", self.issued);
        let issued = Issued { family, expires_at: now.plus(self.refresh_ttl), spent_at: None };
        self.refresh_tokens.insert(token.clone(), issued);
        token
    }

    fn accepts(&self, token: &AccessToken, now: Timestamp) -> bool {
        self.access_tokens
            .get(token.expose_secret())
            .is_some_and(|(family, expires_at)| now < *expires_at && !self.revoked_families.contains(family))
    }

    fn token_set(&self, access: &str, refresh: Option<&str>, now: Timestamp) -> TokenSet {
        TokenSet {
            access_token: AccessToken::new(access).expect("well-formed"),
            access_expires_at: self.access_tokens.get(access).map(|(_, expires_at)| *expires_at),
            refresh_token: refresh.map(|token| RefreshToken::new(token).expect("well-formed")),
            refresh_expires_at: refresh.map(|_| now.plus(self.refresh_ttl)),
            refresh_in: None,
        }
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
