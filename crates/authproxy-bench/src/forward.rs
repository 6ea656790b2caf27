//! The comparison of a forwarded request: authproxy against a plain reverse proxy, and with refreshes against without.

use std::{
    fs,
    io::{self, Write as _},
    process::ExitCode,
    time::Duration,
};

use crate::{
    args::Args,
    auth::AuthService,
    cores::Cores,
    peers::{
        Side, Stage,
        authproxy::{Authproxy, Store},
        nginx::Nginx,
    },
    report::{self, About, Report},
    turn, upstream,
};

const HOUR: Duration = Duration::from_secs(3600);
/// Short enough for hundreds of refreshes a second with a thousand sessions.
const SHORT: Duration = Duration::from_secs(2);

pub(crate) const NGINX: &str = "nginx proxy_pass";
pub(crate) const AUTHPROXY: &str = "authproxy";
pub(crate) const REFRESHING: &str = "authproxy, refreshing";
pub(crate) const REDIS: &str = "authproxy, Redis";
const REDIS_ALONE: &str = "authproxy, Redis, no near-cache";

/// Runs the whole comparison and says what came of it.
pub(crate) fn run(args: &Args) -> io::Result<ExitCode> {
    let sides = sides(args)?;
    let cores = Cores::split();
    let directory = std::env::temp_dir().join(format!("authproxy-bench-{}", std::process::id()));
    fs::create_dir_all(&directory)?;
    let (upstream, auth) = (upstream::start()?, AuthService::start()?);
    let stage = Stage {
        cores,
        upstream: upstream.address,
        auth: &auth,
        sessions: args.sessions,
        under: &args.under,
        directory: &directory,
    };
    if let Some(requests) = args.requests {
        return count(&sides, requests, &stage, args);
    }
    let about = sides.iter().map(|side| about(&**side)).collect::<io::Result<Vec<_>>>()?;
    let mut turns = Vec::new();
    let mut out = io::stdout().lock();
    for round in 1..=args.rounds {
        for side in &sides {
            let turn = turn::take(&**side, round, &stage, args)?;
            writeln!(out, "{}", report::progress(&turn, args.rounds))?;
            turns.push(turn);
        }
    }
    // Kept when something fails: the logs of the sides are in it.
    fs::remove_dir_all(&directory)?;

    let report = Report::new(args, cores, about, turns);
    write!(out, "\n{report}")?;
    if let Some(folder) = args.json.parent() {
        fs::create_dir_all(folder)?;
    }
    fs::write(&args.json, serde_json::to_vec_pretty(&report)?)?;
    writeln!(out, "\nEvery measurement: {}", args.json.display())?;
    Ok(if report.is_good(args.check) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// Has every side answer so many requests, once.
fn count(sides: &[Box<dyn Side>], requests: usize, stage: &Stage<'_>, args: &Args) -> io::Result<ExitCode> {
    let mut is_good = true;
    for side in sides {
        let outcome = turn::count(&**side, requests, stage, args)?;
        let (answers, failures) = (outcome.answers(), outcome.failures());
        writeln!(io::stdout(), "{}: {answers} answers, failures: {failures:?}", side.name())?;
        is_good &= failures.is_empty();
    }
    fs::remove_dir_all(stage.directory)?;
    Ok(if is_good { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

/// In the order of their turns.
fn sides(args: &Args) -> io::Result<Vec<Box<dyn Side>>> {
    let authproxy = |name: &str, program: &std::path::PathBuf, access_life, store| -> Box<dyn Side> {
        Box::new(Authproxy { name: name.into(), program: program.clone(), access_life, store })
    };
    let mut sides: Vec<Box<dyn Side>> = vec![
        Box::new(Nginx { program: args.nginx.clone() }),
        authproxy(AUTHPROXY, &args.authproxy, HOUR, Store::Memory),
        authproxy(REFRESHING, &args.authproxy, SHORT, Store::Memory),
        authproxy(REDIS, &args.authproxy, HOUR, Store::Redis("5s")),
        authproxy(REDIS_ALONE, &args.authproxy, HOUR, Store::Redis("0s")),
    ];
    for other in &args.other_authproxy {
        let file = other.file_name().unwrap_or_default().to_string_lossy();
        sides.push(authproxy(&format!("other {file}"), other, HOUR, Store::Memory));
    }
    if let Some(unknown) = args.only.iter().find(|name| sides.iter().all(|side| side.name() != *name)) {
        let names: Vec<_> = sides.iter().map(|side| format!("\"{}\"", side.name())).collect();
        let message = format!("there is no side \"{unknown}\"; there are {}", names.join(", "));
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    sides.retain(|side| args.only.is_empty() || args.only.iter().any(|name| name == side.name()));
    Ok(sides)
}

fn about(side: &dyn Side) -> io::Result<About> {
    Ok(About { side: side.name().into(), version: side.version()?, configuration: side.configuration() })
}
