//! What each action does: the flight's column (ask, present, commit or abort), the saver, the logout, the surroundings.

use crate::{
    action::{Action, At, Reply},
    node::{Answer, Flight, Logout, Node, Presentation},
    record::{Abort, Begin, Begun, Commit, Committed, Issue, Lease},
    rules::Rule,
    service::MOST,
    state::{Protocol, State, bit},
};

impl Protocol {
    /// Applies one action that [`Protocol::possible`] listed.
    pub(crate) fn apply(&self, state: &mut State, action: Action) {
        match action {
            Action::TakeOff(at) => self.take_off(state, at),
            Action::Begin(at, reply) => self.begin(state, at, reply),
            Action::Send(at) => Self::send(state, at),
            Action::Process(at) => self.process(state, at),
            Action::Refuse(at) => Self::refuse(state, at),
            Action::Hear(at) => self.hear(state, at),
            Action::LoseAnswer(at) => self.lose_answer(state, at),
            Action::TimeOut(at) => self.time_out(state, at),
            Action::Commit(at, reply) => self.commit(state, at, reply),
            Action::Abort(at, reply) => self.abort(state, at, reply),
            Action::GiveUpOnStore(at) => self.give_up_on_store(state, at),
            Action::Save(at, nth, reply) => self.save(state, at, nth, reply),
            Action::LogOut(at) => Self::log_out(state, at),
            Action::Acknowledge(at) => Self::acknowledge(state, at),
            Action::LoseLogout(at) => {
                state.left.lost_replies -= 1;
                state.nodes[at].logout = Logout::None;
            }
            Action::Crash(at) => Self::crash(state, at),
            Action::StrayArrives(stray) => {
                let request = state.strays.remove(stray);
                let _nobody_hears = state.service.process(request, self.contract, self.successors, state.now);
            }
            Action::StrayVanishes(stray) => drop(state.strays.remove(stray)),
            Action::LeaseRunsOut => self.lease_runs_out(state),
            Action::GraceEnds => Self::grace_ends(state),
            Action::ServiceRevokes => {
                state.left.verdicts -= 1;
                (state.service.revoked, state.service.own_verdict) = (true, true);
            }
        }
        state.settle();
    }

    /// No request is processed beyond this: the service's numbers would run out.
    pub(crate) fn most(&self) -> Issue {
        Issue::try_from(MOST).expect("a small number").min(self.rotations + 2)
    }

    // The flight, in its order.

    fn take_off(&self, state: &mut State, at: At) {
        let fresh = state.fresh_attempt();
        let node = &mut state.nodes[at];
        let seen = node.unsaved.map_or(state.record.version, |unsaved| unsaved.version);
        let attempt = node.unanswered.take().unwrap_or(fresh);
        node.flight = Flight::Asking { seen, attempt, grant_in_doubt: false };
        if self.broken == Some(Rule::TheIntentIsStoredFirst) {
            let lease = Lease { attempt, base: state.record.version };
            if let Some(refresh) = state.record.refresh {
                let first_intent = state.now;
                let presentation = Presentation { lease, seen, refresh, first_intent, again: false, repeated: false };
                state.nodes[at].flight = Flight::Granted(presentation);
            }
        }
    }

    /// Stores the intent. A lost reply changes nothing here: the flight asks again under the same name.
    fn begin(&self, state: &mut State, at: At, reply: Reply) {
        let Flight::Asking { seen, attempt, grant_in_doubt } = state.nodes[at].flight else { return };
        let begun = state.record.begin(Begin { seen, attempt, grant_in_doubt }, state.now, self.broken);
        if reply == Reply::Lost {
            state.left.lost_replies -= 1;
            return;
        }
        let may_present_again = |first_intent| self.contract.may_present_again(first_intent, state.now);
        match begun {
            Begun::Granted { lease, refresh, first_intent } => {
                let stale = grant_in_doubt && !may_present_again(first_intent);
                if stale && self.broken != Some(Rule::AnOldPermissionIsAskedAgain) {
                    state.nodes[at].flight = Flight::Aborting { lease, abort: Abort::InDoubt, clean: false };
                    return;
                }
                let again = grant_in_doubt;
                let presentation = Presentation { lease, seen, refresh, first_intent, again, repeated: false };
                state.nodes[at].flight = Flight::Granted(presentation);
            }
            Begun::InDoubt { since } if !grant_in_doubt && may_present_again(since) => {
                state.nodes[at].flight = Flight::Asking { seen, attempt, grant_in_doubt: true };
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

    fn process(&self, state: &mut State, at: At) {
        let Flight::Sent(presentation) = state.nodes[at].flight else { return };
        let tokens = state.service.process(presentation.request(), self.contract, self.successors, state.now);
        state.nodes[at].flight = Flight::Answered(presentation, tokens.map_or(Answer::Rejected, Answer::Tokens));
    }

    /// What was not processed was not presented.
    fn refuse(state: &mut State, at: At) {
        let Flight::Sent(presentation) = state.nodes[at].flight else { return };
        let presented = &mut state.ledger.presented[usize::from(presentation.refresh)];
        *presented = presented.saturating_sub(1);
        state.nodes[at].flight = Flight::Answered(presentation, Answer::NotProcessed);
    }

    fn hear(&self, state: &mut State, at: At) {
        let Flight::Answered(presentation, answer) = state.nodes[at].flight else { return };
        let Presentation { lease, seen, again, repeated, .. } = presentation;
        let remembers = self.broken != Some(Rule::AnEarlierPresentationIsNotForgotten);
        state.nodes[at].flight = match answer {
            Answer::Tokens(tokens) => {
                let commit = Commit { version: seen + 1, access: tokens.access, refresh: tokens.refresh };
                Flight::Committing { lease, commit }
            }
            Answer::Rejected => Flight::Aborting { lease, abort: Abort::Dead, clean: false },
            Answer::NotProcessed if repeated && remembers => {
                Flight::Aborting { lease, abort: Abort::InDoubt, clean: false }
            }
            Answer::NotProcessed => Flight::Aborting { lease, abort: Abort::Untouched, clean: !again },
        };
    }

    fn lose_answer(&self, state: &mut State, at: At) {
        let Flight::Answered(presentation, _) = state.nodes[at].flight else { return };
        state.left.lost_answers -= 1;
        self.unknown(state, at, presentation);
    }

    fn time_out(&self, state: &mut State, at: At) {
        let Flight::Sent(presentation) = state.nodes[at].flight else { return };
        state.left.lost_answers -= 1;
        state.strays.push(presentation.request());
        self.unknown(state, at, presentation);
    }

    /// The outcome is unknown: present once more where the contract allows it, else write the doubt down.
    fn unknown(&self, state: &mut State, at: At, presentation: Presentation) {
        let lease = presentation.lease;
        let allowed = self.contract.may_present_again(presentation.first_intent, state.now);
        state.nodes[at].flight = if self.broken == Some(Rule::AnUnknownOutcomeIsNoVerdict) {
            Flight::Aborting { lease, abort: Abort::Dead, clean: false }
        } else if self.broken == Some(Rule::AnUnknownOutcomeIsDoubt) {
            Flight::Aborting { lease, abort: Abort::Untouched, clean: true }
        } else if allowed && !presentation.repeated {
            Flight::Granted(Presentation { again: true, repeated: true, ..presentation })
        } else {
            Flight::Aborting { lease, abort: Abort::InDoubt, clean: false }
        };
    }

    fn commit(&self, state: &mut State, at: At, reply: Reply) {
        let Flight::Committing { lease, commit } = state.nodes[at].flight else { return };
        let committed = state.record.commit(lease, commit, self.broken);
        if reply == Reply::Lost {
            state.left.lost_replies -= 1;
            return;
        }
        self.settle_set(state, commit, committed);
        state.nodes[at].land();
    }

    fn abort(&self, state: &mut State, at: At, reply: Reply) {
        let Flight::Aborting { lease, abort, .. } = state.nodes[at].flight else { return };
        let _newer_or_fenced = state.record.abort(lease, abort, self.broken);
        if reply == Reply::Lost {
            state.left.lost_replies -= 1;
            return;
        }
        state.nodes[at].land();
    }

    /// The store is down for this node: keep the attempt's name, keep the set, leave the rest to the lease's end.
    fn give_up_on_store(&self, state: &mut State, at: At) {
        state.left.outages -= 1;
        let keeps_any = self.broken == Some(Rule::AnOldPermissionIsAskedAgain);
        let node = &mut state.nodes[at];
        match node.flight {
            Flight::Asking { attempt, grant_in_doubt, .. } if !grant_in_doubt || keeps_any => {
                node.unanswered = Some(attempt);
            }
            Flight::Aborting { lease, abort: Abort::Untouched, clean } if clean || keeps_any => {
                node.unanswered = Some(lease.attempt);
            }
            Flight::Committing { commit, .. } if self.broken == Some(Rule::AnUnsavedSetIsKept) => {
                state.ledger.forgotten |= bit(commit.access);
            }
            Flight::Committing { commit, .. } if node.closed && self.broken != Some(Rule::AClosedSlotKeepsNothing) => {
                self.settle_set(state, commit, Committed::Gone);
            }
            Flight::Committing { lease, commit } => {
                node.unsaved = Some(commit);
                node.saving.push((lease, commit));
            }
            _ => {}
        }
        state.nodes[at].land();
    }

    fn save(&self, state: &mut State, at: At, nth: usize, reply: Reply) {
        let (lease, commit) = state.nodes[at].saving[nth];
        let committed = state.record.commit(lease, commit, self.broken);
        if reply == Reply::Lost {
            state.left.lost_replies -= 1;
            return;
        }
        state.nodes[at].saving.remove(nth);
        state.nodes[at].unsaved = None;
        self.settle_set(state, commit, committed);
    }

    /// What becomes of a set when the store has spoken.
    fn settle_set(&self, state: &mut State, commit: Commit, committed: Committed) {
        match committed {
            Committed::Stored => {}
            Committed::Superseded(_) => {
                state.ledger.superseded |= bit(commit.access);
                if self.broken == Some(Rule::ASupersededSetIsNotRevoked) {
                    state.revoke(commit.access);
                }
            }
            Committed::Gone => {
                state.ledger.gone |= bit(commit.access);
                if self.broken != Some(Rule::ASetWithoutSessionIsRevoked) {
                    state.revoke(commit.access);
                }
            }
        }
    }

    // Logout and the surroundings.

    fn log_out(state: &mut State, at: At) {
        state.left.logouts -= 1;
        let held = state.record.remove().then_some(state.record.access);
        state.ledger.removed = true;
        state.nodes[at].logout = Logout::Removed(held);
    }

    fn acknowledge(state: &mut State, at: At) {
        let node = &mut state.nodes[at];
        let Logout::Removed(held) = node.logout else { return };
        state.ledger.acknowledged[at] = true;
        node.logout = Logout::None;
        let unsaved = node.unsaved.take();
        if node.flight == Flight::Idle {
            node.unanswered = None;
        } else {
            node.closed = true;
        }
        if let Some(issue) = unsaved.map(|unsaved| unsaved.access).or(held) {
            state.revoke(issue);
        }
    }

    fn crash(state: &mut State, at: At) {
        state.left.crashes -= 1;
        if let Flight::Sent(presentation) = state.nodes[at].flight {
            state.strays.push(presentation.request());
        }
        state.nodes[at] = Node::default();
    }

    fn lease_runs_out(&self, state: &mut State) {
        let holder = state.record.attempt.map(|attempt| attempt.id);
        let presenting = |node: &Node| node.presenting().map(|presentation| presentation.lease.attempt);
        if state.nodes.iter().any(|node| presenting(node) == holder && holder.is_some()) {
            state.spend_pause();
        }
        state.record.lease_runs_out();
    }

    fn grace_ends(state: &mut State) {
        state.left.graces -= 1;
        if state.is_presenting_again() {
            state.spend_pause();
        }
        state.now += 1;
    }
}

impl State {
    fn revoke(&mut self, issue: Issue) {
        self.ledger.revoked |= bit(issue);
        self.service.revoked = true;
    }

    fn spend_pause(&mut self) {
        if let Some(pauses) = &mut self.left.pauses {
            *pauses -= 1;
        }
    }
}

impl Node {
    /// The flight is over; a session that was closed meanwhile leaves no slot behind.
    fn land(&mut self) {
        self.flight = Flight::Idle;
        if std::mem::take(&mut self.closed) {
            self.unanswered = None;
        }
    }
}
