//! A run: the stage is set, the sections have their turn, the report is written.

use std::{
    fs,
    io::{self, Write as _},
    process::ExitCode,
};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

use crate::{
    args::Args,
    auth::AuthService,
    cores::{Cores, Width},
    load::Errand,
    peers::{Shape, Side, Stage},
    report::Report,
    sections, stopwatch, upstream,
};

/// What every section finds.
pub(crate) struct Bench<'a> {
    pub(crate) args: &'a Args,
    pub(crate) stage: Stage<'a>,
}

impl Bench<'_> {
    /// The stage with another kind of load.
    pub(crate) fn stage(&self, shape: Shape) -> Stage<'_> {
        Stage { shape, ..self.stage }
    }

    /// Whether a side is to be measured.
    pub(crate) fn wants(&self, side: &str) -> bool {
        self.args.only.is_empty() || self.args.only.iter().any(|name| name == side)
    }
}

/// Says how far a run is.
pub(crate) fn say(line: &str) {
    let _ = writeln!(io::stdout(), "{line}");
}

/// Measures whatever is asked for and says what came of it.
pub(crate) fn run(args: &Args) -> io::Result<ExitCode> {
    let began = stopwatch::now();
    let plans = sections::planned(args)?;
    allow_many_files()?;
    let cores = Cores::split();
    let directory = std::env::temp_dir().join(format!("authproxy-bench-{}", std::process::id()));
    fs::create_dir_all(&directory)?;
    let (upstream, auth) = (upstream::start()?, AuthService::start()?);
    let shape = Shape {
        errand: Errand::Page,
        connections: args.connections,
        sessions: args.sessions,
        width: Width::One,
        tls: false,
    };
    let stage =
        Stage { cores, upstream: upstream.address, auth: &auth, under: &args.under, directory: &directory, shape };
    let bench = Bench { args, stage };
    if let Some(requests) = args.requests {
        return count(&sections::forward::sides(&bench)?, requests, &bench);
    }
    let mut measured = Vec::new();
    for plan in plans {
        say(&format!("\n== {}: {}", plan.name, plan.title));
        measured.push((plan.run)(&bench).unwrap_or_else(|error| plan.broken(&error)));
    }
    let report = Report::new(args, cores, began.elapsed(), measured);
    say(&format!("\n{report}"));
    write(&args.json, &report.pretty()?)?;
    if let Some(document) = &args.document {
        write(document, report.to_string().as_bytes())?;
        write(&document.with_extension("json"), &report.compact()?)?;
    }
    say(&format!("\nEvery measurement: {}", args.json.display()));
    if report.is_good(false) {
        fs::remove_dir_all(&directory)?;
    } else {
        say(&format!("Something failed; what the sides logged: {}", directory.display()));
    }
    Ok(if report.is_good(args.check) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn write(file: &std::path::Path, content: &[u8]) -> io::Result<()> {
    if let Some(folder) = file.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(file, content)
}

/// As many files as this process may open: every connection of a load is one.
fn allow_many_files() -> io::Result<()> {
    let maximum = getrlimit(Resource::Nofile).maximum;
    Ok(setrlimit(Resource::Nofile, Rlimit { current: maximum, maximum })?)
}

/// Has every side answer so many requests, once.
fn count(sides: &[Box<dyn Side>], requests: usize, bench: &Bench<'_>) -> io::Result<ExitCode> {
    let mut is_good = true;
    for side in sides {
        let outcome = crate::turn::count(&**side, requests, &bench.stage)?;
        let (answers, failures) = (outcome.answers(), outcome.failures());
        say(&format!("{}: {answers} answers, failures: {failures:?}", side.name()));
        is_good &= failures.is_empty();
    }
    fs::remove_dir_all(bench.stage.directory)?;
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
