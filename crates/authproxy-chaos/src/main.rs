//! Kills, stops and cuts off a fleet of authproxy nodes under load, and counts what is lost: `scripts/chaos`.
//!
//! Reading order: `run.rs` (what is done), `world.rs` (what runs), `fault.rs` and `world/acts.rs` (what goes wrong),
//! `browser.rs` (the load), `census.rs` and `auth/ledger.rs` (what is counted), `judge.rs` (what was promised). The auth
//! service, the upstream, the balancer and the relays to Redis run in this process, so that it sees everything that
//! passes and can strike at exactly the wrong moment. Nothing that a node reports about itself is believed.

mod args;
mod auth;
mod balancer;
mod browser;
mod census;
mod fault;
mod http;
mod incident;
mod judge;
mod node;
mod process;
mod random;
mod relay;
mod report;
mod run;
mod upstream;
mod world;

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use authproxy_core::store::AttemptId;
use clap::Parser as _;

fn main() -> ExitCode {
    let mut args = args::Args::parse();
    args.seed.get_or_insert_with(|| u64::try_from(AttemptId::random().0 % 1_000_000).expect("below a million"));
    // One thread: every child dies with it, and the census needs no order between threads.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    match runtime.and_then(|runtime| runtime.block_on(run::run(&args))) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            let _ = writeln!(io::stderr(), "authproxy-chaos: {error}");
            ExitCode::FAILURE
        }
    }
}
