//! The command line.

#![allow(clippy::doc_markdown)] // clap prints these comments as they are

use std::{path::PathBuf, time::Duration};

use clap::Parser;

use crate::{auth::Contract, world::StoreKind};

/// Kills, stops and cuts off a fleet of authproxy nodes under load, and counts what is lost.
#[derive(Debug, Parser)]
#[command(version, after_help = "Run it by scripts/chaos, which builds what is tested and installs what it needs.")]
pub(crate) struct Args {
    /// The authproxy to test
    #[arg(long, default_value = "target/release/authproxy")]
    pub(crate) authproxy: PathBuf,
    /// What faults, load and delays are drawn from; a random one by default
    #[arg(long)]
    pub(crate) seed: Option<u64>,
    /// How many nodes
    #[arg(long, default_value_t = 3)]
    pub(crate) nodes: usize,
    /// Where the nodes keep their sessions: redis, or memory (one node only)
    #[arg(long, default_value = "redis", value_parser = store)]
    pub(crate) store: StoreKind,
    /// What the auth service does with a token that is presented again: strict, grace, reusable or idempotent
    #[arg(long, default_value = "grace", value_parser = contract)]
    pub(crate) contract: Contract,
    /// Users at once
    #[arg(long, default_value_t = 48)]
    pub(crate) browsers: u64,
    /// How often every kind of fault happens
    #[arg(long, default_value_t = 1)]
    pub(crate) rounds: u64,
    /// Short faults, short pauses: under a minute
    #[arg(long)]
    pub(crate) short: bool,
    /// Every kind of fault, in turn; what is done when nothing else is asked for
    #[arg(long)]
    pub(crate) faults: bool,
    /// kill -9 of one of two nodes so many times
    #[arg(long)]
    pub(crate) kills: Option<u64>,
    /// SIGSTOP and SIGCONT of one of two nodes so many times
    #[arg(long)]
    pub(crate) stops: Option<u64>,
    /// So many logouts on one node against a refresh on another
    #[arg(long)]
    pub(crate) logout_runs: Option<u64>,
    /// kill -9 at every step of a refresh, under every contract
    #[arg(long)]
    pub(crate) windows: bool,
    /// So many rolling restarts
    #[arg(long)]
    pub(crate) rolls: Option<u64>,
    /// So many sessions at once, random operations on them, and every kind of fault that spares Redis' data
    #[arg(long)]
    pub(crate) soak: Option<u64>,
    /// How long a logout may take to be known everywhere while nothing happens, in milliseconds
    #[arg(long, default_value_t = 100)]
    pub(crate) calm_logout: u64,
    /// The nodes' log level; their logs are in the directory
    #[arg(long, default_value = "warn")]
    pub(crate) log_level: String,
    /// Where configurations, logs and results are written
    #[arg(long, default_value = "target/chaos")]
    pub(crate) directory: PathBuf,
}

impl Args {
    /// Whether it says what is to be done.
    pub(crate) fn names_a_run(&self) -> bool {
        self.windows || [self.kills, self.stops, self.logout_runs, self.rolls, self.soak].iter().any(Option::is_some)
    }
}

fn store(text: &str) -> Result<StoreKind, String> {
    match text {
        "redis" => Ok(StoreKind::Redis),
        "memory" => Ok(StoreKind::Memory),
        _ => Err("redis or memory".into()),
    }
}

fn contract(text: &str) -> Result<Contract, String> {
    match text {
        "strict" => Ok(Contract::Strict),
        "grace" => Ok(Contract::Grace(Duration::from_secs(60))),
        "reusable" => Ok(Contract::Reusable),
        "idempotent" => Ok(Contract::Idempotent),
        _ => Err("strict, grace, reusable or idempotent".into()),
    }
}
