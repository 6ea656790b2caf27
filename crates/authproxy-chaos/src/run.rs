//! The runs: each builds a world, does something to it, and reports.

mod faults;
mod kills;

use std::{io, path::PathBuf, time::Duration};

use crate::{
    args::Args,
    auth::ledger::Lives,
    browser::Habits,
    report::Report,
    world::{Plan, StoreKind},
};

/// Runs what the command line asks for; whether every promise was kept.
pub(crate) async fn run(args: &Args) -> io::Result<Vec<Report>> {
    let mut reports = Vec::new();
    if let Some(times) = args.kills {
        reports.push(kills::kills(args, times).await?);
    }
    if let Some(times) = args.stops {
        reports.push(kills::stops(args, times).await?);
    }
    if let Some(times) = args.rolls {
        reports.push(kills::rolls(args, times).await?);
    }
    if reports.is_empty() {
        reports.push(faults::faults(args).await?);
    }
    Ok(reports)
}

/// A world as the command line has it.
fn plan(args: &Args, name: &str) -> io::Result<Plan> {
    let nodes = if args.store == StoreKind::Memory { 1 } else { args.nodes.max(1) };
    let seed = args.seed.expect("drawn before where it was not given");
    Ok(Plan {
        seed,
        program: args.authproxy.canonicalize().map_err(|error| {
            io::Error::new(error.kind(), format!("{}: {error}; scripts/chaos builds it", args.authproxy.display()))
        })?,
        directory: directory(args, name),
        nodes,
        store: args.store,
        contract: args.contract,
        lives: Lives { short: Duration::from_secs(2), long: Duration::from_secs(90), long_percent: 25 },
        auth_delay: 1..=40,
        backend_timeout: Duration::from_millis(500),
        near_ttl: Duration::from_secs(5),
        stale_max: Duration::from_secs(60),
        calm_logout: Duration::from_millis(args.calm_logout),
        browsers: args.browsers,
        habits: Habits::default(),
        log_level: args.log_level.clone(),
    })
}

fn directory(args: &Args, name: &str) -> PathBuf {
    args.directory.join(format!("{name}-{}", std::process::id()))
}
