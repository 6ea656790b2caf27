//! Which problem each error is.

use authproxy_core::{
    backend::BackendError,
    error::{CloseError, ExchangeError, LogInReason, OpenError, TokenError},
};

use super::{BEARER, Problem, SOON};
use crate::{
    cookie::Conflicting,
    csrf::CrossSite,
    heads::Refusal,
    validate::{BodyError, Invalid},
};

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        Self::Framing(refusal)
    }
}

impl From<Conflicting> for Problem {
    fn from(_: Conflicting) -> Self {
        Self::ConflictingCookies
    }
}

impl From<CrossSite> for Problem {
    fn from(_: CrossSite) -> Self {
        Self::CrossSite
    }
}

impl From<Invalid> for Problem {
    fn from(invalid: Invalid) -> Self {
        Self::Invalid(invalid)
    }
}

impl From<BodyError> for Problem {
    fn from(error: BodyError) -> Self {
        match error {
            BodyError::Invalid(invalid) => Self::Invalid(invalid),
            BodyError::Unreadable => Self::BodyUnreadable,
        }
    }
}

impl From<BackendError> for Problem {
    fn from(error: BackendError) -> Self {
        Self::Backend(error)
    }
}

impl From<CloseError> for Problem {
    fn from(error: CloseError) -> Self {
        Self::LogoutFailed(error)
    }
}

impl From<TokenError> for Problem {
    fn from(error: TokenError) -> Self {
        match error {
            TokenError::LogInAgain(LogInReason::Unknown) => Self::UnknownSession,
            TokenError::LogInAgain(_) => Self::SessionExpired,
            TokenError::Unavailable { reason, retry_after } => Self::Unavailable { reason, retry_after },
            _ => Self::Internal,
        }
    }
}

impl From<OpenError> for Problem {
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::Refused(reply) => Self::Refused { challenge: BEARER, reply },
            OpenError::Backend(error) => Self::Backend(error),
            OpenError::Full => Self::Full,
            OpenError::Unavailable(reason) => Self::Unavailable { reason, retry_after: SOON },
            _ => Self::Internal,
        }
    }
}

impl From<ExchangeError> for Problem {
    fn from(error: ExchangeError) -> Self {
        match error {
            ExchangeError::Refused(reply) => Self::Refused { challenge: BEARER, reply },
            ExchangeError::Spent => Self::RefreshTokenSpent,
            ExchangeError::Backend(error) => Self::Backend(error),
            ExchangeError::Unavailable { reason, retry_after } => Self::Unavailable { reason, retry_after },
            _ => Self::Internal,
        }
    }
}
