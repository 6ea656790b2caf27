//! One side's turn: started afresh, measured at its limit and at a steady rate, stopped.

use std::{collections::BTreeMap, io, time::Duration};

use serde::Serialize;

use crate::{
    args::Args,
    auth::{Presentations, Terms},
    load::{Load, Outcome, Pace, burst},
    peers::{Side, Stage},
    process::Family,
};

const HOUR: Duration = Duration::from_secs(3600);
/// What a side can do is to be so many times the steady rate: near its limit a queue is measured, not the side.
const HEADROOM: f64 = 1.5;

/// What was measured in a turn.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Turn {
    /// What differs from the other groups of its section.
    pub(crate) group: String,
    pub(crate) side: String,
    pub(crate) round: usize,
    /// In a closed loop: what the side can do.
    pub(crate) limit: Measured,
    /// In an open loop: how long answers take.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) steady: Option<Measured>,
    /// In RAM at the end.
    pub(crate) rss_kib: u64,
    pub(crate) presentations: Presentations,
}

/// What was measured under one load.
#[derive(Clone, Debug, Default, Serialize)]
pub(crate) struct Measured {
    pub(crate) answers: u64,
    /// Kinds of failures, with their numbers.
    pub(crate) failures: BTreeMap<String, u64>,
    pub(crate) requests_per_second: f64,
    /// Microseconds of the side's CPU time for each right answer.
    pub(crate) cpu_us_per_request: f64,
    /// How many cores the side used.
    pub(crate) cpu_share: f64,
    pub(crate) p50_us: u32,
    pub(crate) p99_us: u32,
    pub(crate) p999_us: u32,
    pub(crate) longest_us: u32,
}

/// Gives a side its turn; the open loop only where there is to be one.
pub(crate) fn take(side: &dyn Side, at: (&str, usize), open: bool, stage: &Stage<'_>, args: &Args) -> io::Result<Turn> {
    stage.auth.begin(Terms::of_life(HOUR));
    let running = side.start(stage)?;
    // All its processes and threads that matter exist by now.
    let family = running.family()?;
    let load = Load {
        address: running.address,
        questions: &running.questions,
        connections: stage.shape.connections,
        pace: Pace::Closed,
        warm_up: args.warm_up(),
        window: args.window(),
        requests: usize::MAX,
    };
    let limit = match side.requests() {
        None => measure(&load, &family)?,
        Some(requests) => counted(&load, requests, &family)?,
    };
    let bears = |rate: u32| limit.requests_per_second >= f64::from(rate) * HEADROOM;
    let steady = match args.rate {
        rate @ 1.. if open && bears(rate) => Some(measure(&Load { pace: Pace::Open(rate), ..load }, &family)?),
        _ => None,
    };
    let (rss_kib, presentations) = (family.rss_kib(), stage.auth.presentations());
    let (group, side, round) = (at.0.into(), side.name().into(), at.1);
    Ok(Turn { group, side, round, limit, steady, rss_kib, presentations })
}

/// Sends a side so many requests and nothing else, for a profiler; what came of them.
pub(crate) fn count(side: &dyn Side, requests: usize, stage: &Stage<'_>) -> io::Result<Outcome> {
    let running = side.start(stage)?;
    burst(running.address, &running.questions, stage.shape.connections, requests).run(|| ())
}

/// A slow side: a fixed number of requests to their end, or those under way at the edges would weigh too much.
fn counted(load: &Load<'_>, requests: usize, family: &Family) -> io::Result<Measured> {
    let connections = load.connections.min(load.questions.len());
    burst(load.address, load.questions, connections, connections.max(requests / 10)).run(|| ())?;
    measure(&burst(load.address, load.questions, connections, requests), family)
}

/// What a load costs a side, and what comes of it.
pub(crate) fn measure(load: &Load<'_>, family: &Family) -> io::Result<Measured> {
    Ok(measure_outcome(load, family)?.0)
}

/// The same, with the outcome itself.
pub(crate) fn measure_outcome(load: &Load<'_>, family: &Family) -> io::Result<(Measured, Outcome)> {
    let mut edges = Vec::new();
    let mut outcome = load.run(|| edges.push(family.cpu_time()))?;
    let [begin, end] = edges[..] else { return Err(io::Error::other("a load has two edges")) };
    if outcome.answers() == 0 || outcome.elapsed.is_zero() {
        return Err(io::Error::other(format!("no right answer was measured; failures: {:?}", outcome.failures())));
    }
    Ok((Measured::of(&mut outcome, end.saturating_sub(begin)), outcome))
}

impl Measured {
    fn of(outcome: &mut Outcome, cpu: Duration) -> Self {
        let (cpu, elapsed) = (cpu.as_secs_f64(), outcome.elapsed.as_secs_f64());
        let percentiles = outcome.percentiles([500, 990, 999, 1000]);
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52 answers")]
        let answers = outcome.answers() as f64;
        Self {
            answers: outcome.answers(),
            failures: outcome.failures(),
            requests_per_second: answers / elapsed,
            cpu_us_per_request: cpu * 1e6 / answers,
            cpu_share: cpu / elapsed,
            p50_us: percentiles[0],
            p99_us: percentiles[1],
            p999_us: percentiles[2],
            longest_us: percentiles[3],
        }
    }
}

impl Turn {
    /// Kinds of failures under either load, with their numbers.
    pub(crate) fn failures(&self) -> impl Iterator<Item = (&String, &u64)> {
        self.limit.failures.iter().chain(self.steady.iter().flat_map(|steady| &steady.failures))
    }
}
