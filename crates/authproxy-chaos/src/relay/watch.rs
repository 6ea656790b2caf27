//! What a relay reads along: which sessions its node is refreshing, and when a message is to be held up.

use std::{
    collections::{HashMap, HashSet, VecDeque},
    sync::{Arc, Mutex},
};

use authproxy_core::session::SessionId;
use authproxy_testing::Gate;
use aws_lc_rs::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};
use tokio::time::Instant;

use super::{lock, resp};

/// A session's name in Redis: 32 hexadecimal digits.
pub(crate) type Name = String;
const NAME_LENGTH: usize = 32;

/// The store's scripts, as they are in the source.
const SCRIPTS: [(Verb, &str); 4] = [
    (Verb::Begin, include_str!("../../../authproxy-core/src/store/redis/scripts/begin.lua")),
    (Verb::Commit, include_str!("../../../authproxy-core/src/store/redis/scripts/commit.lua")),
    (Verb::Abort, include_str!("../../../authproxy-core/src/store/redis/scripts/abort.lua")),
    (Verb::Remove, include_str!("../../../authproxy-core/src/store/redis/scripts/remove.lua")),
];

/// The name that a session with this cookie has in Redis.
pub(crate) fn name_of(cookie: &str) -> Option<Name> {
    use std::fmt::Write;
    let id = SessionId::parse(cookie.split_once('=')?.1)?;
    let mut name = Name::new();
    for byte in id.key().name() {
        let _ = write!(name, "{byte:02x}"); // a String takes every write
    }
    Some(name)
}

/// Who asks for a permission to present, 16 bytes.
type Attempt = Vec<u8>;

/// What a script of the store does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Begin,
    Commit,
    Abort,
    Remove,
    Other,
}

/// Which of the two messages of an exchange.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Command,
    Answer,
}

/// A message that will be held up, for good: whoever waits for it is dead before it could go on.
pub(crate) struct Held {
    gate: Gate,
}

impl Held {
    /// Waits until it is there.
    pub(crate) async fn arrived(&self) {
        self.gate.arrived().await;
    }
}

/// What a relay does with a message.
pub(super) enum Passing {
    Freely,
    Held(Gate),
}

/// By a script's SHA-1: what it does. Learned from the commands that load scripts; every relay tells the others.
pub(super) type Scripts = Arc<Mutex<HashMap<String, Verb>>>;

/// What one node's relay knows.
pub(super) struct Watch {
    scripts: Scripts,
    next_connection: u64,
    connections: HashMap<u64, VecDeque<Pending>>,
    /// By session and attempt: what becomes of one attempt says nothing of another.
    in_flight: HashSet<(Name, Attempt)>,
    /// When new versions of each session were stored, as this node was told.
    commits: HashMap<Name, Vec<Instant>>,
    /// What has stored them: after an outage a node sends it again, and is told the same of what is no new version, or was
    /// new before the store lost it.
    committed: HashSet<(Name, Attempt)>,
    hold: Option<(Verb, Side, Gate)>,
}

/// A command whose answer has not passed yet.
struct Pending {
    verb: Verb,
    name: Name,
    attempt: Attempt,
}

impl Watch {
    pub(super) fn new(scripts: Scripts) -> Self {
        Self {
            scripts,
            next_connection: 0,
            connections: HashMap::new(),
            in_flight: HashSet::new(),
            commits: HashMap::new(),
            committed: HashSet::new(),
            hold: None,
        }
    }

    pub(super) fn connect(&mut self) -> u64 {
        self.next_connection += 1;
        self.connections.insert(self.next_connection, VecDeque::new());
        self.next_connection
    }

    pub(super) fn disconnect(&mut self, connection: u64) {
        self.connections.remove(&connection);
    }

    pub(super) fn in_flight(&self) -> HashSet<Name> {
        self.in_flight.iter().map(|(name, _)| name.clone()).collect()
    }

    pub(super) fn commits(&self) -> impl Iterator<Item = (&Name, &Vec<Instant>)> {
        self.commits.iter()
    }

    pub(super) fn forget(&mut self) {
        self.in_flight.clear();
        self.hold = None;
    }

    pub(super) fn hold(&mut self, verb: Verb, side: Side) -> Held {
        let gate = Gate::new();
        self.hold = Some((verb, side, gate.clone()));
        Held { gate }
    }

    /// A command passes from the node.
    pub(super) fn command(&mut self, connection: u64, command: &[u8]) -> Passing {
        let pending = self.read(&resp::words(command));
        let verb = pending.verb;
        if verb == Verb::Begin {
            self.in_flight.insert((pending.name.clone(), pending.attempt.clone()));
        }
        if let Some(queue) = self.connections.get_mut(&connection) {
            queue.push_back(pending);
        }
        self.held(verb, Side::Command)
    }

    /// An answer passes to the node.
    pub(super) fn answer(&mut self, connection: u64, answer: &[u8]) -> Passing {
        if resp::is_push(answer) {
            return Passing::Freely;
        }
        let Some(pending) = self.connections.get_mut(&connection).and_then(VecDeque::pop_front) else {
            return Passing::Freely;
        };
        let Pending { verb, name, attempt } = pending;
        let is_error = answer.first() == Some(&b'-');
        match verb {
            Verb::Remove if !is_error => self.in_flight.retain(|(in_flight, _)| *in_flight != name),
            Verb::Begin if is_error || says(answer, "granted") => {}
            Verb::Begin | Verb::Commit | Verb::Abort if !is_error => {
                let attempt = (name, attempt);
                self.in_flight.remove(&attempt);
                if verb == Verb::Commit && says(answer, "stored") && !self.committed.contains(&attempt) {
                    self.commits.entry(attempt.0.clone()).or_default().push(Instant::now());
                    self.committed.insert(attempt);
                }
            }
            _ => {}
        }
        self.held(verb, Side::Answer)
    }

    fn read(&self, words: &[&[u8]]) -> Pending {
        let word = |place: usize| words.get(place).copied().unwrap_or_default();
        let is = |place: usize, name: &str| word(place).eq_ignore_ascii_case(name.as_bytes());
        let none = Pending { verb: Verb::Other, name: Name::new(), attempt: Attempt::new() };
        if is(0, "SCRIPT") && is(1, "LOAD") {
            lock(&self.scripts).insert(sha1(word(2)), verb_of(word(2)));
            return none;
        }
        let verb = if is(0, "EVALSHA") {
            let sha = String::from_utf8_lossy(word(1)).to_ascii_lowercase();
            lock(&self.scripts).get(&sha).copied().unwrap_or(Verb::Other)
        } else if is(0, "EVAL") {
            let verb = verb_of(word(1));
            lock(&self.scripts).insert(sha1(word(1)), verb);
            verb
        } else {
            return none;
        };
        // Behind the record's key: a version, then the attempt.
        Pending { verb, name: name_in(word(3)), attempt: word(5).to_vec() }
    }

    fn held(&mut self, verb: Verb, side: Side) -> Passing {
        match self.hold.take_if(|(held, at, _)| (*held, *at) == (verb, side)) {
            Some((_, _, gate)) => Passing::Held(gate),
            None => Passing::Freely,
        }
    }
}

/// The session's name at the end of a record's key.
fn name_in(key: &[u8]) -> Name {
    let name = &key[key.len().saturating_sub(NAME_LENGTH)..];
    String::from_utf8_lossy(name).into_owned()
}

/// A script is recognised by its own text, which stands behind what all of them share.
fn verb_of(script: &[u8]) -> Verb {
    let text = String::from_utf8_lossy(script);
    let verb = SCRIPTS.iter().find(|(_, body)| text.contains(body.trim()));
    verb.map_or(Verb::Other, |(verb, _)| *verb)
}

/// What Redis calls a script.
fn sha1(script: &[u8]) -> String {
    use std::fmt::Write;
    let mut name = String::new();
    for byte in digest(&SHA1_FOR_LEGACY_USE_ONLY, script).as_ref() {
        let _ = write!(name, "{byte:02x}"); // a String takes every write
    }
    name
}

/// Whether a script's answer begins with this word.
fn says(answer: &[u8], word: &str) -> bool {
    resp::words(answer).first().is_some_and(|first| *first == word.as_bytes())
}
