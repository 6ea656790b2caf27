//! The harness' own census: what browsers were answered. Nothing here comes from the nodes' own reports.

use std::{
    collections::{BTreeMap, HashMap},
    time::Duration,
};

use tokio::time::Instant;

use crate::{
    balancer::{Failure, Sent},
    http::{Answer, Broken},
    relay::Name,
};

/// Everything that was counted.
#[derive(Default)]
pub(crate) struct Census {
    pub(crate) requests: u64,
    pub(crate) good: u64,
    /// Failures by class.
    pub(crate) failures: BTreeMap<String, u64>,
    /// When each failed request was sent, with its class: how long a recovery takes.
    pub(crate) failed_at: Vec<(Instant, String)>,
    pub(crate) logins: u64,
    /// What each user's session is called in Redis.
    pub(crate) names: HashMap<String, Name>,
    pub(crate) failed_logins: u64,
    pub(crate) logouts: u64,
    pub(crate) wrong_user: u64,
    /// 500s, and every answer that breaks a rule for failures: 503 without Retry-After, a cookie cleared by an outage.
    pub(crate) bad_manners: BTreeMap<String, u64>,
    pub(crate) lost: Vec<Lost>,
    pub(crate) closed: Vec<Closed>,
    pub(crate) revivals: Vec<Revival>,
    /// The longest time between an acknowledged logout and the last success with its cookie, anywhere.
    pub(crate) longest_logout: Duration,
}

/// What a browser knows of its session.
#[derive(Clone, Debug)]
pub(crate) struct Session {
    pub(crate) user: String,
    /// The cookie, as requests carry it.
    pub(crate) cookie: String,
    pub(crate) opened_at: Instant,
}

/// A session that a node has called unknown or over though nobody had ended it.
#[derive(Clone, Debug)]
pub(crate) struct Lost {
    pub(crate) session: Session,
    pub(crate) at: Instant,
    pub(crate) node: usize,
    pub(crate) said: String,
    /// When it was last asked for before it was left alone for a while.
    pub(crate) left_at: Option<Instant>,
}

/// A session whose logout was acknowledged.
#[derive(Clone, Debug)]
pub(crate) struct Closed {
    pub(crate) session: Session,
    pub(crate) at: Instant,
    pub(crate) node: usize,
}

/// A request with the cookie of a closed session that succeeded.
#[derive(Clone, Debug)]
pub(crate) struct Revival {
    pub(crate) closed: Closed,
    /// When the request was sent.
    pub(crate) at: Instant,
    pub(crate) node: usize,
}

/// What a request for a session's page came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// The right page.
    Good,
    /// Another user's page.
    WrongUser,
    /// The session is unknown or over; with what the node said.
    LoggedOut(String),
    /// A failure that says nothing about the session; its class.
    Failed(String),
}

impl Outcome {
    /// Reads an answer to `GET /api` for a session.
    pub(crate) fn of(sent: &Sent, session: &Session) -> Self {
        match &sent.answer {
            Ok(answer) if answer.status == 200 && answer.body == session.user.as_bytes() => Self::Good,
            Ok(answer) if answer.status == 200 => Self::WrongUser,
            Ok(answer) if answer.status == 401 => Self::LoggedOut(class(answer)),
            Ok(answer) => Self::Failed(class(answer)),
            Err(failure) => Self::Failed(failed(*failure)),
        }
    }
}

impl Census {
    /// Counts a request for a session's page.
    pub(crate) fn count(&mut self, sent: &Sent, outcome: &Outcome) {
        self.requests += 1;
        match outcome {
            Outcome::Good => self.good += 1,
            Outcome::WrongUser => self.wrong_user += 1,
            Outcome::LoggedOut(_) => {} // the judge decides whether that was right
            Outcome::Failed(class) => self.fail(sent, class.clone()),
        }
        self.look_at_manners(sent);
    }

    /// Counts a login or a logout.
    pub(crate) fn count_post(&mut self, sent: &Sent) {
        self.requests += 1;
        match &sent.answer {
            Ok(answer) if answer.status == 200 => self.good += 1,
            Ok(answer) => self.fail(sent, class(answer)),
            Err(failure) => self.fail(sent, failed(*failure)),
        }
        self.look_at_manners(sent);
    }

    /// How many requests failed.
    pub(crate) fn failed(&self) -> u64 {
        self.failures.values().sum()
    }

    fn fail(&mut self, sent: &Sent, class: String) {
        self.failed_at.push((sent.at, class.clone()));
        *self.failures.entry(class).or_default() += 1;
    }

    fn look_at_manners(&mut self, sent: &Sent) {
        let Ok(answer) = &sent.answer else { return };
        let mut bad = |what: &str| *self.bad_manners.entry(what.to_owned()).or_default() += 1;
        if answer.status == 500 {
            bad("500");
        }
        if answer.status == 503 && !answer.has_retry_after {
            bad("503 without Retry-After");
        }
        if answer.status >= 500 && answer.cookies.iter().any(|cookie| cookie.contains("Max-Age=0")) {
            bad("an outage clears the cookie");
        }
    }
}

/// An answer's status and words.
pub(crate) fn class(answer: &Answer) -> String {
    let body: Option<serde_json::Value> = serde_json::from_slice(&answer.body).ok();
    let detail = body.as_ref().and_then(|body| body["detail"].as_str()).unwrap_or_default();
    format!("{} {detail}", answer.status).trim().to_owned()
}

fn failed(failure: Failure) -> String {
    match failure {
        Failure::Refused(kind) => return format!("every node refuses: {kind}"),
        Failure::Cut(Broken::BeforeAnswer) => "cut before the answer",
        Failure::Cut(Broken::InAnswer) => "cut in the answer",
        Failure::TimedOut => "no answer in time",
    }
    .to_owned()
}
