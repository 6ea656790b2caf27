//! Access tokens: signed JWTs (RFC 7519, RFC 9068's shape), HS256 under a key that is drawn at the start.

use std::time::Duration;

use authproxy_core::clock::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use crate::families::FamilyId;

/// Signs and checks access tokens. One algorithm, one key.
pub(crate) struct AccessTokens {
    signs: EncodingKey,
    checks: DecodingKey,
    validation: Validation,
    ttl: Duration,
}

/// What an access token says.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Claims {
    pub(crate) sub: String,
    iat: u64,
    exp: u64,
    jti: String,
    fam: u64,
}

impl AccessTokens {
    pub(crate) fn new(ttl: Duration) -> Self {
        let mut key = Zeroizing::new([0; 32]);
        getrandom::fill(key.as_mut_slice()).expect("the operating system gives randomness");
        let mut validation = Validation::new(Algorithm::HS256);
        validation.validate_exp = false; // judged below, by the service's own clock
        validation.required_spec_claims.clear();
        Self {
            signs: EncodingKey::from_secret(key.as_slice()),
            checks: DecodingKey::from_secret(key.as_slice()),
            validation,
            ttl,
        }
    }

    pub(crate) fn ttl(&self) -> Duration {
        self.ttl
    }

    pub(crate) fn sign(&self, user: &str, family: FamilyId, now: Timestamp) -> String {
        let mut jti = [0; 16];
        getrandom::fill(&mut jti).expect("the operating system gives randomness");
        let claims = Claims {
            sub: user.to_owned(),
            iat: now.as_millis() / 1000,
            exp: now.plus(self.ttl).as_millis().div_ceil(1000),
            jti: format!("{:032x}", u128::from_le_bytes(jti)),
            fam: family.0,
        };
        jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &self.signs).expect("plain claims serialize")
    }

    /// The claims of a token that was signed here and has not expired.
    pub(crate) fn check(&self, token: &str, now: Timestamp) -> Option<Claims> {
        let claims = jsonwebtoken::decode::<Claims>(token, &self.checks, &self.validation).ok()?.claims;
        (now < Timestamp::from_secs(claims.exp)).then_some(claims)
    }
}

impl Claims {
    pub(crate) fn family(&self) -> FamilyId {
        FamilyId(self.fam)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    const NOW: Timestamp = Timestamp::from_secs(1_000_000);

    #[test]
    fn a_token_is_good_until_it_expires_and_only_where_it_was_signed() {
        let tokens = AccessTokens::new(Duration::from_secs(120));
        let token = tokens.sign("user", FamilyId(7), NOW);
        let claims = tokens.check(&token, NOW.plus(Duration::from_secs(119))).unwrap();
        assert_eq!((claims.sub.as_str(), claims.family()), ("user", FamilyId(7)));
        assert!(tokens.check(&token, NOW.plus(Duration::from_secs(120))).is_none());
        assert!(AccessTokens::new(Duration::from_secs(120)).check(&token, NOW).is_none());
        for junk in ["", "a.b.c", "e30.e30.", &token[..token.len() - 2]] {
            assert!(tokens.check(junk, NOW).is_none(), "{junk}");
        }
    }
}
