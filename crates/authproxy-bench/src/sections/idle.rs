//! What an idle connection takes in memory.

use std::{io, time::Duration};

use serde_json::json;

use super::{AUTHPROXY, HOUR, NGINX};
use crate::{
    bench::{Bench, say},
    load::burst,
    peers::{Side, authproxy::Authproxy, nginx::Nginx},
    report::{About, Section, Table},
    stopwatch::wait,
};

pub(super) const NAME: &str = "idle";
pub(super) const TITLE: &str = "Idle connections";

const CONNECTIONS: u32 = 10_000;
/// Opened together, so that a proxy does not need as many connections to the upstream.
const AT_ONCE: usize = 200;
const REST: Duration = Duration::from_secs(1);

pub(super) fn run(bench: &Bench<'_>) -> io::Result<Section> {
    let (nginx, authproxy) =
        (Nginx::proxy_pass(&bench.args.nginx), Authproxy::new(AUTHPROXY, &bench.args.authproxy, HOUR));
    let sides = [(NGINX, &nginx as &dyn Side), (AUTHPROXY, &authproxy)];
    let mut table = Table::new(&["side", "RSS before, MiB", "RSS with them, MiB", "bytes a connection"]);
    let (mut measured, mut failures) = (Vec::new(), Vec::new());
    for (name, side) in sides.into_iter().filter(|(name, _)| bench.wants(name)) {
        let running = side.start(&bench.stage)?;
        let family = running.family()?;
        // Whatever is kept for requests under way is there before anything is counted.
        burst(running.address, &running.questions, AT_ONCE, 100 * AT_ONCE).run(|| ())?;
        wait(REST);
        let before = family.rss_kib();
        let mut held = Vec::new();
        for _ in 0..CONNECTIONS as usize / AT_ONCE {
            let (outcome, connections) =
                burst(running.address, &running.questions, AT_ONCE, AT_ONCE).run_and_hold(|| ())?;
            failures.extend(outcome.failures().iter().map(|(kind, count)| format!("{name}: {count} x {kind}")));
            held.push(connections);
        }
        wait(REST);
        let after = family.rss_kib();
        let bytes = after.saturating_sub(before) * 1024 / u64::from(CONNECTIONS);
        say(&format!("{name}: {bytes} bytes a connection"));
        let mib = |kib: u64| format!("{}.{}", kib / 1024, kib % 1024 * 10 / 1024);
        table.row([name.to_owned(), mib(before), mib(after), bytes.to_string()]);
        measured.push(json!({ "side": name, "before_kib": before, "after_kib": after, "bytes_a_connection": bytes }));
    }
    Ok(Section {
        name: NAME,
        title: TITLE,
        text: format!(
            "{CONNECTIONS} connections that have asked once each and stay open; how much the process has grown in RAM, \
             divided by them. The kernel's share is in neither."
        ),
        programs: sides.into_iter().map(|(_, side)| About::of(side)).collect::<io::Result<_>>()?,
        tables: vec![table],
        bounds: Vec::new(),
        failures,
        measured: measured.into(),
    })
}
