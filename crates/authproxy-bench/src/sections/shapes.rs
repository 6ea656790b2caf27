//! The same request in other shapes: connections, sizes, cores.

use std::io;

use super::{AUTHPROXY, HOUR, NGINX};
use crate::{
    bench::Bench,
    compare::{self, Group},
    cores::Width,
    load::Errand,
    peers::{Shape, Side, authproxy::Authproxy, nginx::Nginx},
    report::{About, Bound, Limit, Section, Table},
    turn::Turn,
};

pub(super) const NAME: &str = "shapes";
pub(super) const TITLE: &str = "Connections, sizes, cores";

const TWO_CORES: &str = "2 cores";

pub(super) fn run(bench: &Bench<'_>) -> io::Result<Section> {
    let (nginx, authproxy) =
        (Nginx::proxy_pass(&bench.args.nginx), Authproxy::new(AUTHPROXY, &bench.args.authproxy, HOUR));
    let sides: Vec<&dyn Side> =
        [&nginx as &dyn Side, &authproxy].into_iter().filter(|side| bench.wants(side.name())).collect();
    let usual = bench.stage.shape;
    let shapes = [
        ("", usual),
        ("1 connection", Shape { connections: 1, ..usual }),
        ("1,000 connections", Shape { connections: 1000, ..usual }),
        ("1 MiB down", Shape { errand: Errand::LargePage, ..usual }),
        ("1 MiB up", Shape { errand: Errand::Upload, ..usual }),
        (TWO_CORES, Shape { width: Width::Two, ..usual }),
    ];
    let groups = shapes.map(|(name, shape)| Group { name, shape, sides: sides.clone(), open: false });
    let (turns, broken) = compare::run(&groups, bench);
    Ok(Section {
        name: NAME,
        title: TITLE,
        text: "Each row differs from the first two in what stands behind the name. With two cores the proxy has a worker on \
               each and shares one of them with load, upstream and auth service, so requests/s say nothing about scaling; \
               what a request costs does: a proxy whose request costs as much on two cores as on one does twice as many. \
               Bodies that are sent up are compared by the API; nginx streams them (`proxy_request_buffering off`)."
            .into(),
        programs: sides.iter().map(|side| About::of(*side)).collect::<io::Result<_>>()?,
        tables: vec![compare::limit_table(&turns), beside(&turns)],
        bounds: two_cores(&turns).into_iter().collect(),
        failures: broken.into_iter().chain(compare::failures(&turns)).collect(),
        measured: serde_json::to_value(&turns)?,
    })
}

fn beside(turns: &[Turn]) -> Table {
    let mut table = Table::new(&["authproxy's CPU a request beside nginx's", "ratio", "cheaper"]);
    for (group, side) in compare::keys(turns).into_iter().filter(|(_, side)| *side == AUTHPROXY) {
        let Some(ratio) = compare::ratio(turns, [(group, side), (group, NGINX)], compare::cpu) else { continue };
        let group = if group.is_empty() { "64 connections, 1 KiB, 1 core" } else { group };
        table.row([group, &format!("{ratio:.2}"), if ratio.median < 1.0 { AUTHPROXY } else { NGINX }]);
    }
    table
}

/// Twice the cost of a request on one core, divided by its cost on two.
fn two_cores(turns: &[Turn]) -> Option<Bound> {
    let figure = compare::ratio(turns, [("", AUTHPROXY), (TWO_CORES, AUTHPROXY)], |turn| {
        let cores = if turn.group == TWO_CORES { 1.0 } else { 2.0 };
        cores * turn.limit.cpu_us_per_request
    })?;
    let name = "requests for the CPU time of two cores / of one".into();
    Some(Bound { name, figure, unit: "", limit: Limit::AtLeast(1.9) })
}
