//! One user's browser: logs in, asks in bursts over all nodes, logs out, comes back as another user.

use std::{
    ops::RangeInclusive,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use futures_util::future::join_all;
use tokio::{
    sync::watch,
    time::{Instant, sleep},
};

use crate::{
    balancer::{Balancer, Question, Sent},
    census::{Census, Closed, Lost, Outcome, Revival, Session},
    random::Random,
    relay::name_of,
};

/// How often a logout that failed is tried again before it is given up.
const LOGOUT_TRIES: usize = 5;
/// How long a closed session's cookie is tried on a node that still takes it.
const LONGEST_PROBE: Duration = Duration::from_secs(70);

/// What all browsers share.
pub(crate) struct Shared {
    pub(crate) balancer: Balancer,
    pub(crate) census: Mutex<Census>,
    /// Sessions that were left alone, alive, and when.
    pub(crate) idle: Mutex<Vec<(Session, Instant)>>,
    pub(crate) habits: Habits,
}

/// What browsers do.
#[derive(Clone, Debug)]
pub(crate) struct Habits {
    /// Milliseconds between two bursts.
    pub(crate) pause: RangeInclusive<u64>,
    /// Requests of a burst at once.
    pub(crate) burst: RangeInclusive<u64>,
    /// Bursts of a session.
    pub(crate) bursts: RangeInclusive<u64>,
    /// How many sessions in a hundred end with a logout; the others are left alone.
    pub(crate) logouts: u64,
}

impl Default for Habits {
    fn default() -> Self {
        Self { pause: 20..=400, burst: 1..=3, bursts: 10..=120, logouts: 70 }
    }
}

/// A browser.
pub(crate) struct Browser {
    name: u64,
    logins: u64,
    random: Random,
    shared: Arc<Shared>,
    stopping: watch::Receiver<bool>,
}

impl Shared {
    pub(crate) fn census(&self) -> MutexGuard<'_, Census> {
        self.census.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks for a session's page and counts what comes.
    pub(crate) async fn ask(&self, session: &Session, node: usize) -> (Sent, Outcome) {
        let sent = self.balancer.send(&Question::get("/api/page", &session.cookie), node).await;
        let outcome = Outcome::of(&sent, session);
        self.census().count(&sent, &outcome);
        (sent, outcome)
    }

    /// Asks one node, whatever state it is in. Counts only what must never be.
    pub(crate) async fn ask_node(&self, session: &Session, node: usize) -> (Sent, Outcome) {
        let sent = self.balancer.send_to(&Question::get("/api/page", &session.cookie), node).await;
        let outcome = Outcome::of(&sent, session);
        if outcome == Outcome::WrongUser {
            self.census().wrong_user += 1;
        }
        (sent, outcome)
    }

    /// Logs a user in; `None` when that failed.
    pub(crate) async fn log_in(&self, user: String, node: usize) -> Option<Session> {
        let sent = self.balancer.send(&Question::log_in(&user), node).await;
        let mut census = self.census();
        census.count_post(&sent);
        let answer = sent.answer.ok().filter(|answer| answer.status == 200);
        let cookie = answer.and_then(|answer| Some(answer.cookies.first()?.split(';').next()?.to_owned()));
        let Some(cookie) = cookie else {
            census.failed_logins += 1;
            return None;
        };
        census.logins += 1;
        if let Some(name) = name_of(&cookie) {
            census.names.insert(user.clone(), name);
        }
        Some(Session { user, cookie, opened_at: Instant::now() })
    }

    /// Logs a session out; `None` when that was not acknowledged.
    pub(crate) async fn log_out(&self, session: &Session, node: usize) -> Option<Closed> {
        let sent = self.balancer.send(&Question::log_out(&session.cookie), node).await;
        let mut census = self.census();
        census.count_post(&sent);
        if sent.answer.is_ok_and(|answer| answer.status == 200) {
            census.logouts += 1;
            return Some(Closed { session: session.clone(), at: Instant::now(), node: sent.node });
        }
        None
    }

    /// Logs a session out on this node, and tries it again a few times where that fails.
    pub(crate) async fn log_out_for_sure(&self, session: &Session, node: usize) -> Option<Closed> {
        for _ in 0..LOGOUT_TRIES {
            let closed = self.log_out(session, node).await;
            if closed.is_some() {
                return closed;
            }
            sleep(Duration::from_millis(100)).await;
        }
        None
    }

    /// Tries a closed session's cookie on a node until it is refused there, and notes every success.
    pub(crate) async fn probe(&self, closed: &Closed, node: usize) {
        while closed.at.elapsed() < LONGEST_PROBE {
            let (sent, outcome) = self.ask_node(&closed.session, node).await;
            match outcome {
                Outcome::Good | Outcome::WrongUser => {
                    let mut census = self.census();
                    census.longest_logout = census.longest_logout.max(sent.at - closed.at);
                    census.revivals.push(Revival { closed: closed.clone(), at: sent.at, node });
                }
                // A node that is down, or has no store at hand, does not say that it would take the cookie.
                Outcome::LoggedOut(_) | Outcome::Failed(_) => return,
            }
            sleep(Duration::from_millis(10)).await;
        }
    }
}

impl Browser {
    pub(crate) fn new(name: u64, seed: &Random, shared: Arc<Shared>, stopping: watch::Receiver<bool>) -> Self {
        Self { name, logins: 0, random: seed.branch(name), shared, stopping }
    }

    /// Runs until it is told to stop.
    pub(crate) async fn run(mut self) {
        // Not all at once.
        let first = self.random.millis(0..=*self.shared.habits.pause.end());
        self.pause(first).await;
        while !self.is_stopping() {
            if let Some(session) = self.open().await {
                self.use_up(session).await;
            } else {
                let pause = self.random.millis(50..=500);
                self.pause(pause).await;
            }
        }
    }

    async fn open(&mut self) -> Option<Session> {
        self.logins += 1;
        let user = format!("u{}.{}", self.name, self.logins);
        let node = self.node();
        self.shared.log_in(user, node).await
    }

    async fn use_up(&mut self, session: Session) {
        let bursts = self.random.within(self.shared.habits.bursts.clone());
        for _ in 0..bursts {
            if self.is_stopping() {
                break;
            }
            if !self.ask_some(&session).await {
                return;
            }
            let pause = self.random.millis(self.shared.habits.pause.clone());
            self.pause(pause).await;
        }
        if self.random.percent(self.shared.habits.logouts) && !self.is_stopping() {
            self.leave(session).await;
        } else {
            self.shared.idle.lock().unwrap_or_else(PoisonError::into_inner).push((session, Instant::now()));
        }
    }

    /// Asks several nodes at once; false when the session is lost.
    async fn ask_some(&mut self, session: &Session) -> bool {
        let count = self.random.within(self.shared.habits.burst.clone());
        let nodes: Vec<_> = (0..count).map(|_| self.node()).collect();
        let answers = join_all(nodes.into_iter().map(|node| self.shared.ask(session, node))).await;
        let lost = answers.into_iter().find_map(|(sent, outcome)| match outcome {
            Outcome::LoggedOut(said) => Some((sent.node, said)),
            _ => None,
        });
        let Some((node, said)) = lost else { return true };
        let lost = Lost { session: session.clone(), at: Instant::now(), node, said, left_at: None };
        self.shared.census().lost.push(lost);
        false
    }

    /// Logs out, half of the time with requests under way, and looks whether every node knows.
    async fn leave(&mut self, session: Session) {
        for _ in 0..LOGOUT_TRIES {
            let node = self.node();
            let closed = if self.random.percent(50) {
                let beside = self.node();
                // A request that meets a logout may be answered either way.
                let (closed, _) = tokio::join!(self.shared.log_out(&session, node), async {
                    let question = Question::get("/api/page", &session.cookie);
                    self.shared.balancer.send(&question, beside).await
                });
                closed
            } else {
                self.shared.log_out(&session, node).await
            };
            if let Some(closed) = closed {
                let nodes = 0..self.shared.balancer.len();
                join_all(nodes.map(|node| self.shared.probe(&closed, node))).await;
                self.shared.census().closed.push(closed);
                return;
            }
            let pause = self.random.millis(100..=1000);
            self.pause(pause).await;
        }
    }

    fn node(&mut self) -> usize {
        self.random.place(self.shared.balancer.len())
    }

    fn is_stopping(&self) -> bool {
        *self.stopping.borrow()
    }

    /// Waits, but not beyond the end of the run.
    async fn pause(&mut self, pause: Duration) {
        tokio::select! {
            () = sleep(pause) => {}
            _ = self.stopping.wait_for(|stopping| *stopping) => {}
        }
    }
}
