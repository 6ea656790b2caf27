//! One claim being checked: its name for the messages, the calls, and the search for secrets in what comes back.

use std::{error::Error, fmt, sync::Mutex, time::Duration};

use authproxy_core::{
    backend::{BackendError, Credentials, IssuedTokens, Login, RefreshError, RefreshRequest, Reply, RevokeRequest},
    token::{AccessToken, RefreshToken, TokenSet},
};

use super::BackendUnderTest;

/// How long a call may take that the service answers.
pub(super) const TIMEOUT: Duration = Duration::from_secs(10);

pub(super) struct Case<'a> {
    claim: &'static str,
    pub(super) under_test: &'a BackendUnderTest,
    secrets: Mutex<Vec<String>>,
}

impl<'a> Case<'a> {
    pub(super) fn new(claim: &'static str, under_test: &'a BackendUnderTest) -> Self {
        let case = Self { claim, under_test, secrets: Mutex::new(Vec::new()) };
        for credentials in [Some(&under_test.credentials), under_test.refused.as_ref()].into_iter().flatten() {
            if let Credentials::Password { password, .. } = credentials {
                case.is_secret(password);
            }
        }
        case
    }

    /// Fails the claim, and shows `found`, unless `holds`.
    #[track_caller]
    pub(super) fn check(&self, holds: bool, found: impl fmt::Debug) {
        assert!(holds, "the backend breaks its contract: \"{}\", but: {found:?}", self.claim);
    }

    #[track_caller]
    pub(super) fn broken(&self, found: impl fmt::Debug) -> ! {
        panic!("the backend breaks its contract: \"{}\", but: {found:?}", self.claim)
    }

    fn is_secret(&self, text: &str) {
        // Shorter ones stand in innocent words.
        if text.len() >= 5 {
            self.secrets.lock().expect("no panic while locked").push(text.to_owned());
        }
    }

    fn holds_secrets(&self, tokens: &TokenSet) {
        self.is_secret(tokens.access_token.expose_secret());
        if let Some(refresh_token) = &tokens.refresh_token {
            self.is_secret(refresh_token.expose_secret());
        }
    }

    /// Fails when what came back would print a password or a token that this claim has seen.
    #[track_caller]
    fn leaks_nothing(&self, shown: &str) {
        let leaks = self.secrets.lock().expect("no panic while locked").iter().any(|secret| shown.contains(secret));
        assert!(!leaks, "the backend breaks its contract: \"no secret is printed\", while checking \"{}\"", self.claim);
    }

    #[track_caller]
    fn error_leaks_nothing(&self, error: &(dyn Error + 'static)) {
        let mut next = Some(error);
        while let Some(error) = next {
            self.leaks_nothing(&format!("{error} {error:?}"));
            next = error.source();
        }
    }

    pub(super) async fn try_log_in(&self, credentials: &Credentials) -> Result<Login, BackendError> {
        let login = self.under_test.backend.login(credentials).await;
        if let Ok(Login::Issued(IssuedTokens { tokens, .. })) = &login {
            self.holds_secrets(tokens);
        }
        self.leaks_nothing(&format!("{login:?}"));
        if let Err(error) = &login {
            self.error_leaks_nothing(error);
        }
        login
    }

    pub(super) async fn log_in(&self) -> TokenSet {
        match self.try_log_in(&self.under_test.credentials).await {
            Ok(Login::Issued(issued)) => issued.tokens,
            other => self.broken(other),
        }
    }

    /// Logs in; the refresh token that must come.
    pub(super) async fn refresh_token(&self) -> RefreshToken {
        self.log_in().await.refresh_token.unwrap_or_else(|| self.broken("the login brought no refresh token"))
    }

    pub(super) async fn try_refresh(&self, token: &RefreshToken, timeout: Duration) -> Result<TokenSet, RefreshError> {
        self.is_secret(token.expose_secret());
        let key = idempotency_key(token);
        let request = RefreshRequest { refresh_token: token, idempotency_key: &key, timeout };
        let refreshed = self.under_test.backend.refresh(request).await;
        if let Ok(tokens) = &refreshed {
            self.holds_secrets(tokens);
        }
        self.refresh_leaks_nothing(&refreshed);
        refreshed
    }

    pub(super) fn refresh_leaks_nothing(&self, refreshed: &Result<TokenSet, RefreshError>) {
        self.leaks_nothing(&format!("{refreshed:?}"));
        if let Err(error) = refreshed {
            self.error_leaks_nothing(error);
        }
    }

    pub(super) async fn refresh(&self, token: &RefreshToken) -> TokenSet {
        match self.try_refresh(token, TIMEOUT).await {
            Ok(tokens) => tokens,
            Err(error) => self.broken(error),
        }
    }

    pub(super) async fn protected(&self, token: &AccessToken) -> Reply {
        let reply = self.under_test.backend.protected(token).await;
        self.leaks_nothing(&format!("{reply:?}"));
        reply.unwrap_or_else(|error| self.broken(error))
    }

    /// The service must accept this access token.
    pub(super) async fn is_accepted(&self, token: &AccessToken) {
        let reply = self.protected(token).await;
        self.check(reply.status.is_success(), reply);
    }

    pub(super) async fn revoke(&self, tokens: &TokenSet) {
        let request =
            RevokeRequest { refresh_token: tokens.refresh_token.as_ref(), access_token: &tokens.access_token };
        let revoked = self.under_test.backend.revoke(request).await;
        self.leaks_nothing(&format!("{revoked:?}"));
        self.check(revoked.is_ok(), revoked);
    }
}

/// The same for every presentation of a token, different for every other, and no token itself.
pub(super) fn idempotency_key(token: &RefreshToken) -> String {
    use std::hash::{DefaultHasher, Hash, Hasher};
    let mut hasher = DefaultHasher::new();
    token.expose_secret().hash(&mut hasher);
    format!("contract-{:016x}", hasher.finish())
}
