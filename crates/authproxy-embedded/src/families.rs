//! Refresh tokens and their families: pure, synchronous, told the time.
//!
//! A login begins a family. Each rotation spends the family's current token and issues its successor. Presenting a
//! spent token again is reuse and revokes the family, with one exception: for a grace after it was spent, a token brings
//! the very same successor again, also when that was spent meanwhile. So an answer that was lost or a request that was
//! held up costs nothing, a family never has two live tokens, and a thief who comes after the grace is noticed.

use std::{collections::HashMap, time::Duration};

use authproxy_core::clock::Timestamp;
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// SHA-256 of a refresh token: all that is kept of it, but for the successor during the grace.
type Fingerprint = [u8; 32];

/// Names a family.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct FamilyId(pub(crate) u64);

/// What a login or a refresh was issued.
#[derive(Debug)]
pub(crate) struct Issue {
    pub(crate) family: FamilyId,
    pub(crate) user: String,
    pub(crate) refresh_token: Zeroizing<String>,
    pub(crate) refresh_expires_at: Timestamp,
}

/// Why a refresh token was refused. The one who presented it is told nothing of this.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    Unknown,
    Expired,
    Revoked,
    Reused,
    Full,
}

/// All families of the service.
#[derive(Debug)]
pub(crate) struct Families {
    refresh_ttl: Duration,
    reuse_grace: Duration,
    capacity: usize,
    next: u64,
    by_id: HashMap<FamilyId, Family>,
    by_token: HashMap<Fingerprint, Token>,
}

#[derive(Debug)]
struct Family {
    user: String,
    revoked: bool,
    ends_at: Timestamp,
    tokens: Vec<Fingerprint>,
}

#[derive(Debug)]
struct Token {
    family: FamilyId,
    expires_at: Timestamp,
    spent: Option<Spent>,
}

#[derive(Debug)]
struct Spent {
    at: Timestamp,
    /// Kept in the clear only until the grace is over.
    successor: Option<Zeroizing<String>>,
}

impl Families {
    pub(crate) fn new(refresh_ttl: Duration, reuse_grace: Duration, capacity: usize) -> Self {
        Self { refresh_ttl, reuse_grace, capacity, next: 0, by_id: HashMap::new(), by_token: HashMap::new() }
    }

    /// Begins a family.
    pub(crate) fn begin(&mut self, user: &str, now: Timestamp) -> Result<Issue, Refusal> {
        if self.by_id.len() >= self.capacity {
            self.sweep(now);
            if self.by_id.len() >= self.capacity {
                return Err(Refusal::Full);
            }
        }
        self.next += 1;
        let id = FamilyId(self.next);
        let family = Family { user: user.to_owned(), revoked: false, ends_at: now, tokens: Vec::new() };
        self.by_id.insert(id, family);
        Ok(self.issue(id, now))
    }

    /// Spends a token and issues its successor.
    pub(crate) fn rotate(&mut self, presented: &str, now: Timestamp) -> Result<Issue, Refusal> {
        let fingerprint = fingerprint(presented);
        let token = self.by_token.get(&fingerprint).ok_or(Refusal::Unknown)?;
        let id = token.family;
        if self.by_id.get(&id).is_none_or(|family| family.revoked) {
            return Err(Refusal::Revoked);
        }
        if now >= token.expires_at {
            return Err(Refusal::Expired);
        }
        if let Some(spent) = &token.spent {
            let successor = spent.successor.clone().filter(|_| now.since(spent.at) < self.reuse_grace);
            if let Some(again) = successor.and_then(|successor| self.again(id, successor)) {
                return Ok(again);
            }
            self.revoke_family(id);
            return Err(Refusal::Reused);
        }
        let issue = self.issue(id, now);
        let successor = Some(issue.refresh_token.clone());
        let token = self.by_token.get_mut(&fingerprint).expect("found above");
        token.spent = Some(Spent { at: now, successor });
        Ok(issue)
    }

    /// Revokes the family that a refresh token belongs to; true when there was one.
    pub(crate) fn revoke(&mut self, token: &str) -> bool {
        let Some(family) = self.by_token.get(&fingerprint(token)).map(|token| token.family) else { return false };
        self.revoke_family(family);
        true
    }

    /// Revokes a family.
    pub(crate) fn revoke_family(&mut self, id: FamilyId) {
        if let Some(family) = self.by_id.get_mut(&id) {
            family.revoked = true;
            for token in &family.tokens {
                if let Some(Token { spent: Some(spent), .. }) = self.by_token.get_mut(token) {
                    spent.successor = None;
                }
            }
        }
    }

    /// Whether access tokens of this family are to be accepted.
    pub(crate) fn is_live(&self, id: FamilyId) -> bool {
        self.by_id.get(&id).is_some_and(|family| !family.revoked)
    }

    /// Forgets successors whose grace is over and families whose last token has expired.
    pub(crate) fn sweep(&mut self, now: Timestamp) {
        for token in self.by_token.values_mut() {
            if let Some(spent) = &mut token.spent
                && now.since(spent.at) >= self.reuse_grace
            {
                spent.successor = None;
            }
        }
        let over: Vec<_> = self.by_id.iter().filter(|(_, family)| now >= family.ends_at).map(|(id, _)| *id).collect();
        for id in over {
            for token in self.by_id.remove(&id).into_iter().flat_map(|family| family.tokens) {
                self.by_token.remove(&token);
            }
        }
    }

    #[cfg(test)]
    fn len(&self) -> usize {
        self.by_id.len()
    }

    fn issue(&mut self, id: FamilyId, now: Timestamp) -> Issue {
        let refresh_token = random_token();
        let refresh_expires_at = now.plus(self.refresh_ttl);
        let family = self.by_id.get_mut(&id).expect("the caller has it");
        family.ends_at = refresh_expires_at;
        // Spent tokens are remembered as long as the family may live on them, within a bound.
        if family.tokens.len() >= 64 {
            let forgotten = family.tokens.remove(0);
            self.by_token.remove(&forgotten);
        }
        family.tokens.push(fingerprint(&refresh_token));
        let user = family.user.clone();
        self.by_token
            .insert(fingerprint(&refresh_token), Token { family: id, expires_at: refresh_expires_at, spent: None });
        Issue { family: id, user, refresh_token, refresh_expires_at }
    }

    fn again(&self, family: FamilyId, refresh_token: Zeroizing<String>) -> Option<Issue> {
        let token = self.by_token.get(&fingerprint(&refresh_token))?;
        let user = self.by_id.get(&family)?.user.clone();
        Some(Issue { family, user, refresh_token, refresh_expires_at: token.expires_at })
    }
}

fn fingerprint(token: &str) -> Fingerprint {
    Sha256::digest(token.as_bytes()).into()
}

fn random_token() -> Zeroizing<String> {
    let mut bytes = Zeroizing::new([0; 32]);
    getrandom::fill(bytes.as_mut_slice()).expect("the operating system gives randomness");
    Zeroizing::new(URL_SAFE_NO_PAD.encode(bytes.as_slice()))
}

#[cfg(test)]
mod tests;
