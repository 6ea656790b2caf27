//! The auth service: what it does with a refresh token, by its rotation contract.

use crate::{
    fold::Held,
    record::{Issue, Moment, Version},
};

/// How many token sets the service of the model can issue: more than the bounds below let it.
pub(crate) const MOST: usize = 9;

/// What the service promises about presenting a refresh token again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Contract {
    /// One presentation; a second one revokes the family.
    Strict,
    /// A spent token is accepted again for a while and gets a further successor; after that it revokes the family.
    Grace,
    /// Nothing is rotated.
    Reusable,
    /// The same idempotency key gets the same answer; another one revokes the family.
    Idempotent,
}

impl Contract {
    /// The policy's question: may a token be presented again whose first intent was stored at `first_intent`?
    pub(crate) fn may_present_again(self, first_intent: Moment, now: Moment) -> bool {
        match self {
            Self::Strict => false,
            Self::Grace => first_intent == now,
            Self::Reusable | Self::Idempotent => true,
        }
    }
}

/// What a service with a grace makes of a token that is presented again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum Successors {
    /// A further successor each time; all of them are good.
    All,
    /// A further successor each time; only the one that was issued last is good.
    Newest,
    /// The same successor again, whether that was used or not: what the embedded service does.
    Same,
    /// The same successor again, and only until that is used itself.
    SameUntilUsed,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
enum Token {
    Unissued,
    Good,
    /// Spent, and accepted again until the grace period ends. The successor is kept where the next one replaces it.
    InGrace {
        successor: Option<Issue>,
    },
    /// Spent, and answered with its successor again until the grace period ends, or the successor is spent where that
    /// counts.
    Repeated {
        successor: Issue,
        until_used: bool,
    },
    /// Spent, and answered again under the same key.
    Answered {
        successor: Issue,
        key: Version,
    },
    /// Not accepted any more.
    Spent,
}

/// One family of tokens: everything that came of one login.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Service {
    tokens: [Token; MOST + 1],
    /// The family is revoked: by logout, by the service's own decision, or because it saw reuse.
    pub(crate) revoked: bool,
    /// The service ended the session of its own accord (account locked, token expired, an administrator).
    pub(crate) own_verdict: bool,
    /// The service saw a presentation outside its contract.
    pub(crate) saw_reuse: bool,
}

/// A token set as issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct TokenSet {
    pub(crate) access: Issue,
    /// `None`: the one presented stays valid.
    pub(crate) refresh: Option<Issue>,
}

/// One presentation as it travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Request {
    pub(crate) refresh: Issue,
    /// The idempotency key: a function of the session and the version that the lease was granted on.
    pub(crate) key: Version,
}

impl Service {
    /// After the login.
    pub(crate) fn logged_in() -> Self {
        let mut tokens = [Token::Unissued; MOST + 1];
        tokens[1] = Token::Good;
        Self { tokens, revoked: false, own_verdict: false, saw_reuse: false }
    }

    /// Revokes the family: none of its tokens is good any more.
    pub(crate) fn revoke(&mut self) {
        self.revoked = true;
        self.tokens = [Token::Spent; MOST + 1];
    }

    /// Processes one presentation; `None` is the definite verdict, `invalid_grant`.
    pub(crate) fn process(&mut self, request: Request, contract: Contract, successors: Successors) -> Option<TokenSet> {
        if self.revoked {
            return None;
        }
        if !self.accepts(request) {
            self.saw_reuse = true;
            self.revoke();
            return None;
        }
        if contract == Contract::Reusable {
            return Some(TokenSet { access: request.refresh, refresh: None }); // its access tokens need no numbers
        }
        match self.tokens[usize::from(request.refresh)] {
            Token::Answered { successor, .. } | Token::Repeated { successor, .. } => {
                return Some(TokenSet { access: successor, refresh: Some(successor) });
            }
            Token::InGrace { successor: Some(replaced) } => self.tokens[usize::from(replaced)] = Token::Spent,
            _ => {}
        }
        let unissued = self.tokens[1..].iter().position(|token| *token == Token::Unissued);
        let successor = Issue::try_from(unissued.expect("the bounds let it issue fewer") + 1).expect("a small number");
        self.tokens[usize::from(request.refresh)] = match contract {
            Contract::Idempotent => Token::Answered { successor, key: request.key },
            Contract::Grace if matches!(successors, Successors::Same | Successors::SameUntilUsed) => {
                Token::Repeated { successor, until_used: successors == Successors::SameUntilUsed }
            }
            Contract::Grace => Token::InGrace { successor: (successors == Successors::Newest).then_some(successor) },
            Contract::Strict | Contract::Reusable => Token::Spent,
        };
        self.tokens[usize::from(successor)] = Token::Good;
        Some(TokenSet { access: successor, refresh: Some(successor) })
    }

    /// Whether a presentation would bring a token set now.
    pub(crate) fn accepts(&self, request: Request) -> bool {
        let in_contract = match self.tokens[usize::from(request.refresh)] {
            Token::Good | Token::InGrace { .. } => true,
            Token::Repeated { successor, until_used } => {
                !until_used || self.tokens[usize::from(successor)] == Token::Good
            }
            Token::Answered { key, .. } => key == request.key,
            Token::Spent | Token::Unissued => false,
        };
        in_contract && !self.revoked
    }

    /// The grace period of everything that was spent until now is over.
    pub(crate) fn grace_ends(&mut self) {
        for token in &mut self.tokens {
            if matches!(token, Token::InGrace { .. } | Token::Repeated { .. }) {
                *token = Token::Spent;
            }
        }
    }

    /// Forgets all tokens but those that are held or may be issued again in answer to one of them, and numbers these
    /// anew, from 1 on.
    pub(crate) fn keep_only(&mut self, held: &mut Held) {
        for token in 1..=MOST {
            if let (true, Some(later)) = (held.contains(token), self.successor(token)) {
                held.insert(later);
            }
        }
        if self.revoked {
            return;
        }
        let mut tokens = [Token::Unissued; MOST + 1];
        for token in (1..=MOST).filter(|token| held.contains(*token)) {
            tokens[held.place(token)] = match self.tokens[token] {
                Token::InGrace { successor: Some(successor) } => {
                    Token::InGrace { successor: Some(held.place_of(successor)) }
                }
                Token::Repeated { successor, until_used } => {
                    Token::Repeated { successor: held.place_of(successor), until_used }
                }
                Token::Answered { successor, key } => Token::Answered { successor: held.place_of(successor), key },
                other => other,
            };
        }
        self.tokens = tokens;
    }

    fn successor(&self, token: usize) -> Option<Issue> {
        match self.tokens[token] {
            Token::InGrace { successor } => successor,
            Token::Repeated { successor, .. } | Token::Answered { successor, .. } => Some(successor),
            Token::Good | Token::Spent | Token::Unissued => None,
        }
    }
}
