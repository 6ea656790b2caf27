//! A suite that checks an [`AuthBackend`] against its contract, with a service that you supply:
//!
//! ```no_run
//! # use std::sync::Arc;
//! # use authproxy_core::{HttpBackend, backend::Credentials};
//! use authproxy_testing::backend_contract::{BackendUnderTest, check_backend};
//!
//! # async fn example() -> Result<(), Box<dyn std::error::Error>> {
//! let backend = Arc::new(HttpBackend::builder("https://staging.example.com").build()?);
//! let report = check_backend(async || {
//!     BackendUnderTest::new(backend.clone(), Credentials::password("user@example.com", "password123"))
//!         .refusing(Credentials::password("user@example.com", "wrong"))
//! })
//! .await;
//! println!("not checked: {:?}", report.skipped);
//! # Ok(()) }
//! ```
//!
//! Every claim is a function of its own. A claim that does not hold panics with a message that names it.

mod case;
mod claims;
mod failures;

use std::{pin::Pin, sync::Arc};

use authproxy_core::backend::{AuthBackend, Credentials};

pub use self::{claims::*, failures::*};
pub use crate::report::Report;

type Hook<T> = Box<dyn Fn() -> T + Send + Sync>;

/// A backend with a service that lets one user in, and what the suite may do to that service.
pub struct BackendUnderTest {
    pub(crate) backend: Arc<dyn AuthBackend>,
    pub(crate) credentials: Credentials,
    pub(crate) refused: Option<Credentials>,
    pub(crate) unreachable: Option<Arc<dyn AuthBackend>>,
    pub(crate) lose_next_answer: Option<Hook<()>>,
    pub(crate) hang_next_refresh: Option<Hook<()>>,
    pub(crate) presentations: Option<Hook<usize>>,
    revokes: bool,
}

impl BackendUnderTest {
    /// A backend whose service accepts these credentials, as often as they are sent.
    pub fn new(backend: Arc<dyn AuthBackend>, credentials: Credentials) -> Self {
        Self {
            backend,
            credentials,
            refused: None,
            unreachable: None,
            lose_next_answer: None,
            hang_next_refresh: None,
            presentations: None,
            revokes: false,
        }
    }

    /// Credentials that the service refuses.
    #[must_use]
    pub fn refusing(mut self, credentials: Credentials) -> Self {
        self.refused = Some(credentials);
        self
    }

    /// The same implementation, pointed to where nobody listens.
    #[must_use]
    pub fn unreachable(mut self, backend: Arc<dyn AuthBackend>) -> Self {
        self.unreachable = Some(backend);
        self
    }

    /// How to make the service process the next refresh and lose its answer.
    #[must_use]
    pub fn losing_answers(mut self, lose_next: impl Fn() + Send + Sync + 'static) -> Self {
        self.lose_next_answer = Some(Box::new(lose_next));
        self
    }

    /// How to make the service take the next refresh and never answer it.
    #[must_use]
    pub fn hanging(mut self, hang_next: impl Fn() + Send + Sync + 'static) -> Self {
        self.hang_next_refresh = Some(Box::new(hang_next));
        self
    }

    /// How many presentations of refresh tokens the service has seen so far.
    #[must_use]
    pub fn counting(mut self, presentations: impl Fn() -> usize + Send + Sync + 'static) -> Self {
        self.presentations = Some(Box::new(presentations));
        self
    }

    /// Says that the service revokes what it is asked to.
    #[must_use]
    pub fn revoking(mut self) -> Self {
        self.revokes = true;
        self
    }

    fn meets(&self, needs: Needs) -> bool {
        match needs {
            Needs::Nothing => true,
            Needs::Refusal => self.refused.is_some(),
            Needs::Revocation => self.revokes,
            Needs::Unreachable => self.unreachable.is_some(),
            Needs::LostAnswer => self.lose_next_answer.is_some(),
            Needs::Hanging => self.hang_next_refresh.is_some(),
            Needs::Counting => self.presentations.is_some(),
        }
    }
}

/// Checks every claim, each with what `make` supplies anew.
///
/// # Panics
///
/// With the name of the first claim that does not hold.
pub async fn check_backend(make: impl AsyncFn() -> BackendUnderTest) -> Report {
    let mut report = Report::default();
    for claim in CLAIMS {
        let under_test = make().await;
        if under_test.meets(claim.needs) {
            (claim.check)(&under_test).await;
            report.held.push(claim.name);
        } else {
            report.skipped.push(claim.name);
        }
    }
    report
}

type Check = for<'a> fn(&'a BackendUnderTest) -> Pin<Box<dyn Future<Output = ()> + 'a>>;

struct Claim {
    name: &'static str,
    needs: Needs,
    check: Check,
}

#[derive(Clone, Copy)]
enum Needs {
    Nothing,
    Refusal,
    Revocation,
    Unreachable,
    LostAnswer,
    Hanging,
    Counting,
}

const fn claim(name: &'static str, needs: Needs, check: Check) -> Claim {
    Claim { name, needs, check }
}

const CLAIMS: &[Claim] = &[
    claim("a login brings tokens that work", Needs::Nothing, |case| Box::pin(a_login_brings_tokens_that_work(case))),
    claim("each login brings its own tokens", Needs::Nothing, |case| Box::pin(each_login_brings_its_own_tokens(case))),
    claim("a refused login is no error", Needs::Refusal, |case| Box::pin(a_refused_login_is_no_error(case))),
    claim("an invented access token is refused", Needs::Nothing, |case| {
        Box::pin(an_invented_access_token_is_refused(case))
    }),
    claim("a refresh leads to the next", Needs::Nothing, |case| Box::pin(a_refresh_leads_to_the_next(case))),
    claim("tokens rotate as was declared", Needs::Nothing, |case| Box::pin(tokens_rotate_as_was_declared(case))),
    claim("presenting again is what was declared", Needs::Nothing, |case| {
        Box::pin(presenting_again_is_what_was_declared(case))
    }),
    claim("an invented refresh token is rejected", Needs::Nothing, |case| {
        Box::pin(an_invented_refresh_token_is_rejected(case))
    }),
    claim("a revoked refresh token is rejected", Needs::Revocation, |case| {
        Box::pin(a_revoked_refresh_token_is_rejected(case))
    }),
    claim("a refresh is sent once", Needs::Counting, |case| Box::pin(a_refresh_is_sent_once(case))),
    claim("sessions at once never mix", Needs::Nothing, |case| Box::pin(sessions_at_once_never_mix(case))),
    claim("an unreachable service has processed nothing", Needs::Unreachable, |case| {
        Box::pin(an_unreachable_service_has_processed_nothing(case))
    }),
    claim("a lost answer is ambiguous", Needs::LostAnswer, |case| Box::pin(a_lost_answer_is_ambiguous(case))),
    claim("a refresh without an answer ends in time", Needs::Hanging, |case| {
        Box::pin(a_refresh_without_an_answer_ends_in_time(case))
    }),
];
