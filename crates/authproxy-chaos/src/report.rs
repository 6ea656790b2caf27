//! The one table, on the terminal and as JSON.

use std::{collections::BTreeMap, fmt::Write as _, fs, io, path::Path, time::Duration};

use serde::Serialize;

use crate::world::World;

/// Broken promises that are written out.
const MOST_EXAMPLES: usize = 40;

/// What a run came to.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Report {
    run: String,
    seed: u64,
    setting: String,
    seconds: f64,
    faults: usize,
    requests: u64,
    good: u64,
    failures: BTreeMap<String, u64>,
    logins: u64,
    logouts: u64,
    refreshes: u64,
    sessions_lost: u64,
    /// Of these: what no proxy can save under the service's contract.
    sessions_lost_excused: u64,
    /// Of these: asked for again only when the grace was over.
    sessions_lost_late: u64,
    most_presentations_of_one_token: usize,
    /// Presentations of a token that had been presented before, where the contract allows that.
    allowed_repeats: u64,
    wrong_user_answers: u64,
    revived_sessions: u64,
    /// Logouts that were known everywhere later than they should, and soon after.
    slow_logouts: usize,
    longest_logout_ms: u64,
    /// Further figures of this run.
    figures: Vec<(String, String)>,
    broken: Vec<String>,
}

impl Report {
    /// Of a world that has come to its end.
    pub(crate) fn of(run: &str, world: &World) -> Self {
        let judged = world.judge();
        let census = world.shared.census();
        let plan = &world.plan;
        Self {
            run: run.to_owned(),
            seed: plan.seed,
            setting: format!(
                "{} node(s), {:?} store, {} auth service, {} users at once",
                plan.nodes, plan.store, plan.contract, plan.browsers
            ),
            seconds: world.began.elapsed().as_secs_f64(),
            faults: world.incidents.len(),
            requests: census.requests,
            good: census.good,
            failures: census.failures.clone(),
            logins: census.logins,
            logouts: census.logouts,
            refreshes: world.auth.ledger().refreshes,
            sessions_lost: judged.lost,
            sessions_lost_excused: judged.excused,
            sessions_lost_late: judged.late,
            most_presentations_of_one_token: judged.most_presentations,
            allowed_repeats: judged.allowed_repeats,
            wrong_user_answers: census.wrong_user,
            revived_sessions: judged.revived,
            slow_logouts: judged.slow_logouts,
            longest_logout_ms: millis(census.longest_logout),
            figures: Vec::new(),
            broken: judged.broken,
        }
    }

    /// Of a run that has more than one world.
    pub(crate) fn new(run: &str, seed: u64, setting: &str) -> Self {
        let (run, setting) = (run.to_owned(), setting.to_owned());
        Self { run, seed, setting, ..Self::default() }
    }

    /// Adds a figure of this run.
    pub(crate) fn figure(&mut self, name: &str, value: &impl ToString) {
        self.figures.push((name.to_owned(), value.to_string()));
    }

    /// Adds a broken promise.
    pub(crate) fn broke(&mut self, what: String) {
        self.broken.push(what);
    }

    /// Says how long the run took.
    pub(crate) fn took(&mut self, time: Duration) {
        self.seconds = time.as_secs_f64();
    }

    /// How many logouts were acknowledged.
    pub(crate) fn logouts(&self) -> u64 {
        self.logouts
    }

    /// How many requests failed.
    pub(crate) fn failed(&self) -> u64 {
        self.failures.values().sum()
    }

    /// Whether every promise was kept.
    pub(crate) fn is_good(&self) -> bool {
        self.broken.is_empty()
    }

    /// The table, for people.
    pub(crate) fn table(&self) -> String {
        let mut text = String::new();
        let mut row = |name: &str, value: String| {
            let _ = writeln!(text, "  {name:<58} {value}"); // a String takes every write
        };
        if self.requests > 0 {
            self.rows(&mut row);
        }
        for (name, value) in &self.figures {
            row(name, value.clone());
        }
        row("broken promises", self.broken.len().to_string());
        for what in self.broken.iter().take(MOST_EXAMPLES) {
            let _ = writeln!(text, "    {what}");
        }
        format!("{}: seed {}, {}, {:.1} s\n{text}", self.run, self.seed, self.setting, self.seconds)
    }

    /// What there is to say of every run with a load.
    fn rows(&self, row: &mut impl FnMut(&str, String)) {
        row("faults", self.faults.to_string());
        row("requests", self.requests.to_string());
        row("answered as they should be", self.good.to_string());
        row("failures", self.failures.values().sum::<u64>().to_string());
        for (class, count) in &self.failures {
            row(&format!("  {class}"), count.to_string());
        }
        row("logins, logouts", format!("{}, {}", self.logins, self.logouts));
        row("refreshes", self.refreshes.to_string());
        row("presentations of one refresh token, at most", self.most_presentations_of_one_token.to_string());
        row("repeats that the contract allows", self.allowed_repeats.to_string());
        let lost = self.sessions_lost - self.sessions_lost_excused;
        row("sessions lost", lost.to_string());
        row("sessions that the contract or the fault ends", self.sessions_lost_excused.to_string());
        row("  of these: asked for again only after the grace", self.sessions_lost_late.to_string());
        row("wrong-user answers", self.wrong_user_answers.to_string());
        row("revived sessions", self.revived_sessions.to_string());
        row("logouts known everywhere only after the bound", self.slow_logouts.to_string());
        row("longest time until a logout was known everywhere", format!("{} ms", self.longest_logout_ms));
    }

    /// Writes it as JSON, named after the run.
    pub(crate) fn write(&self, directory: &Path) -> io::Result<()> {
        fs::create_dir_all(directory)?;
        let text = serde_json::to_string_pretty(self).map_err(io::Error::other)?;
        fs::write(directory.join(format!("{}.json", self.run)), text)
    }
}

fn millis(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}
