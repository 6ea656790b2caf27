//! What comes before the first request: start, size, build.

use std::{fs, io};

use serde_json::json;

use super::program::output;
use crate::{
    bench::Bench,
    report::{Section, Table},
    stopwatch::now,
};

pub(super) const NAME: &str = "start";
pub(super) const TITLE: &str = "Start-up, size, build";

/// Where it is built once more.
const BUILD: &str = "target/bench/build";

pub(super) fn run(bench: &Bench<'_>) -> io::Result<Section> {
    let program = bench.args.authproxy.display().to_string();
    let start = output(&["scripts/cold-start", &program])?;
    let size = fs::metadata(&bench.args.authproxy)?.len();
    let mut table = Table::new(&["what", "measured"]);
    table.row(["`scripts/cold-start`: `authproxy dev` until its first answer", start.trim()]);
    let mib = format!("{}.{} MiB, as `cargo build --release` leaves it", size >> 20, ((size % (1 << 20)) * 10) >> 20);
    table.row(["the program's file", &mib]);
    let mut build = None;
    if bench.args.build_time {
        let seconds = build_time(bench)?;
        let cores = bench.stage.cores.every().unwrap_or_else(|| "all".into());
        table.row([
            "`cargo build --release --package authproxy-server` from nothing",
            &format!("{seconds} s on cores {cores}"),
        ]);
        build = Some(seconds);
    } else {
        table.row(["`cargo build --release` from nothing", "not measured: needs `--build-time`"]);
    }
    Ok(Section {
        name: NAME,
        title: TITLE,
        text: "A start includes the embedded auth service and its signing key.".into(),
        tables: vec![table],
        measured: json!({ "cold_start": start.trim(), "bytes": size, "build_seconds": build }),
        ..Section::default()
    })
}

/// Seconds that a build from nothing takes, with what Cargo has downloaded at hand.
fn build_time(bench: &Bench<'_>) -> io::Result<u64> {
    match fs::remove_dir_all(BUILD) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let build = ["cargo", "build", "--release", "--quiet", "--package", "authproxy-server", "--bin", "authproxy"];
    let target = format!("CARGO_TARGET_DIR={BUILD}");
    let cores = bench.stage.cores.every();
    let pinned = cores.as_deref().map_or(Vec::new(), |cores| vec!["taskset", "-c", cores]);
    let began = now();
    output(&[&pinned[..], &["env", &target], &build].concat())?;
    let seconds = began.elapsed().as_secs();
    fs::remove_dir_all(BUILD)?;
    Ok(seconds)
}
