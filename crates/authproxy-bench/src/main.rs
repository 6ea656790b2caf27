//! Measures authproxy side by side with other proxies, in turn and under the same load: `scripts/bench`.
//!
//! Reading order: `bench.rs` (a run), `sections.rs` and below (what is compared and measured), `compare.rs` (sides in
//! turn), `turn.rs` (one side's turn), `peers.rs` (how each side is started), `load.rs` (what it has to bear),
//! `process.rs` (what it costs), `report.rs` (what is said about it). The upstream and the auth service behind every side
//! run in this process (`upstream.rs`, `auth.rs`, on `server.rs`).

mod args;
mod auth;
mod bench;
mod compare;
mod cores;
mod load;
mod peers;
mod process;
mod report;
mod sections;
mod server;
mod spread;
mod stopwatch;
mod turn;
mod upstream;

use std::{io::Write as _, process::ExitCode};

use clap::Parser as _;

fn main() -> ExitCode {
    match bench::run(&args::Args::parse()) {
        Ok(verdict) => verdict,
        Err(error) => {
            let _ = writeln!(std::io::stderr(), "authproxy-bench: {error}");
            ExitCode::FAILURE
        }
    }
}
