//! What is said about the measurements: a table for people, JSON for programs, and whether the bounds are kept.

mod bounds;
mod machine;

use std::fmt;

use serde::Serialize;

use self::{bounds::Bound, machine::Machine};
use crate::{
    args::Args,
    cores::Cores,
    spread::Spread,
    turn::{Measured, Turn},
};

/// At its limit a side uses its whole core, unless others are in the way.
const UNDISTURBED: f64 = 0.9;

/// Everything about a comparison.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    machine: Machine,
    cores: String,
    load: String,
    /// Turns in which the side was kept from its core: figures of those are too high.
    disturbed: usize,
    sides: Vec<About>,
    bounds: Vec<Bound>,
    turns: Vec<Turn>,
}

/// What a side is.
#[derive(Debug, Serialize)]
pub(crate) struct About {
    pub(crate) side: String,
    pub(crate) version: String,
    pub(crate) configuration: String,
}

impl Report {
    pub(crate) fn new(args: &Args, cores: Cores, sides: Vec<About>, turns: Vec<Turn>) -> Self {
        let load = format!(
            "{} keep-alive connections on loopback, HTTP/1.1 without TLS, {} sessions in turn, answers of 1 KiB; {} rounds of {} s \
             after {} s of warm-up; steady: {} requests/s in an open loop",
            args.connections, args.sessions, args.rounds, args.seconds, args.warm_up, args.rate
        );
        let bounds = bounds::of(&turns);
        let disturbed = turns.iter().filter(|turn| turn.limit.cpu_share < UNDISTURBED).count();
        Self { machine: Machine::this(), cores: cores.to_string(), load, disturbed, sides, bounds, turns }
    }

    /// Whether nothing failed; with `bounds` also whether every figure is within its bound.
    pub(crate) fn is_good(&self, bounds: bool) -> bool {
        let is_right = |turn: &Turn| {
            turn.limit.failures.is_empty()
                && turn.steady.failures.is_empty()
                && turn.presentations.most_of_one_token <= 1
        };
        self.turns.iter().all(is_right) && (!bounds || self.bounds.iter().all(Bound::is_kept))
    }

    fn spread(&self, side: &About, figure: impl Fn(&Turn) -> f64) -> Spread {
        Spread::of(self.turns.iter().filter(|turn| turn.side == side.side).map(figure))
    }

    fn failures(&self, side: &About) -> String {
        let mut said = Vec::new();
        for turn in self.turns.iter().filter(|turn| turn.side == side.side) {
            for (kind, count) in turn.limit.failures.iter().chain(&turn.steady.failures) {
                said.push(format!("{count} x {kind} in round {}", turn.round));
            }
        }
        if said.is_empty() { "none".into() } else { said.join(", ") }
    }
}

/// One turn in one line.
pub(crate) fn progress(turn: &Turn, rounds: usize) -> String {
    let Turn { side, round, limit, steady, .. } = turn;
    format!(
        "round {round}/{rounds}  {side:<24} {:6.2} us CPU a request, {:6.0} requests/s;  steady {:6.2} us, p99 {} us",
        limit.cpu_us_per_request, limit.requests_per_second, steady.cpu_us_per_request, steady.p99_us
    )
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}\n{}\n{}\n", self.machine, self.cores, self.load)?;
        if self.disturbed > 0 {
            let (disturbed, all) = (self.disturbed, self.turns.len());
            writeln!(f, "DISTURBED: in {disturbed} of {all} turns the side did not have its core for itself\n")?;
        }
        for About { side, version, configuration } in &self.sides {
            writeln!(f, "{side}: {version}; {configuration}")?;
        }
        writeln!(
            f,
            "\nMedians, in brackets the least and the most of all rounds. Microseconds, but for requests/s.\n"
        )?;
        self.table(f, "at its limit (closed loop)", |turn| &turn.limit)?;
        self.table(f, "steady (open loop)", |turn| &turn.steady)?;
        writeln!(f, "| side | RSS, MiB | refreshes in a turn | most presentations of a token | failures |")?;
        writeln!(f, "|---|---|---|---|---|")?;
        for side in &self.sides {
            #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
            let (rss, refreshes) = (
                self.spread(side, |turn| turn.rss_kib as f64 / 1024.0),
                self.spread(side, |turn| turn.presentations.refreshes as f64),
            );
            let presented = self.turns.iter().filter(|turn| turn.side == side.side);
            let most = presented.map(|turn| turn.presentations.most_of_one_token).max().unwrap_or_default();
            writeln!(f, "| {} | {rss:.1} | {refreshes:.0} | {most} | {} |", side.side, self.failures(side))?;
        }
        writeln!(f)?;
        self.bounds.iter().try_for_each(|bound| writeln!(f, "{bound}"))
    }
}

impl Report {
    fn table(&self, f: &mut fmt::Formatter<'_>, title: &str, of: fn(&Turn) -> &Measured) -> fmt::Result {
        writeln!(f, "| {title} | CPU a request | requests/s | cores used | p50 | p99 | p99.9 |")?;
        writeln!(f, "|---|---|---|---|---|---|---|")?;
        for side in &self.sides {
            let figure = |figure: fn(&Measured) -> f64| self.spread(side, |turn| figure(of(turn)));
            writeln!(
                f,
                "| {} | {:.2} | {:.0} | {:.2} | {:.0} | {:.0} | {:.0} |",
                side.side,
                figure(|measured| measured.cpu_us_per_request),
                figure(|measured| measured.requests_per_second),
                figure(|measured| measured.cpu_share),
                figure(|measured| measured.p50_us.into()),
                figure(|measured| measured.p99_us.into()),
                figure(|measured| measured.p999_us.into()),
            )?;
        }
        writeln!(f)
    }
}
