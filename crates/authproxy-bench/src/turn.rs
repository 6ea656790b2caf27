//! One side's turn: started afresh, measured at its limit and at a steady rate, stopped.

use std::{collections::BTreeMap, io, time::Duration};

use serde::Serialize;

use crate::{
    args::Args,
    auth::Presentations,
    load::{Load, Outcome, Pace},
    peers::{Running, Side, Stage},
    process::Family,
};

/// How long a profiled side may take.
const LONGEST: Duration = Duration::from_secs(600);

/// What was measured in a turn.
#[derive(Clone, Debug, Serialize)]
pub(crate) struct Turn {
    pub(crate) side: String,
    pub(crate) round: usize,
    /// In a closed loop: what the side can do.
    pub(crate) limit: Measured,
    /// In an open loop: how long answers take.
    pub(crate) steady: Measured,
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
    /// The share of one core that the side used.
    pub(crate) cpu_share: f64,
    pub(crate) p50_us: u32,
    pub(crate) p99_us: u32,
    pub(crate) p999_us: u32,
    pub(crate) longest_us: u32,
}

/// Gives a side its turn.
pub(crate) fn take(side: &dyn Side, round: usize, stage: &Stage<'_>, args: &Args) -> io::Result<Turn> {
    stage.auth.begin(Duration::ZERO);
    let running = side.start(stage)?;
    // All its processes and threads that matter exist by now.
    let family = running.process.family()?;
    let limit = measure(&running, &family, Pace::Closed, args)?;
    let steady = match args.rate {
        0 => Measured::default(),
        rate => measure(&running, &family, Pace::Open(rate), args)?,
    };
    let rss_kib = family.rss_kib();
    Ok(Turn { side: side.name().into(), round, limit, steady, rss_kib, presentations: stage.auth.presentations() })
}

/// Sends a side so many requests and nothing else, for a profiler; what came of them.
pub(crate) fn count(side: &dyn Side, requests: usize, stage: &Stage<'_>, args: &Args) -> io::Result<Outcome> {
    let running = side.start(stage)?;
    let load = Load {
        address: running.address,
        questions: &running.questions,
        connections: args.connections,
        pace: Pace::Closed,
        warm_up: Duration::ZERO,
        window: LONGEST,
        requests,
    };
    load.run(|| ())
}

fn measure(running: &Running, family: &Family, pace: Pace, args: &Args) -> io::Result<Measured> {
    let load = Load {
        address: running.address,
        questions: &running.questions,
        connections: args.connections,
        pace,
        warm_up: args.warm_up(),
        window: args.window(),
        requests: usize::MAX,
    };
    let mut edges = Vec::new();
    let mut outcome = load.run(|| edges.push(family.cpu_time()))?;
    let [begin, end] = edges[..] else { return Err(io::Error::other("a load has two edges")) };
    let (cpu, elapsed) = (end.saturating_sub(begin).as_secs_f64(), outcome.elapsed.as_secs_f64());
    let percentiles = outcome.percentiles([500, 990, 999, 1000]);
    #[expect(clippy::cast_precision_loss, reason = "far below 2^52 answers")]
    let answers = outcome.answers() as f64;
    Ok(Measured {
        answers: outcome.answers(),
        failures: outcome.failures(),
        requests_per_second: answers / elapsed,
        cpu_us_per_request: if answers > 0.0 { cpu * 1e6 / answers } else { 0.0 },
        cpu_share: cpu / elapsed,
        p50_us: percentiles[0],
        p99_us: percentiles[1],
        p999_us: percentiles[2],
        longest_us: percentiles[3],
    })
}
