//! What each action does: the flight's column (ask, present, commit or abort), the saver, the logout, the surroundings.

use crate::{
    action::{Action, At, Reply},
    node::{Flight, Logout, Node, Presentation},
    record::{Abort, Begin, Begun, Commit, Committed, Lease, Verb},
    rules::Rule,
    service::TokenSet,
    state::{Protocol, State},
};

impl Protocol {
    /// Applies one action that [`Protocol::possible`] listed.
    pub(crate) fn apply(&self, state: &mut State, action: Action) {
        match action {
            Action::TakeOff(at) => self.take_off(state, at),
            Action::Begin(at, reply) => self.begin(state, at, reply),
            Action::Send(at) => Self::send(state, at),
            Action::Answer(at) => self.answer(state, at),
            Action::Refuse(at) => self.refuse(state, at),
            Action::LoseAnswer(at) => self.lose_answer(state, at),
            Action::TimeOut(at) => self.time_out(state, at),
            Action::Commit(at, reply) => self.commit(state, at, reply),
            Action::Abort(at, reply) => self.abort(state, at, reply),
            Action::GiveUpOnStore(at) => self.give_up_on_store(state, at),
            Action::Save(at, nth, reply) => self.save(state, at, nth, reply),
            Action::GiveBack(at, nth) => {
                let lease = state.nodes[at].giving_back.remove(nth);
                let _newer_or_fenced = state.record.abort(lease, Abort::Untouched, self.broken);
            }
            Action::LogOut(at) => Self::log_out(state, at),
            Action::Acknowledge(at) => Self::acknowledge(state, at),
            Action::LoseLogout(at) => {
                state.left.mishaps -= 1;
                state.nodes[at].logout = Logout::None;
            }
            Action::Crash(at) => Self::crash(state, at),
            Action::StrayArrives(stray) => {
                let request = state.strays.remove(stray);
                let _nobody_hears = state.service.process(request, self.contract, self.successors);
            }
            Action::StrayVanishes(stray) => drop(state.strays.remove(stray)),
            Action::LateVerb(nth) => {
                let verb = state.late.remove(nth);
                state.record.apply_late(verb, state.now, self.broken);
            }
            Action::LeaseRunsOut => state.record.lease_runs_out(),
            Action::GraceEnds => Self::grace_ends(state),
            Action::ServiceRevokes => {
                state.left.mishaps -= 1;
                state.service.own_verdict = true;
                state.service.revoke();
            }
        }
        state.settle(self);
    }

    // The flight, in its order.

    fn take_off(&self, state: &mut State, at: At) {
        let fresh = state.fresh_attempt();
        let Some(seen) = state.at_hand(at) else { return };
        let node = &mut state.nodes[at];
        let old = node.giving_back.first().filter(|_| self.broken == Some(Rule::EveryAttemptHasANewName));
        let attempt = old.map_or(fresh, |lease| lease.attempt);
        node.flight = Flight::Asking(Begin { seen, attempt, grant_in_doubt: false });
        if self.broken == Some(Rule::TheIntentIsStoredFirst) {
            let lease = Lease { attempt, base: state.record.version };
            if let Some(refresh) = state.record.refresh {
                let first_intent = state.now;
                let presentation = Presentation { lease, refresh, first_intent, again: false, repeated: false };
                state.nodes[at].flight = Flight::Granted(presentation);
            }
        }
    }

    /// Stores the intent. A lost reply changes nothing here: the flight asks again under the same name.
    fn begin(&self, state: &mut State, at: At, reply: Reply) {
        let Flight::Asking(begin) = state.nodes[at].flight else { return };
        let Begin { seen, grant_in_doubt, .. } = begin;
        let answer = state.record.begin(begin, state.now, self.broken);
        if reply == Reply::Lost {
            state.left.mishaps -= 1;
            return;
        }
        let may_present_again = |first_intent| self.contract.may_present_again(first_intent, state.now);
        match answer {
            Begun::Granted { lease, refresh, first_intent } => {
                let too_late = grant_in_doubt && !may_present_again(first_intent);
                state.nodes[at].flight = if lease.base != seen {
                    // The store is behind this node, which still has a set to write.
                    Flight::Aborting { lease, abort: Abort::Untouched }
                } else if too_late && self.broken != Some(Rule::AnOldPermissionIsAskedAgain) {
                    Flight::Aborting { lease, abort: Abort::InDoubt }
                } else {
                    let again = grant_in_doubt;
                    Flight::Granted(Presentation { lease, refresh, first_intent, again, repeated: false })
                };
            }
            Begun::InDoubt { since } if !grant_in_doubt && may_present_again(since) => {
                state.nodes[at].flight = Flight::Asking(Begin { grant_in_doubt: true, ..begin });
            }
            Begun::Newer(_) | Begun::Busy | Begun::InDoubt { .. } | Begun::Dead | Begun::Missing => {
                state.nodes[at].land();
            }
        }
    }

    fn send(state: &mut State, at: At) {
        let Flight::Granted(presentation) = state.nodes[at].flight else { return };
        let presented = &mut state.ledger.presented[usize::from(presentation.refresh)];
        *presented = (*presented + 1).min(2);
        state.nodes[at].flight = Flight::Sent(presentation);
    }

    /// A verdict is buried by an abort, which is told of a newer version: the flight's look at the store before that only
    /// spares the try.
    fn answer(&self, state: &mut State, at: At) {
        let Flight::Sent(presentation) = state.nodes[at].flight else { return };
        let lease = presentation.lease;
        state.nodes[at].flight = match state.service.process(presentation.request(), self.contract, self.successors) {
            Some(TokenSet { access, refresh }) => {
                Flight::Committing { lease, commit: Commit { version: lease.base + 1, access, refresh } }
            }
            None => Flight::Aborting { lease, abort: Abort::Dead },
        };
    }

    /// What was not processed was not presented. That says nothing of an earlier presentation.
    fn refuse(&self, state: &mut State, at: At) {
        let Flight::Sent(Presentation { lease, refresh, repeated, .. }) = state.nodes[at].flight else { return };
        let presented = &mut state.ledger.presented[usize::from(refresh)];
        *presented = presented.saturating_sub(1);
        let remembers = self.broken != Some(Rule::AnEarlierPresentationIsNotForgotten);
        let abort = if repeated && remembers { Abort::InDoubt } else { Abort::Untouched };
        state.nodes[at].flight = Flight::Aborting { lease, abort };
    }

    fn lose_answer(&self, state: &mut State, at: At) {
        let Flight::Sent(presentation) = state.nodes[at].flight else { return };
        state.left.mishaps -= 1;
        let _lost = state.service.process(presentation.request(), self.contract, self.successors);
        self.unknown(state, at, presentation);
    }

    fn time_out(&self, state: &mut State, at: At) {
        let Flight::Sent(presentation) = state.nodes[at].flight else { return };
        state.left.mishaps -= 1;
        state.strays.push(presentation.request());
        self.unknown(state, at, presentation);
    }

    /// The outcome is unknown: present once more where the contract allows it, else write the doubt down.
    fn unknown(&self, state: &mut State, at: At, presentation: Presentation) {
        let lease = presentation.lease;
        let allowed = self.contract.may_present_again(presentation.first_intent, state.now);
        state.nodes[at].flight = if self.broken == Some(Rule::AnUnknownOutcomeIsNoVerdict) {
            Flight::Aborting { lease, abort: Abort::Dead }
        } else if self.broken == Some(Rule::AnUnknownOutcomeIsDoubt) {
            Flight::Aborting { lease, abort: Abort::Untouched }
        } else if allowed && !presentation.repeated {
            Flight::Granted(Presentation { again: true, repeated: true, ..presentation })
        } else {
            Flight::Aborting { lease, abort: Abort::InDoubt }
        };
    }

    fn commit(&self, state: &mut State, at: At, reply: Reply) {
        let Flight::Committing { lease, commit } = state.nodes[at].flight else { return };
        let committed = state.record.commit(lease, commit, self.broken);
        if reply == Reply::Lost {
            state.left.mishaps -= 1;
            return;
        }
        self.part_with(state, committed);
        state.nodes[at].land();
    }

    fn abort(&self, state: &mut State, at: At, reply: Reply) {
        let Flight::Aborting { lease, abort } = state.nodes[at].flight else { return };
        let _newer_or_fenced = state.record.abort(lease, abort, self.broken);
        if reply == Reply::Lost {
            state.left.mishaps -= 1;
            return;
        }
        state.nodes[at].land();
    }

    /// The store is down for this node. It keeps a lease to give back and a set to write; the rest is left to the lease's
    /// end. The last request may still reach the store one day.
    fn give_up_on_store(&self, state: &mut State, at: At) {
        state.left.mishaps -= 1;
        let node = &mut state.nodes[at];
        match node.flight {
            Flight::Asking(begin) => {
                state.late.push(Verb::Begin(begin));
                node.giving_back.push(Lease { attempt: begin.attempt, base: begin.seen });
            }
            Flight::Aborting { lease, abort } => {
                state.late.push(Verb::Abort(lease, abort));
                match abort {
                    Abort::Untouched => node.giving_back.push(lease),
                    Abort::InDoubt | Abort::Dead => {} // the lease's end will say "in doubt"
                }
            }
            Flight::Committing { lease, commit } => {
                state.late.push(Verb::Commit(lease, commit));
                self.keep_unsaved(state, at, lease, commit);
            }
            Flight::Idle | Flight::Granted(_) | Flight::Sent(_) => return,
        }
        state.nodes[at].land();
    }

    fn keep_unsaved(&self, state: &mut State, at: At, lease: Lease, commit: Commit) {
        let node = &mut state.nodes[at];
        if self.broken == Some(Rule::AnUnsavedSetIsKept) {
            state.ledger.forgotten = true;
        } else if node.closed && self.broken != Some(Rule::AClosedSlotKeepsNothing) {
            self.part_with(state, Committed::Gone);
        } else {
            node.unsaved = Some(commit);
            node.saving.push((lease, commit));
        }
    }

    fn save(&self, state: &mut State, at: At, nth: usize, reply: Reply) {
        let (lease, commit) = state.nodes[at].saving[nth];
        let committed = state.record.commit(lease, commit, self.broken);
        if reply == Reply::Lost {
            state.left.mishaps -= 1;
            return;
        }
        state.nodes[at].saving.remove(nth);
        state.nodes[at].unsaved = None;
        self.part_with(state, committed);
    }

    /// What becomes of a set when the store has spoken.
    fn part_with(&self, state: &mut State, committed: Committed) {
        match committed {
            Committed::Stored => {}
            Committed::Superseded(_) => {
                if self.broken == Some(Rule::ASupersededSetIsNotRevoked) {
                    state.revoke();
                }
            }
            Committed::Gone => {
                if self.broken == Some(Rule::ASetWithoutSessionIsRevoked) {
                    state.ledger.orphaned = true;
                } else {
                    state.revoke();
                }
            }
        }
    }

    // Logout and the surroundings.

    fn log_out(state: &mut State, at: At) {
        state.left.logouts -= 1;
        let held = state.record.remove();
        state.ledger.removed = true;
        state.nodes[at].logout = Logout::Removed(held);
    }

    fn acknowledge(state: &mut State, at: At) {
        let node = &mut state.nodes[at];
        let Logout::Removed(held) = node.logout else { return };
        state.ledger.acknowledged[at] = true;
        node.logout = Logout::None;
        let holds = node.unsaved.take().is_some() || held;
        node.closed = node.flight != Flight::Idle;
        if holds {
            state.revoke();
        }
    }

    fn crash(state: &mut State, at: At) {
        state.left.mishaps -= 1;
        if let Flight::Sent(presentation) = state.nodes[at].flight {
            state.strays.push(presentation.request());
        }
        state.nodes[at] = Node::default();
    }

    fn grace_ends(state: &mut State) {
        state.left.graces -= 1;
        state.now += 1;
        state.service.grace_ends();
    }
}

impl State {
    /// A node asks the service to revoke a set, which ends its whole family.
    fn revoke(&mut self) {
        self.ledger.revoked = true;
        self.service.revoke();
    }
}

impl Node {
    /// The flight is over; a slot that was closed meanwhile is gone with it.
    fn land(&mut self) {
        self.flight = Flight::Idle;
        self.closed = false;
    }
}
