//! One name for many: nodes, attempts and tokens have names only to tell them apart, so situations that differ in
//! names alone are explored once. Every property looks at all nodes, attempts and tokens alike, so this hides nothing;
//! it makes the space a tenth as large. Traces change names on their way, so the search for a counterexample does
//! without.

use crate::{
    node::{Flight, Node},
    record::{AttemptId, Begin, Commit, Issue, Verb},
    service::MOST,
    state::State,
};

/// A set of token numbers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Held(u16);

impl Held {
    pub(crate) fn insert(&mut self, token: Issue) {
        self.0 |= 1 << token;
    }

    pub(crate) fn contains(self, token: usize) -> bool {
        self.0 & (1 << token) != 0
    }

    /// Which of the set's numbers this is, counted from 1.
    pub(crate) fn place(self, token: usize) -> usize {
        (self.0 & ((2 << token) - 1)).count_ones() as usize
    }

    pub(crate) fn place_of(self, token: Issue) -> Issue {
        Issue::try_from(self.place(usize::from(token))).expect("a handful of tokens at once")
    }
}

impl State {
    /// Replaces the state by the least of those that differ from it in names alone.
    pub(crate) fn fold(&mut self) {
        self.number_tokens_anew();
        let mut swapped = self.clone();
        swapped.nodes.reverse();
        swapped.ledger.acknowledged.reverse();
        self.name_attempts_anew();
        swapped.name_attempts_anew();
        if swapped < *self {
            *self = swapped;
        }
    }

    fn name_attempts_anew(&mut self) {
        let mut names = Vec::new();
        let mut rename = |id: &mut AttemptId| {
            let known = names.iter().position(|name| name == id).unwrap_or_else(|| {
                names.push(*id);
                names.len() - 1
            });
            *id = AttemptId::try_from(known + 1).expect("a handful of attempts at once");
        };
        self.record.attempt.iter_mut().for_each(|attempt| rename(&mut attempt.id));
        self.nodes.iter_mut().for_each(|node| node.each_attempt(&mut rename));
        self.late.iter_mut().for_each(|verb| rename(verb.attempt_mut()));
        self.record.committed.iter_mut().flatten().for_each(rename);
    }

    /// Forgets the tokens that nobody holds any more: nobody can present them. The others keep their order.
    fn number_tokens_anew(&mut self) {
        let mut held = Held::default();
        self.each_token(&mut |token| held.insert(*token));
        self.service.keep_only(&mut held);
        self.each_token(&mut |token| *token = held.place_of(*token));
        let mut presented = [0; MOST + 1];
        for token in (1..=MOST).filter(|token| held.contains(*token)) {
            presented[held.place(token)] = self.ledger.presented[token];
        }
        self.ledger.presented = presented;
    }

    fn each_token(&mut self, visit: &mut impl FnMut(&mut Issue)) {
        visit(&mut self.record.access);
        self.record.refresh.iter_mut().for_each(&mut *visit);
        self.nodes.iter_mut().for_each(|node| node.each_token(visit));
        self.strays.iter_mut().for_each(|request| visit(&mut request.refresh));
        for verb in &mut self.late {
            if let Verb::Commit(_, commit) = verb {
                commit.each_token(visit);
            }
        }
    }
}

impl Node {
    /// The attempts whose names still matter here.
    pub(crate) fn attempts(&self) -> impl Iterator<Item = AttemptId> {
        let mut attempts = Vec::new();
        self.clone().each_attempt(&mut |id| attempts.push(*id));
        attempts.into_iter()
    }

    fn each_attempt(&mut self, visit: &mut impl FnMut(&mut AttemptId)) {
        match &mut self.flight {
            Flight::Idle => {}
            Flight::Asking(begin) => visit(&mut begin.attempt),
            Flight::Granted(presentation) | Flight::Sent(presentation) => visit(&mut presentation.lease.attempt),
            Flight::Committing { lease, .. } | Flight::Aborting { lease, .. } => visit(&mut lease.attempt),
        }
        self.giving_back.iter_mut().for_each(|lease| visit(&mut lease.attempt));
        self.saving.iter_mut().for_each(|(lease, _)| visit(&mut lease.attempt));
    }

    fn each_token(&mut self, visit: &mut impl FnMut(&mut Issue)) {
        match &mut self.flight {
            Flight::Idle | Flight::Asking(_) | Flight::Aborting { .. } => {}
            Flight::Granted(presentation) | Flight::Sent(presentation) => visit(&mut presentation.refresh),
            Flight::Committing { commit, .. } => commit.each_token(visit),
        }
        self.unsaved.iter_mut().for_each(|commit| commit.each_token(visit));
        self.saving.iter_mut().for_each(|(_, commit)| commit.each_token(visit));
    }
}

impl Commit {
    fn each_token(&mut self, visit: &mut impl FnMut(&mut Issue)) {
        visit(&mut self.access);
        self.refresh.iter_mut().for_each(visit);
    }
}

impl Verb {
    pub(crate) fn attempt(mut self) -> AttemptId {
        *self.attempt_mut()
    }

    fn attempt_mut(&mut self) -> &mut AttemptId {
        match self {
            Self::Begin(Begin { attempt, .. }) => attempt,
            Self::Commit(lease, _) | Self::Abort(lease, _) => &mut lease.attempt,
        }
    }
}
