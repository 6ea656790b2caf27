//! Reads, commits and removals that cross each other, and messages that are lost, doubled and reordered, against what
//! Redis really had. Scenario 42.

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::{clock::Timestamp, store::redis::near::Ticket};

/// What happens next. Numbers choose among what is there.
#[derive(Clone, Debug)]
enum Step {
    /// Another node commits, or removes; a message is on its way.
    Commit,
    Remove,
    /// This node begins to ask; Redis answers; the answer arrives.
    Ask,
    Read(usize),
    Arrive(usize),
    /// This node commits or removes: sent, done by Redis, answered.
    OwnCommit,
    OwnRemove,
    /// A message arrives, in any order; arrives and is kept to arrive again; is lost.
    Deliver(usize),
    Double(usize),
    Lose(usize),
    /// The listener notices that messages may have been lost.
    Interruption,
    Pass(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let step = prop_oneof![
        3 => Just(Step::Commit),
        1 => Just(Step::Remove),
        6 => Just(Step::Ask),
        6 => any::<usize>().prop_map(Step::Read),
        6 => any::<usize>().prop_map(Step::Arrive),
        1 => Just(Step::OwnCommit),
        1 => Just(Step::OwnRemove),
        4 => any::<usize>().prop_map(Step::Deliver),
        1 => any::<usize>().prop_map(Step::Double),
        1 => any::<usize>().prop_map(Step::Lose),
        1 => Just(Step::Interruption),
        2 => (1_u64..7_000).prop_map(Step::Pass),
    ];
    vec(step, 1..120)
}

/// A command on its way.
struct Command {
    ticket: Ticket,
    kind: Kind,
    /// What Redis answered, once it has.
    answer: Option<u64>,
}

#[derive(Clone, Copy, PartialEq)]
enum Kind {
    Load,
    Commit,
    Remove,
}

/// Redis and the network. A version of `u64::MAX` is a removed session.
struct Model {
    world: World,
    truth: u64,
    /// When Redis came to have what.
    history: Vec<(Timestamp, u64)>,
    messages: Vec<u64>,
    commands: Vec<Command>,
    /// What this node knows for sure not to be the newest any more: nothing older may be served.
    heard: u64,
}

impl Model {
    fn new() -> Self {
        let world = World::with(NearLimits { near_ttl: TTL, stale_max: 4 * TTL, ..limits() });
        let history = vec![(world.clock.now(), 1)];
        Self { world, truth: 1, history, messages: Vec::new(), commands: Vec::new(), heard: 0 }
    }

    fn becomes(&mut self, truth: u64) {
        self.truth = truth;
        self.history.push((self.world.clock.now(), truth));
        self.messages.push(truth);
    }

    fn command(&mut self, kind: Kind) {
        let ticket = self.world.near.ticket(&self.world.key);
        self.commands.push(Command { ticket, kind, answer: None });
    }

    fn execute(&mut self, at: usize) {
        let alive = self.truth != u64::MAX;
        let answer = match self.commands[at].kind {
            Kind::Load => self.truth,
            Kind::Commit if alive => self.truth + 1,
            Kind::Commit | Kind::Remove => u64::MAX,
        };
        if answer != self.truth {
            self.becomes(answer);
        }
        self.commands[at].answer = Some(answer);
    }

    fn arrive(&mut self, at: usize) {
        let Command { ticket, kind, answer } = self.commands.remove(at);
        let (near, key) = (&self.world.near, &self.world.key);
        match (kind, answer.unwrap()) {
            (Kind::Remove, _) => near.changed(key.name(), OVER),
            (_, u64::MAX) => near.gone(key),
            (_, version) => drop(near.fill(&ticket, self.world.session(version))),
        }
        if kind != Kind::Load {
            self.heard = self.heard.max(answer.unwrap());
        }
    }

    fn hear(&mut self, message: u64) {
        self.world.near.changed(self.world.key.name(), Version(message));
        self.heard = self.heard.max(message);
    }

    /// Runs a step; false when it does not fit.
    fn step(&mut self, step: &Step) -> bool {
        let pick = |number: usize, len: usize| (len > 0).then(|| number % len.max(1));
        let nth = |commands: &[Command], number: usize, answered: bool| {
            let fitting: Vec<_> = (0..commands.len()).filter(|at| commands[*at].answer.is_some() == answered).collect();
            pick(number, fitting.len()).map(|at| fitting[at])
        };
        match *step {
            Step::Commit if self.truth != u64::MAX => self.becomes(self.truth + 1),
            Step::Remove if self.truth != u64::MAX => self.becomes(u64::MAX),
            Step::Commit | Step::Remove => return false,
            Step::Ask => self.command(Kind::Load),
            Step::OwnCommit => self.command(Kind::Commit),
            Step::OwnRemove => self.command(Kind::Remove),
            Step::Read(number) => match nth(&self.commands, number, false) {
                Some(at) => self.execute(at),
                None => return false,
            },
            Step::Arrive(number) => match nth(&self.commands, number, true) {
                Some(at) => self.arrive(at),
                None => return false,
            },
            Step::Deliver(number) | Step::Double(number) | Step::Lose(number) => {
                let Some(at) = pick(number, self.messages.len()) else { return false };
                let message = self.messages[at];
                if !matches!(step, Step::Double(_)) {
                    self.messages.remove(at);
                }
                if !matches!(step, Step::Lose(_)) {
                    self.hear(message);
                }
            }
            Step::Interruption => {
                // It is noticed after what was lost: nothing older than what there is now may be served unasked.
                self.world.lost();
                self.heard = self.heard.max(self.truth);
            }
            Step::Pass(millis) => self.world.clock.advance(Duration::from_millis(millis)),
        }
        true
    }

    /// What Redis had `ago`.
    fn truth_before(&self, ago: Duration) -> u64 {
        let then = self.world.clock.now().minus(ago);
        self.history.iter().rev().find(|(at, _)| *at <= then).map_or(0, |(_, truth)| *truth)
    }

    fn check(&self) {
        assert!(self.world.agrees_on(&self.world.key));
        if let Some(served) = self.world.peeked() {
            assert!(served >= self.heard, "serves {served} after {} was heard of", self.heard);
            assert!(served >= self.truth_before(TTL), "serves {served}, older than near_ttl");
            assert!(served <= self.truth, "serves {served}, which Redis never had");
        }
        if let Some(stale) = self.world.last_known() {
            assert!(self.truth_before(4 * TTL + Duration::from_millis(1)) <= stale, "{stale} is older than stale_max");
        }
    }

    /// However things stand, one load that nothing crosses makes the session known.
    fn settles(mut self) {
        self.commands.clear();
        self.command(Kind::Load);
        self.execute(0);
        self.arrive(0);
        assert_eq!(self.world.peeked(), Some(self.truth).filter(|truth| *truth != u64::MAX));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn nothing_is_served_that_is_known_to_be_outdated_or_older_than_near_ttl(steps in steps()) {
        let mut model = Model::new();
        for step in &steps {
            model.step(step);
            model.check();
        }
        model.settles();
    }
}
