//! The runs: each builds a world, does something to it, and reports.

mod faults;
mod kills;
mod logouts;
mod soak;
mod windows;

use std::{
    io::{self, Write as _},
    path::PathBuf,
    time::Duration,
};

use crate::{
    args::Args,
    auth::ledger::Lives,
    browser::Habits,
    report::Report,
    world::{Plan, StoreKind},
};

/// Runs what the command line asks for; whether every promise was kept.
pub(crate) async fn run(args: &Args) -> io::Result<bool> {
    let mut kept = true;
    if args.windows {
        kept &= show(&windows::windows(args).await?, args)?;
    }
    if let Some(times) = args.logout_runs {
        kept &= show(&logouts::logouts(args, times).await?, args)?;
    }
    if let Some(times) = args.rolls {
        kept &= show(&kills::rolls(args, times).await?, args)?;
    }
    if let Some(times) = args.kills {
        kept &= show(&kills::kills(args, times).await?, args)?;
    }
    if let Some(times) = args.stops {
        kept &= show(&kills::stops(args, times).await?, args)?;
    }
    if let Some(sessions) = args.soak {
        kept &= show(&soak::soak(args, sessions).await?, args)?;
    }
    if args.faults || !args.names_a_run() {
        kept &= show(&faults::faults(args).await?, args)?;
    }
    Ok(kept)
}

/// Prints and keeps what was found; whether every promise was kept.
fn show(report: &Report, args: &Args) -> io::Result<bool> {
    writeln!(io::stdout(), "{}", report.table())?;
    report.write(&args.directory)?;
    Ok(report.is_good())
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
        lives: Lives {
            short: Duration::from_secs(2),
            long: Duration::from_secs(90),
            long_percent: 25,
            due_soon: false,
        },
        auth_delay: 1..=40,
        // Long enough for a machine that has too much to do: a node's own time-out is no incident.
        backend_timeout: Duration::from_secs(2),
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
