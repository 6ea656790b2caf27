//! What the auth service knows: logins, tokens, and every presentation of every refresh token. No I/O, told the time.

use std::{collections::HashMap, fmt, time::Duration};

use tokio::time::Instant;

/// What the service does with a refresh token that was rotated and is presented again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Contract {
    /// It ends everything that the login led to (RFC 9700, section 4.14.2).
    Strict,
    /// For this long it issues another successor; after that it is strict.
    Grace(Duration),
    /// It does not rotate.
    Reusable,
    /// It gives the same answer to the same key.
    Idempotent,
}

/// As `backend.rotation` is written.
impl fmt::Display for Contract {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Strict => f.write_str("strict"),
            Self::Grace(grace) => write!(f, "grace:{}ms", grace.as_millis()),
            Self::Reusable => f.write_str("reusable"),
            Self::Idempotent => f.write_str("idempotent"),
        }
    }
}

/// How long access tokens live: most of them shortly, so that they are refreshed all the time, some for long, so that
/// there is something to serve while nothing can be refreshed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Lives {
    pub(crate) short: Duration,
    pub(crate) long: Duration,
    /// How many users in a hundred get long ones.
    pub(crate) long_percent: u64,
    /// Whether the service wants every token to be refreshed a second after it was issued (`refresh_in`).
    pub(crate) due_soon: bool,
}

impl Lives {
    /// All the same, and to be refreshed soon.
    pub(crate) fn due_soon(life: Duration) -> Self {
        Self { short: life, long: life, long_percent: 0, due_soon: true }
    }
}

/// Every login and what it led to.
pub(crate) struct Ledger {
    pub(crate) contract: Contract,
    pub(crate) lives: Lives,
    issued: u64,
    families: HashMap<String, Family>,
    tokens: HashMap<String, Token>,
    answers: HashMap<String, Issued>,
    pub(crate) refreshes: u64,
}

/// What one login led to; users of the load log in once each, so the user's name is the family's.
#[derive(Default)]
struct Family {
    is_revoked: bool,
    is_reused: bool,
}

struct Token {
    user: String,
    spent_at: Option<Instant>,
    presentations: Vec<Presentation>,
}

/// One arrival of a refresh token.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Presentation {
    /// The node that has sent it.
    pub(crate) node: usize,
    pub(crate) at: Instant,
    /// Whether the service has acted on it; a service that says 429 has not.
    pub(crate) outcome: Outcome,
}

/// What became of a presentation. `Debug` leaves the moment out.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Nothing yet, or nothing ever.
    Pending,
    /// The service has said that it did not act on it.
    Declined,
    /// New tokens were made; the answer may not have been sent.
    Issued,
    /// New tokens were made and sent.
    Answered(Instant),
    /// It was refused.
    Refused,
}

impl fmt::Debug for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Pending => "no answer",
            Self::Declined => "declined",
            Self::Issued => "tokens issued, no answer",
            Self::Answered(_) => "answered",
            Self::Refused => "refused",
        })
    }
}

/// A refresh token with all its presentations, as the judge sees it.
pub(crate) struct Presented<'a> {
    pub(crate) user: &'a str,
    pub(crate) presentations: &'a [Presentation],
}

/// New tokens.
#[derive(Clone, Debug)]
pub(crate) struct Issued {
    pub(crate) access_token: String,
    /// None where the one that was presented stays.
    pub(crate) refresh_token: Option<String>,
    pub(crate) access_life: Duration,
    pub(crate) due_soon: bool,
}

impl Ledger {
    pub(crate) fn new(contract: Contract, lives: Lives) -> Self {
        Self {
            contract,
            lives,
            issued: 0,
            families: HashMap::new(),
            tokens: HashMap::new(),
            answers: HashMap::new(),
            refreshes: 0,
        }
    }

    pub(crate) fn log_in(&mut self, user: &str) -> Issued {
        self.families.entry(user.to_owned()).or_default();
        self.issue(user, true)
    }

    /// Counts that a token has arrived; its place among that token's presentations. `None` for an unknown token.
    pub(crate) fn arrived(&mut self, refresh_token: &str, node: usize, now: Instant) -> Option<usize> {
        let token = self.tokens.get_mut(refresh_token)?;
        token.presentations.push(Presentation { node, at: now, outcome: Outcome::Pending });
        Some(token.presentations.len() - 1)
    }

    /// Acts on a token that has arrived, under an idempotency key; `None` is the verdict `invalid_grant`.
    pub(crate) fn refresh(&mut self, presented: &str, place: usize, key: Option<&str>, now: Instant) -> Option<Issued> {
        let token = self.tokens.get_mut(presented)?;
        let family = self.families.get_mut(&token.user)?;
        let is_spent = match (token.spent_at, self.contract) {
            (None, _) | (_, Contract::Reusable) => false,
            (Some(at), Contract::Grace(grace)) => now >= at + grace,
            (Some(_), Contract::Strict) => true,
            (Some(_), Contract::Idempotent) => !key.is_some_and(|key| self.answers.contains_key(key)),
        };
        family.is_reused |= is_spent;
        if family.is_reused || family.is_revoked {
            token.presentations[place].outcome = Outcome::Refused;
            return None;
        }
        token.spent_at.get_or_insert(now);
        token.presentations[place].outcome = Outcome::Issued;
        self.refreshes += 1;
        let user = token.user.clone();
        if let (Contract::Idempotent, Some(key)) = (self.contract, key) {
            if let Some(answer) = self.answers.get(key) {
                return Some(answer.clone());
            }
            let issued = self.issue(&user, true);
            self.answers.insert(key.to_owned(), issued.clone());
            return Some(issued);
        }
        let rotates = self.contract != Contract::Reusable;
        Some(self.issue(&user, rotates))
    }

    /// Notes what became of a presentation.
    pub(crate) fn settle(&mut self, refresh_token: &str, place: usize, outcome: Outcome) {
        if let Some(token) = self.tokens.get_mut(refresh_token) {
            token.presentations[place].outcome = outcome;
        }
    }

    /// RFC 7009, section 2.1: a refresh token takes its whole grant with it.
    pub(crate) fn revoke(&mut self, token: &str) {
        let user = self.tokens.get(token).map(|token| token.user.clone());
        if let Some(family) = user.and_then(|user| self.families.get_mut(&user)) {
            family.is_revoked = true;
        }
    }

    /// Every refresh token that has arrived at least once.
    pub(crate) fn presented(&self) -> impl Iterator<Item = Presented<'_>> {
        let tokens = self.tokens.values().filter(|token| !token.presentations.is_empty());
        tokens.map(|token| Presented { user: &token.user, presentations: &token.presentations })
    }

    /// How often the first refresh token of a login was presented.
    pub(crate) fn presentations_of_first(&self, user: &str) -> usize {
        let tokens = self.tokens.iter().filter(|(_, token)| token.user == user);
        let number = |text: &str| text.rsplit_once('~').and_then(|(_, number)| number.parse::<u64>().ok());
        tokens.min_by_key(|(text, _)| number(text)).map_or(0, |(_, token)| token.presentations.len())
    }

    /// Whether a login's tokens were revoked.
    pub(crate) fn was_revoked(&self, user: &str) -> bool {
        self.families.get(user).is_some_and(|family| family.is_revoked)
    }

    /// Whether the service has ended a login because a spent token of it was presented.
    pub(crate) fn was_reused(&self, user: &str) -> bool {
        self.families.get(user).is_some_and(|family| family.is_reused)
    }

    fn issue(&mut self, user: &str, with_refresh_token: bool) -> Issued {
        self.issued += 1;
        let number = self.issued;
        let refresh_token = with_refresh_token.then(|| {
            let text = format!("refresh~{user}~{number}");
            let token = Token { user: user.to_owned(), spent_at: None, presentations: Vec::new() };
            self.tokens.insert(text.clone(), token);
            text
        });
        let access_token = format!("access~{user}~{number}");
        Issued { access_token, refresh_token, access_life: self.lives.of(user), due_soon: self.lives.due_soon }
    }
}

impl Lives {
    fn of(self, user: &str) -> Duration {
        let is_long = user.bytes().fold(0_u32, |sum, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte))) % 100;
        if u64::from(is_long) < self.long_percent { self.long } else { self.short }
    }
}

/// The user that an access token was issued to.
pub(crate) fn owner(access_token: &str) -> Option<&str> {
    access_token.strip_prefix("access~")?.rsplit_once('~').map(|(user, _)| user)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn present(ledger: &mut Ledger, token: &str, at: Instant) -> Option<Issued> {
        let place = ledger.arrived(token, 0, at).unwrap();
        ledger.refresh(token, place, Some(token), at)
    }

    fn ledger(contract: Contract) -> (Ledger, String) {
        let mut ledger = Ledger::new(contract, Lives::due_soon(Duration::from_secs(1)));
        let first = ledger.log_in("u").refresh_token.unwrap();
        (ledger, first)
    }

    #[test]
    fn a_strict_service_ends_a_login_whose_token_comes_twice() {
        let ((mut ledger, first), now) = (ledger(Contract::Strict), Instant::now());
        let second = present(&mut ledger, &first, now).unwrap().refresh_token.unwrap();
        assert!(present(&mut ledger, &first, now).is_none());
        assert!(ledger.was_reused("u"));
        assert!(present(&mut ledger, &second, now).is_none());
        let most = ledger.presented().map(|token| token.presentations.len()).max();
        assert_eq!((most, ledger.refreshes), (Some(2), 1));
    }

    #[test]
    fn a_grace_counts_from_the_first_rotation_and_ends() {
        let grace = Duration::from_secs(10);
        let ((mut ledger, first), now) = (ledger(Contract::Grace(grace)), Instant::now());
        assert!(present(&mut ledger, &first, now).is_some());
        assert!(present(&mut ledger, &first, now + grace / 2).is_some());
        assert!(present(&mut ledger, &first, now + grace).is_none());
        assert!(ledger.was_reused("u"));
    }

    #[test]
    fn kinder_services_take_a_token_again_and_say_the_same_or_keep_it() {
        let ((mut ledger, first), now) = (ledger(Contract::Reusable), Instant::now());
        assert!(present(&mut ledger, &first, now).unwrap().refresh_token.is_none());
        assert!(present(&mut ledger, &first, now).is_some());
        let ((mut ledger, first), now) = (super::tests::ledger(Contract::Idempotent), Instant::now());
        let answers = [present(&mut ledger, &first, now), present(&mut ledger, &first, now)];
        let [one, other] = answers.map(|answer| answer.unwrap().refresh_token);
        assert_eq!(one, other);
    }

    #[test]
    fn an_access_token_names_its_owner() {
        let mut ledger = ledger(Contract::Strict).0;
        assert_eq!(owner(&ledger.log_in("u7~x").access_token), Some("u7~x"));
        assert_eq!(owner("refresh~u~1"), None);
    }
}
