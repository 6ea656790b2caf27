//! The command line.

#![allow(clippy::doc_markdown)] // clap prints these comments as they are

use std::{path::PathBuf, time::Duration};

use clap::Parser;

/// Measures authproxy side by side with other proxies, and what it costs where there is no other.
#[derive(Debug, Parser)]
#[command(version, after_help = "Run it by scripts/bench, which builds what is measured and installs the peers.")]
pub(crate) struct Args {
    /// Measure only the section of this name; may be repeated. With --only, --other-authproxy or --requests: "forward"
    #[arg(long)]
    pub(crate) section: Vec<String>,
    /// Measure only the side of this name; may be repeated
    #[arg(long)]
    pub(crate) only: Vec<String>,
    /// The authproxy to measure
    #[arg(long, default_value = "target/release/authproxy")]
    pub(crate) authproxy: PathBuf,
    /// Another authproxy, measured beside the first: a build from before a change, say; may be repeated
    #[arg(long)]
    pub(crate) other_authproxy: Vec<PathBuf>,
    /// The nginx to measure
    #[arg(long, default_value = "nginx")]
    pub(crate) nginx: PathBuf,
    /// The folder with caddy, traefik and envoy
    #[arg(long, default_value = "target/gateways/bin")]
    pub(crate) gateways: PathBuf,
    /// The Python interpreter with the packages of the seed's program
    #[arg(long, default_value = "target/bench/fastapi/bin/python")]
    pub(crate) fastapi: PathBuf,
    /// How often each side has its turn
    #[arg(long, default_value_t = 5)]
    pub(crate) rounds: usize,
    /// Seconds of each measurement
    #[arg(long, default_value_t = 2.0)]
    pub(crate) seconds: f64,
    /// Seconds of load before each measurement
    #[arg(long, default_value_t = 1.0)]
    pub(crate) warm_up: f64,
    /// Keep-alive connections of the load
    #[arg(long, default_value_t = 64)]
    pub(crate) connections: usize,
    /// Sessions that the load's requests belong to, in turn
    #[arg(long, default_value_t = 1000)]
    pub(crate) sessions: u32,
    /// Sessions of the section that has many
    #[arg(long, default_value_t = 1_000_000)]
    pub(crate) many_sessions: u32,
    /// Requests a second of the open loop, which latency is measured by; 0 leaves it out
    #[arg(long, default_value_t = 5000)]
    pub(crate) rate: u32,
    /// Measure nothing: send so many requests to each side once, for a profiler
    #[arg(long)]
    pub(crate) requests: Option<usize>,
    /// What the sides are run under, with its flags: "strace -D -c -f -o /tmp/calls"
    #[arg(long, default_value = "")]
    pub(crate) under: String,
    /// Where the measurements are written, as JSON
    #[arg(long, default_value = "target/bench/bench.json")]
    pub(crate) json: PathBuf,
    /// Where the report is written, as Markdown, and beside it the measurements
    #[arg(long)]
    pub(crate) document: Option<PathBuf>,
    /// Build authproxy once more, from nothing, and say how long that takes
    #[arg(long)]
    pub(crate) build_time: bool,
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

    /// Whether a section is to be measured.
    pub(crate) fn wants(&self, section: &str) -> bool {
        let picks_sides = !self.only.is_empty() || !self.other_authproxy.is_empty() || self.requests.is_some();
        match &self.section[..] {
            [] => !picks_sides || section == "forward",
            some => some.iter().any(|name| name == section),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wants(flags: &[&str], section: &str) -> bool {
        Args::parse_from([&["authproxy-bench"], flags].concat()).wants(section)
    }

    #[test]
    fn everything_is_measured_unless_sections_or_sides_are_picked() {
        assert!(wants(&[], "forward") && wants(&[], "storms"));
        assert!(wants(&["--section", "storms"], "storms") && !wants(&["--section", "storms"], "forward"));
        for pick in [["--only", "authproxy"], ["--other-authproxy", "old"], ["--requests", "7"]] {
            assert!(wants(&pick, "forward") && !wants(&pick, "storms"), "{pick:?}");
        }
    }
}
