//! TLS and HTTP/2 from browsers, by `h2load`.

mod h2load;

use std::{
    fs, io,
    process::{Command, Stdio},
};

use serde::Serialize;

use self::h2load::Run;
use super::{AUTHPROXY, HOUR, NGINX};
use crate::{
    bench::{Bench, say},
    peers::{Running, Shape, Side, Stage, authproxy::Authproxy, nginx::Nginx},
    report::{About, Section, Table},
    spread::Spread,
    upstream,
};

pub(super) const NAME: &str = "tls";
pub(super) const TITLE: &str = "TLS and HTTP/2";

/// What `h2load` is told to do.
const KINDS: [(&str, &[&str]); 2] = [
    ("HTTP/1.1 over TLS", &["--h1", "--clients", "64"]),
    ("HTTP/2 over TLS", &["--clients", "8", "--max-concurrent-streams", "8"]),
];
/// What is sent first, to learn how fast a side is.
const FIRST: u32 = 5_000;

/// One side's turn.
#[derive(Serialize)]
struct Turn {
    kind: &'static str,
    side: String,
    round: usize,
    cpu_us_per_request: f64,
    requests_per_second: f64,
    cipher: String,
    failed: u64,
}

pub(super) fn run(bench: &Bench<'_>) -> io::Result<Section> {
    certificate(&bench.stage)?;
    let (nginx, authproxy) =
        (Nginx::proxy_pass(&bench.args.nginx), Authproxy::new(AUTHPROXY, &bench.args.authproxy, HOUR));
    let mut turns = Vec::new();
    for round in 1..=bench.args.rounds {
        for kind in KINDS {
            let stage = bench.stage(Shape { tls: true, sessions: 1, ..bench.stage.shape });
            if bench.wants(NGINX) {
                let running = nginx.start(&stage)?;
                turns.push(take(NGINX, "session_id=x", &running, kind, round, bench)?);
            }
            if bench.wants(AUTHPROXY) {
                let (process, beside, address) = authproxy.serve(&stage)?;
                let running = Running { processes: vec![process], beside, address, questions: Vec::new() };
                let cookie = log_in(&running)?;
                turns.push(take(AUTHPROXY, &cookie, &running, kind, round, bench)?);
            }
        }
    }
    let failed = turns.iter().filter(|turn| turn.failed > 0);
    Ok(Section {
        name: NAME,
        title: TITLE,
        text: format!(
            "By {}, which sends one cookie and compares no bodies: one session, and status codes and the sum of the bodies' \
             bytes are checked; one answer is compared byte by byte before. HTTP/1.1: 64 connections; HTTP/2: 8 with 8 streams \
             each. A certificate on P-256; handshakes count (one for each connection). Upstream without TLS.",
            h2load::version()?
        ),
        programs: [&nginx as &dyn Side, &authproxy].into_iter().map(About::of).collect::<io::Result<_>>()?,
        tables: vec![table(&turns), beside(&turns)],
        bounds: Vec::new(),
        failures: failed
            .map(|turn| format!("{}, {}: {} answers in round {}", turn.side, turn.kind, turn.failed, turn.round))
            .collect(),
        measured: serde_json::to_value(&turns)?,
    })
}

fn take(
    side: &str,
    cookie: &str,
    running: &Running,
    (kind, flags): (&'static str, &[&str]),
    round: usize,
    bench: &Bench<'_>,
) -> io::Result<Turn> {
    let url = format!("https://{}{}", running.address, upstream::target(0));
    let field = format!("cookie: {cookie}");
    if curl(&["-H", &field, &url])? != *upstream::page(0) {
        return Err(io::Error::other(format!("{side}: a wrong answer over TLS")));
    }
    let page_bytes = upstream::page(0).len() as u64;
    let Run { requests_per_second, .. } = h2load::run(flags, FIRST, &field, &url)?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a number of requests")]
    let requests = ((requests_per_second * bench.args.seconds) as u32).max(FIRST);
    let family = running.family()?;
    let before = family.cpu_time();
    let run = h2load::run(flags, requests, &field, &url)?;
    let cpu = family.cpu_time().saturating_sub(before).as_secs_f64();
    let right = run.right.min(run.body_bytes / page_bytes);
    let turn = Turn {
        kind,
        side: side.into(),
        round,
        cpu_us_per_request: cpu * 1e6 / f64::from(u32::try_from(right).unwrap_or(u32::MAX)),
        requests_per_second: run.requests_per_second,
        cipher: run.cipher,
        failed: u64::from(requests) - right,
    };
    say(&format!(
        "round {round}  {side}, {kind}: {:.2} us CPU a request, {:.0} requests/s",
        turn.cpu_us_per_request, turn.requests_per_second
    ));
    Ok(turn)
}

/// Logs one user in; the cookie.
fn log_in(running: &Running) -> io::Result<String> {
    let url = format!("https://{}/login", running.address);
    let answer = curl(&["--include", "--data", "username=0000000&password=password123", &url])?;
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let cookie = answer.lines().find_map(|line| {
        let (name, value) = line.split_once(": ")?;
        name.eq_ignore_ascii_case("set-cookie").then(|| value.split(';').next())?
    });
    cookie.map(str::to_owned).ok_or_else(|| io::Error::other("no login over TLS"))
}

fn curl(arguments: &[&str]) -> io::Result<Vec<u8>> {
    let command = ["--silent", "--insecure", "--max-time", "10"];
    Ok(Command::new("curl").args(command).args(arguments).stdin(Stdio::null()).output()?.stdout)
}

/// A certificate that nobody trusts.
fn certificate(stage: &Stage<'_>) -> io::Result<()> {
    let [key, certificate] = ["key.pem", "cert.pem"].map(|name| stage.file(name));
    let request = ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2"];
    let output = Command::new("openssl")
        .args(request)
        .args(["-subj", "/CN=localhost", "-keyout"])
        .arg(&key)
        .arg("-out")
        .arg(&certificate)
        .stdin(Stdio::null())
        .output()?;
    if !output.status.success() {
        return Err(io::Error::other(format!("openssl: {}", String::from_utf8_lossy(&output.stderr))));
    }
    fs::metadata(certificate).map(drop)
}

fn of<'a>(turns: &'a [Turn], kind: &'a str, side: &'a str) -> impl Iterator<Item = &'a Turn> {
    turns.iter().filter(move |turn| turn.kind == kind && turn.side == side)
}

fn table(turns: &[Turn]) -> Table {
    let mut table = Table::new(&["", "CPU a request, us", "requests/s", "cipher"]);
    for (kind, _) in KINDS {
        for side in [NGINX, AUTHPROXY] {
            let Some(first) = of(turns, kind, side).next() else { continue };
            table.row([
                format!("{side}, {kind}"),
                format!("{:.2}", Spread::of(of(turns, kind, side).map(|turn| turn.cpu_us_per_request))),
                format!("{:.0}", Spread::of(of(turns, kind, side).map(|turn| turn.requests_per_second))),
                first.cipher.clone(),
            ]);
        }
    }
    table
}

fn beside(turns: &[Turn]) -> Table {
    let mut table = Table::new(&["authproxy's CPU a request beside nginx's", "ratio", "cheaper"]);
    for (kind, _) in KINDS {
        let ratios = of(turns, kind, AUTHPROXY).filter_map(|turn| {
            let other = of(turns, kind, NGINX).find(|other| other.round == turn.round)?;
            Some(turn.cpu_us_per_request / other.cpu_us_per_request)
        });
        let ratios: Vec<f64> = ratios.collect();
        if !ratios.is_empty() {
            let ratio = Spread::of(ratios);
            table.row([kind, &format!("{ratio:.2}"), if ratio.median < 1.0 { AUTHPROXY } else { NGINX }]);
        }
    }
    table
}
