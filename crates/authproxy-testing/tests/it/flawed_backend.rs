//! An honest backend with one flaw, which the suite must find.

use std::{sync::Mutex, time::Duration};

use async_trait::async_trait;
use authproxy_core::{
    backend::{
        AuthBackend, BackendError, Cause, Credentials, Login, RefreshError, RefreshRequest, Registration, Reply,
        RevokeRequest, RotationContract,
    },
    token::{AccessToken, TokenSet},
};
use authproxy_testing::FakeBackend;

/// What a [`FlawedBackend`] does wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Flaw {
    RetriesByItself,
    LostIsNotProcessed,
    LostIsRejected,
    RejectedIsAmbiguous,
    RefusalIsAnError,
    UnreachableIsAmbiguous,
    IgnoresTheTimeout,
    LeaksTheRefreshToken,
    DeclaresAGraceThatIsNone,
    DeclaresReusableThatRotates,
    MixesSessions,
    RevokesNothing,
    ProtectedRefusalIsAnError,
}

impl Flaw {
    pub(crate) const ALL: [Self; 13] = [
        Self::RetriesByItself,
        Self::LostIsNotProcessed,
        Self::LostIsRejected,
        Self::RejectedIsAmbiguous,
        Self::RefusalIsAnError,
        Self::UnreachableIsAmbiguous,
        Self::IgnoresTheTimeout,
        Self::LeaksTheRefreshToken,
        Self::DeclaresAGraceThatIsNone,
        Self::DeclaresReusableThatRotates,
        Self::MixesSessions,
        Self::RevokesNothing,
        Self::ProtectedRefusalIsAnError,
    ];
}

pub(crate) struct FlawedBackend {
    pub(crate) inner: FakeBackend,
    flaw: Flaw,
    last: Mutex<Option<TokenSet>>,
}

impl FlawedBackend {
    pub(crate) fn new(inner: FakeBackend, flaw: Flaw) -> Self {
        Self { inner, flaw, last: Mutex::new(None) }
    }

    fn has(&self, flaw: Flaw) -> bool {
        self.flaw == flaw
    }
}

#[async_trait]
impl AuthBackend for FlawedBackend {
    async fn register(&self, registration: &Registration) -> Result<Reply, BackendError> {
        self.inner.register(registration).await
    }

    async fn login(&self, credentials: &Credentials) -> Result<Login, BackendError> {
        match self.inner.login(credentials).await {
            Ok(Login::Refused(_)) if self.has(Flaw::RefusalIsAnError) => {
                Err(BackendError::Malformed(Cause::new("refused")))
            }
            other => other,
        }
    }

    async fn refresh(&self, request: RefreshRequest<'_>) -> Result<TokenSet, RefreshError> {
        let cause = Cause::new("flawed");
        let ambiguous = RefreshError::Ambiguous { retry_after: None, salvaged: None, cause: cause.clone() };
        let refreshed = match self.inner.refresh(request).await {
            Err(RefreshError::Ambiguous { .. }) if self.has(Flaw::RetriesByItself) => {
                self.inner.refresh(request).await.map_err(|_| ambiguous)
            }
            Err(RefreshError::Ambiguous { .. }) if self.has(Flaw::LostIsNotProcessed) => {
                Err(RefreshError::NotProcessed { retry_after: None, cause })
            }
            Err(RefreshError::Ambiguous { .. }) if self.has(Flaw::LostIsRejected) => {
                let body = bytes::Bytes::new();
                let status = http::StatusCode::UNAUTHORIZED;
                Err(RefreshError::Rejected(Reply { status, body, is_json: false, retry_after: None }))
            }
            Err(RefreshError::Ambiguous { .. }) if self.has(Flaw::IgnoresTheTimeout) => {
                tokio::time::sleep(Duration::from_secs(60)).await;
                Err(ambiguous)
            }
            Err(RefreshError::Ambiguous { .. }) if self.has(Flaw::LeaksTheRefreshToken) => {
                let cause = Cause::new(format!("no answer for {}", request.refresh_token.expose_secret()));
                Err(RefreshError::Ambiguous { retry_after: None, salvaged: None, cause })
            }
            Err(RefreshError::Rejected(_)) if self.has(Flaw::RejectedIsAmbiguous) => Err(ambiguous),
            Err(RefreshError::NotProcessed { .. }) if self.has(Flaw::UnreachableIsAmbiguous) => Err(ambiguous),
            other => other,
        };
        if let (true, Ok(tokens)) = (self.has(Flaw::MixesSessions), &refreshed) {
            let mut last = self.last.lock().unwrap();
            return Ok(last.get_or_insert_with(|| tokens.clone()).clone());
        }
        refreshed
    }

    async fn revoke(&self, request: RevokeRequest<'_>) -> Result<(), BackendError> {
        if self.has(Flaw::RevokesNothing) { Ok(()) } else { self.inner.revoke(request).await }
    }

    async fn protected(&self, access_token: &AccessToken) -> Result<Reply, BackendError> {
        match self.inner.protected(access_token).await {
            Ok(reply) if self.has(Flaw::ProtectedRefusalIsAnError) && !reply.status.is_success() => {
                Err(BackendError::Malformed(Cause::new("refused")))
            }
            other => other,
        }
    }

    fn rotation(&self) -> RotationContract {
        match self.flaw {
            Flaw::DeclaresAGraceThatIsNone => RotationContract::Grace(Duration::from_secs(10)),
            Flaw::DeclaresReusableThatRotates => RotationContract::Reusable,
            _ => self.inner.rotation(),
        }
    }
}
