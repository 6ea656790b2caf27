//! The command line.

#![allow(clippy::doc_markdown)] // clap prints these comments as they are

use std::{path::PathBuf, time::Duration};

use clap::Parser;

/// Measures what a forwarded request costs: authproxy against nginx, and authproxy with and without refreshes.
#[derive(Debug, Parser)]
#[command(version, after_help = "Run it by scripts/bench, which builds what is measured and installs the peers.")]
pub(crate) struct Args {
    /// The authproxy to measure
    #[arg(long, default_value = "target/release/authproxy")]
    pub(crate) authproxy: PathBuf,
    /// Another authproxy, measured beside the first: a build from before a change, say; may be repeated
    #[arg(long)]
    pub(crate) other_authproxy: Vec<PathBuf>,
    /// The nginx to measure
    #[arg(long, default_value = "nginx")]
    pub(crate) nginx: PathBuf,
    /// How often each side has its turn
    #[arg(long, default_value_t = 5)]
    pub(crate) rounds: usize,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 5.0)]
    pub(crate) seconds: f64,
    /// Seconds of load before each measurement
    #[arg(long, default_value_t = 2.0)]
    pub(crate) warm_up: f64,
    /// Keep-alive connections of the load
    #[arg(long, default_value_t = 64)]
    pub(crate) connections: usize,
    /// Sessions that the load's requests belong to, in turn
    #[arg(long, default_value_t = 1000)]
    pub(crate) sessions: u32,
    /// Requests a second of the open loop, which latency is measured by; 0 leaves it out
    #[arg(long, default_value_t = 5000)]
    pub(crate) rate: u32,
    /// Measure only the side of this name; may be repeated
    #[arg(long)]
    pub(crate) only: Vec<String>,
    /// Measure nothing: send so many requests to each side once, for a profiler
    #[arg(long)]
    pub(crate) requests: Option<usize>,
    /// What the sides are run under, with its flags: "strace -D -c -f -o /tmp/calls"
    #[arg(long, default_value = "")]
    pub(crate) under: String,
    /// Where the measurements are written, as JSON
    #[arg(long, default_value = "target/bench/forward.json")]
    pub(crate) json: PathBuf,
    /// Fail when a figure is over its bound
    #[arg(long)]
    pub(crate) check: bool,
}

impl Args {
    pub(crate) fn window(&self) -> Duration {
        Duration::from_secs_f64(self.seconds.clamp(0.1, 600.0))
    }

    pub(crate) fn warm_up(&self) -> Duration {
        Duration::from_secs_f64(self.warm_up.clamp(0.0, 600.0))
    }
}
