//! A forwarded request with a valid session: authproxy against whatever else forwards, and against itself with
//! refreshes, with sessions in Redis.

use std::io;

use super::{
    AUTHPROXY, HOUR, NGINX,
    refresh::{REFRESHING, SHORT},
};
use crate::{
    bench::Bench,
    compare::{self, Group, Key},
    peers::{
        Side,
        apache::Apache,
        authproxy::{Authproxy, Store},
        fastapi::{self, FastApi, HttpClient},
        nginx::Nginx,
        plain::{self, pingora},
    },
    report::{About, Bound, Limit, Section, Table},
    turn::Turn,
};

pub(super) const NAME: &str = "forward";
pub(super) const TITLE: &str = "A forwarded request";

const SEED: &str = "FastAPI, as the seed";
const REDIS: &str = "authproxy, Redis";
const REDIS_ALONE: &str = "authproxy, Redis, no near-cache";
/// At its limit a side uses its whole core, unless others are in the way.
const UNDISTURBED: f64 = 0.9;

pub(super) fn run(bench: &Bench<'_>) -> io::Result<Section> {
    let sides = sides(bench)?;
    let programs = sides.iter().map(|side| About::of(&**side)).collect::<io::Result<_>>()?;
    let group =
        Group { name: "", shape: bench.stage.shape, sides: sides.iter().map(|side| &**side).collect(), open: true };
    let (turns, broken) = compare::run(&[group], bench);
    let mut tables = vec![compare::limit_table(&turns), compare::steady_table(&turns)];
    tables.extend([beside(&turns), compare::other_table(&turns)].into_iter().filter(|table| !table.is_empty()));
    Ok(Section {
        name: NAME,
        title: TITLE,
        text: text(&turns),
        programs,
        tables,
        bounds: bounds(&turns),
        failures: broken.into_iter().chain(compare::failures(&turns)).collect(),
        measured: serde_json::to_value(&turns)?,
    })
}

/// In the order of their turns.
pub(crate) fn sides(bench: &Bench<'_>) -> io::Result<Vec<Box<dyn Side>>> {
    let args = bench.args;
    let authproxy = |name: &str, life, store| {
        Box::new(Authproxy { store, ..Authproxy::new(name, &args.authproxy, life) }) as Box<dyn Side>
    };
    let mut sides: Vec<Box<dyn Side>> = vec![
        Box::new(Nginx::proxy_pass(&args.nginx)),
        authproxy(AUTHPROXY, HOUR, Store::Memory),
        Box::new(Authproxy::refreshing(REFRESHING, &args.authproxy, SHORT)),
        authproxy(REDIS, HOUR, Store::Redis("5s")),
        authproxy(REDIS_ALONE, HOUR, Store::Redis("0s")),
    ];
    for other in &args.other_authproxy {
        let file = other.file_name().unwrap_or_default().to_string_lossy();
        sides.push(Box::new(Authproxy::new(&format!("other {file}"), other, HOUR)));
    }
    sides.extend(plain::all(&args.gateways).into_iter().map(|side| Box::new(side) as Box<dyn Side>));
    if Apache::is_there() {
        sides.push(Box::new(Apache));
    }
    sides.push(Box::new(Nginx::auth_request(&args.nginx)));
    sides.push(Box::new(Nginx::verifying(&args.nginx, Authproxy::new(AUTHPROXY, &args.authproxy, HOUR))));
    sides.extend([HttpClient::Each, HttpClient::Shared].map(|client| {
        let python = args.fastapi.clone();
        Box::new(FastApi { python, client }) as Box<dyn Side>
    }));
    if let Some(unknown) = args.only.iter().find(|name| sides.iter().all(|side| side.name() != *name)) {
        let names: Vec<_> = sides.iter().map(|side| format!("\"{}\"", side.name())).collect();
        let message = format!("there is no side \"{unknown}\"; there are {}", names.join(", "));
        return Err(io::Error::new(io::ErrorKind::InvalidInput, message));
    }
    sides.retain(|side| bench.wants(side.name()));
    Ok(sides)
}

fn text(turns: &[Turn]) -> String {
    let at_limit = || turns.iter().filter(|turn| !turn.side.starts_with("FastAPI"));
    let disturbed = at_limit().filter(|turn| turn.limit.cpu_share < UNDISTURBED).count();
    let optional = [("pingora", pingora::is_there()), (Apache.name(), Apache::is_there())];
    let missing: Vec<_> = optional.iter().filter(|(_, is_there)| !is_there).map(|(name, _)| *name).collect();
    let missing = if missing.is_empty() {
        String::new()
    } else {
        format!(" Not installed, so not measured: {}.", missing.join(", "))
    };
    let disturbed = match disturbed {
        0 => String::new(),
        _ => format!(
            " DISTURBED: in {disturbed} of {} turns the side did not have its core for itself.",
            at_limit().count()
        ),
    };
    let least = compare::ratio(turns, [("", SEED), ("", NGINX)], compare::cpu);
    let least = least.map_or(String::new(), |ratio| {
        format!(" What forwards and does nothing else, nginx proxy_pass, costs 1/{:.0} of it.", ratio.median)
    });
    format!(
        "A browser's GET with a session's cookie, forwarded with that session's access token; the API compares token and \
         path. The plain proxies look up no session, and set one constant header. \"Refreshing\" has access tokens of 2 s. \
         The seed's program answers `/protected-auto` from the auth service, for {} sessions, and is asked a fixed number of \
         times.{least} A side that cannot do 1.5 times the steady rate is not measured at it.{missing}{disturbed}",
        fastapi::SESSIONS
    )
}

/// What authproxy costs beside each peer; where a peer wins, it is said.
fn beside(turns: &[Turn]) -> Table {
    let mut table = Table::new(&["authproxy's CPU a request beside that of", "ratio", "cheaper"]);
    let peers = compare::keys(turns).into_iter().filter(|(_, side)| !side.starts_with(AUTHPROXY));
    for peer in peers {
        let Some(ratio) = compare::ratio(turns, [("", AUTHPROXY), peer], compare::cpu) else { continue };
        let (precise, cheaper) = match ratio.median {
            0.0..0.01 => (format!("{ratio:.6}"), AUTHPROXY),
            ..1.0 => (format!("{ratio:.2}"), AUTHPROXY),
            _ => (format!("{ratio:.2}"), peer.1),
        };
        table.row([peer.1, &precise, cheaper]);
    }
    table
}

fn bounds(turns: &[Turn]) -> Vec<Bound> {
    let key = |side| -> Key<'_> { ("", side) };
    let cheap = |side, most| {
        let name = format!("CPU a forwarded request: authproxy / {side}");
        compare::bound(turns, &name, Limit::AtMost(most), [key(AUTHPROXY), key(side)], compare::cpu)
    };
    let seed = |side, least| {
        let name = format!("CPU a request: {side} / authproxy");
        compare::bound(turns, &name, Limit::AtLeast(least), [key(side), key(AUTHPROXY)], compare::cpu)
    };
    [
        cheap(NGINX, 1.15),
        cheap("nginx auth_request", 0.75),
        cheap("pingora", 0.5),
        cheap("Traefik", 0.5),
        cheap("Caddy", 0.5),
        seed(SEED, 2000.0),
        compare::bound(
            turns,
            "CPU a forwarded request: Redis with near-cache / memory",
            Limit::AtMost(1.05),
            [key(REDIS), key(AUTHPROXY)],
            compare::cpu,
        ),
    ]
    .into_iter()
    .flatten()
    .collect()
}
