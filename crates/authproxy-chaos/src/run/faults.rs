//! Every kind of fault, one after the other, in an order that the seed says.

use std::{io, io::Write as _, time::Duration};

use tokio::time::{Instant, sleep};

use super::plan;
use crate::{
    args::Args,
    fault::{self, Fault},
    incident::{Kind, RECOVERY},
    report::Report,
    world::World,
};

/// How long the load runs before the first fault.
const WARM_UP: Duration = Duration::from_secs(1);

pub(super) async fn faults(args: &Args) -> io::Result<Report> {
    let plan = plan(args, "faults")?;
    let faults = fault::plan(plan.seed, args.rounds, args.short, plan.nodes, plan.store);
    let mut world = World::start(plan).await?;
    world.load();
    sleep(WARM_UP).await;
    let found = happen(&mut world, &faults).await?;
    world.unload().await;
    world.look_again().await;
    let mut report = Report::of("faults", &world);
    found.add_to(&mut report);
    Ok(report)
}

/// What is found while faults happen, and not by the judge afterwards.
pub(super) struct Found {
    slowest: Duration,
    broken: Vec<String>,
}

impl Found {
    pub(super) fn add_to(self, report: &mut Report) {
        report.figure("slowest recovery of the store", &format!("{} ms", self.slowest.as_millis()));
        for what in self.broken {
            report.broke(what);
        }
    }
}

/// Lets faults happen to a world under load, one after the other.
pub(super) async fn happen(world: &mut World, faults: &[Fault]) -> io::Result<Found> {
    let mut found = Found { slowest: Duration::ZERO, broken: Vec::new() };
    for (number, fault) in faults.iter().enumerate() {
        say(&format!("{:>6.1} s  {}/{} {fault}", world.began.elapsed().as_secs_f64(), number + 1, faults.len()));
        if fault.is_harmless() {
            // A session whose node was killed is not refreshed before its lease has run out.
            let killed = world.incidents.iter().any(|incident| matches!(incident.kind, Kind::Killed(_)));
            sleep(if killed { world.plan.lease() } else { RECOVERY }).await;
        }
        let before = world.shared.census().failed();
        fault.happen(world).await?;
        let after = Instant::now();
        if fault.is_harmless() {
            let failed = world.shared.census().failed() - before;
            if failed > 0 {
                found.broken.push(format!("{fault}: {failed} requests failed"));
            }
        }
        sleep(fault.rest).await;
        let recovered = recovery(world, fault, after);
        found.slowest = found.slowest.max(recovered);
        if recovered > RECOVERY {
            found.broken.push(format!("{fault}: the store was missed until {recovered:?} after the end"));
        }
    }
    Ok(found)
}

/// When the last request was sent that failed for want of the store, after a fault of the store was over.
fn recovery(world: &World, fault: &Fault, after: Instant) -> Duration {
    let is_of_store = world
        .incidents
        .last()
        .is_some_and(|incident| matches!(incident.kind, Kind::Store(_) | Kind::Emptied) && !fault.is_harmless());
    if !is_of_store {
        return Duration::ZERO;
    }
    let census = world.shared.census();
    let missed = census.failed_at.iter().filter(|(at, class)| *at > after && class.contains("session store"));
    missed.map(|(at, _)| *at - after).max().unwrap_or_default()
}

fn say(line: &str) {
    let _ = writeln!(io::stderr(), "{line}");
}
