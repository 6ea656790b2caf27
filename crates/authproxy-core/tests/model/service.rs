//! The auth service: what it does with a refresh token, by its rotation contract.

use crate::record::{Issue, Moment, Version};

/// How many token sets a service of the model can issue.
pub(crate) const MOST: usize = 7;

/// What the service promises about presenting a refresh token again.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
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

/// Which of several successors of one token a service with a grace accepts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Successors {
    /// All of them.
    All,
    /// The one that was issued last.
    Newest,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
enum Token {
    Unissued,
    Good,
    Spent { at: Moment, successor: Issue, key: Version },
    /// A newer successor of the same token has taken its place.
    Replaced,
}

/// One family of tokens: everything that came of one login.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Service {
    tokens: [Token; MOST + 1],
    issued: Issue,
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
        Self { tokens, issued: 1, revoked: false, own_verdict: false, saw_reuse: false }
    }

    /// How many sets were issued.
    pub(crate) fn issued(&self) -> Issue {
        self.issued
    }

    /// Processes one presentation; `None` is the definite verdict, `invalid_grant`.
    pub(crate) fn process(
        &mut self,
        request: Request,
        contract: Contract,
        successors: Successors,
        now: Moment,
    ) -> Option<TokenSet> {
        if self.revoked {
            return None;
        }
        if !self.accepts(request, contract, now) {
            (self.saw_reuse, self.revoked) = (true, true);
            return None;
        }
        let spent = self.tokens[usize::from(request.refresh)];
        if let (Contract::Idempotent, Token::Spent { successor, .. }) = (contract, spent) {
            return Some(TokenSet { access: successor, refresh: Some(successor) });
        }
        self.issued += 1;
        if contract == Contract::Reusable {
            return Some(TokenSet { access: self.issued, refresh: None });
        }
        let at = match spent {
            Token::Spent { at, successor, .. } => {
                if successors == Successors::Newest {
                    self.tokens[usize::from(successor)] = Token::Replaced;
                }
                at // the grace began with the first rotation
            }
            _ => now,
        };
        self.tokens[usize::from(request.refresh)] = Token::Spent { at, successor: self.issued, key: request.key };
        self.tokens[usize::from(self.issued)] = Token::Good;
        Some(TokenSet { access: self.issued, refresh: Some(self.issued) })
    }

    /// Whether a presentation would bring a token set now.
    pub(crate) fn accepts(&self, request: Request, contract: Contract, now: Moment) -> bool {
        let in_contract = match self.tokens[usize::from(request.refresh)] {
            Token::Good => true,
            Token::Spent { at, .. } if contract == Contract::Grace => at == now,
            Token::Spent { key, .. } if contract == Contract::Idempotent => key == request.key,
            Token::Spent { .. } | Token::Replaced | Token::Unissued => false,
        };
        in_contract && !self.revoked
    }
}
