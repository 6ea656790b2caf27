//! The auth service inside the fakes: strict about refresh tokens, and kept without I/O.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    time::Duration,
};

use authproxy_core::{backend::RotationContract, clock::Timestamp};

use crate::CANARY;

/// How long issued tokens live. `None`: the service does not say, and the token lives on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// The access token's life. Default 2 minutes.
    pub access: Option<Duration>,
    /// The refresh token's life. Default 4 minutes.
    pub refresh: Option<Duration>,
}

impl Default for Lifetimes {
    fn default() -> Self {
        Self { access: Some(Duration::from_mins(2)), refresh: Some(Duration::from_mins(4)) }
    }
}

/// Tokens as the service issues them.
#[derive(Clone)]
pub(crate) struct Tokens {
    pub(crate) access_token: String,
    pub(crate) access_expires_at: Option<Timestamp>,
    pub(crate) refresh_token: Option<String>,
    pub(crate) refresh_expires_at: Option<Timestamp>,
}

/// Everything that one login led to.
type Family = u64;

/// Issues, rotates and revokes by its contract, to the letter.
pub(crate) struct Service {
    pub(crate) lifetimes: Lifetimes,
    contract: RotationContract,
    issued: u64,
    families: u64,
    reuses: usize,
    refresh_tokens: BTreeMap<String, RefreshRecord>,
    access_tokens: HashMap<String, AccessRecord>,
    dead_families: HashSet<Family>,
    revoked: HashSet<String>,
    answers: HashMap<String, Answer>,
}

struct RefreshRecord {
    family: Family,
    expires_at: Option<Timestamp>,
    spent_at: Option<Timestamp>,
}

struct AccessRecord {
    family: Family,
    expires_at: Option<Timestamp>,
}

/// What the service answered under an idempotency key.
struct Answer {
    presented: String,
    tokens: Tokens,
}

impl Service {
    pub(crate) fn new(contract: RotationContract, lifetimes: Lifetimes) -> Self {
        Self {
            lifetimes,
            contract,
            issued: 0,
            families: 0,
            reuses: 0,
            refresh_tokens: BTreeMap::new(),
            access_tokens: HashMap::new(),
            dead_families: HashSet::new(),
            revoked: HashSet::new(),
            answers: HashMap::new(),
        }
    }

    pub(crate) fn log_in(&mut self, now: Timestamp) -> Tokens {
        self.families += 1;
        self.issue(self.families, true, now)
    }

    /// Takes a presented refresh token; `None` is the verdict `invalid_grant`.
    ///
    /// With `keep` the service does not rotate this once, as it may (RFC 6749, section 6).
    pub(crate) fn refresh(&mut self, token: &str, key: Option<&str>, keep: bool, now: Timestamp) -> Option<Tokens> {
        let record = self.refresh_tokens.get(token)?;
        let (family, spent_at) = (record.family, record.spent_at);
        if expired(record.expires_at, now) || self.dead_families.contains(&family) {
            return None;
        }
        match (self.contract, spent_at) {
            (RotationContract::Reusable, _) => return Some(self.issue(family, false, now)),
            (RotationContract::Grace(grace), Some(spent_at)) if now.since(spent_at) < grace => {
                return Some(self.issue(family, true, now));
            }
            (RotationContract::Idempotent, _) => match key.and_then(|key| self.answers.get(key)) {
                Some(answer) if answer.presented == token => return Some(answer.tokens.clone()),
                Some(_) => return None,
                None if spent_at.is_some() => return self.reused(family),
                None => {}
            },
            (_, Some(_)) => return self.reused(family),
            (_, None) => {}
        }
        let tokens = self.issue(family, !keep, now);
        if let (false, Some(record)) = (keep, self.refresh_tokens.get_mut(token)) {
            record.spent_at = Some(now);
        }
        if let (RotationContract::Idempotent, Some(key)) = (self.contract, key) {
            let answer = Answer { presented: token.to_owned(), tokens: tokens.clone() };
            self.answers.insert(key.to_owned(), answer);
        }
        Some(tokens)
    }

    /// RFC 9700, section 4.14.2: whoever presents a spent token, thief or owner, ends the family.
    fn reused(&mut self, family: Family) -> Option<Tokens> {
        self.reuses += 1;
        self.dead_families.insert(family);
        None
    }

    /// Ends the family of a refresh token, as an administrator or a changed password does.
    pub(crate) fn kill_family_of(&mut self, refresh_token: &str) {
        if let Some(record) = self.refresh_tokens.get(refresh_token) {
            self.dead_families.insert(record.family);
        }
    }

    /// RFC 7009, section 2.1: a refresh token takes its whole grant with it, an access token only itself.
    pub(crate) fn revoke(&mut self, token: &str) {
        self.revoked.insert(token.to_owned());
        self.kill_family_of(token);
    }

    /// Whether this very token was named in a revocation.
    pub(crate) fn was_revoked(&self, token: &str) -> bool {
        self.revoked.contains(token)
    }

    pub(crate) fn accepts_access(&self, token: &str, now: Timestamp) -> bool {
        self.access_tokens.get(token).is_some_and(|record| {
            !self.revoked.contains(token)
                && !expired(record.expires_at, now)
                && !self.dead_families.contains(&record.family)
        })
    }

    /// The refresh tokens that are unspent, unexpired and unrevoked.
    pub(crate) fn live_refresh_tokens(&self, now: Timestamp) -> Vec<String> {
        self.live(now).map(|(text, _)| text.clone()).collect()
    }

    /// How many logins still have a live refresh token.
    pub(crate) fn live_families(&self, now: Timestamp) -> usize {
        self.live(now).map(|(_, record)| record.family).collect::<HashSet<_>>().len()
    }

    fn live(&self, now: Timestamp) -> impl Iterator<Item = (&String, &RefreshRecord)> {
        self.refresh_tokens.iter().filter(move |(_, record)| {
            record.spent_at.is_none()
                && !expired(record.expires_at, now)
                && !self.dead_families.contains(&record.family)
        })
    }

    /// How often a spent token was presented outside the contract.
    pub(crate) fn reuses(&self) -> usize {
        self.reuses
    }

    /// Forgets everything that was issued, as a restart without a disk does.
    pub(crate) fn forget_tokens(&mut self) {
        self.refresh_tokens.clear();
        self.access_tokens.clear();
    }

    fn issue(&mut self, family: Family, with_refresh_token: bool, now: Timestamp) -> Tokens {
        let Lifetimes { access, refresh } = self.lifetimes;
        let access_expires_at = access.map(|life| now.plus(life));
        let access_token = self.text("access");
        self.access_tokens.insert(access_token.clone(), AccessRecord { family, expires_at: access_expires_at });
        let refresh_expires_at = refresh.map(|life| now.plus(life)).filter(|_| with_refresh_token);
        let refresh_token = with_refresh_token.then(|| {
            let text = self.text("refresh");
            let record = RefreshRecord { family, expires_at: refresh_expires_at, spent_at: None };
            self.refresh_tokens.insert(text.clone(), record);
            text
        });
        Tokens { access_token, access_expires_at, refresh_token, refresh_expires_at }
    }

    fn text(&mut self, kind: &str) -> String {
        self.issued += 1;
        format!("{CANARY}-{kind}-{}", self.issued)
    }
}

fn expired(expires_at: Option<Timestamp>, now: Timestamp) -> bool {
    expires_at.is_some_and(|at| at <= now)
}
