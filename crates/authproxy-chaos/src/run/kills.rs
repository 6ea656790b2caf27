//! One of two nodes is killed, stopped or restarted, again and again.

use std::{io, time::Duration};

use tokio::time::sleep;

use super::plan;
use crate::{args::Args, random::Random, report::Report, world::World};

/// How long the load runs before the first time.
const WARM_UP: Duration = Duration::from_secs(1);
/// One stop in so many is longer than a lease.
const LONG_STOP: u64 = 100;

/// kill -9, so many times.
pub(super) async fn kills(args: &Args, times: u64) -> io::Result<Report> {
    let mut world = two_nodes(args, "kills").await?;
    let mut random = Random::new(world.plan.seed, "kills");
    for _ in 0..times {
        let (node, pause) = (random.place(2), random.millis(50..=250));
        world.kill(node, Duration::ZERO).await?;
        sleep(pause).await;
    }
    end("kills", world).await
}

/// SIGSTOP and SIGCONT, so many times; one in a hundred lasts longer than the lease.
pub(super) async fn stops(args: &Args, times: u64) -> io::Result<Report> {
    let mut world = two_nodes(args, "stops").await?;
    let mut random = Random::new(world.plan.seed, "stops");
    for time in 1..=times {
        let (node, pause) = (random.place(2), random.millis(20..=150));
        let mut length = random.millis(5..=400);
        if time % LONG_STOP == 0 {
            length += world.plan.lease();
        }
        world.stop(node, length).await;
        sleep(pause).await;
    }
    end("stops", world).await
}

/// SIGTERM of all nodes, one after the other, so many times. No request may fail.
pub(super) async fn rolls(args: &Args, times: u64) -> io::Result<Report> {
    let mut world = two_nodes(args, "rolls").await?;
    for _ in 0..times {
        world.roll().await?;
    }
    let mut report = end("rolls", world).await?;
    let failed = report.failed();
    if failed > 0 {
        report.broke(format!("{failed} requests failed in rolling restarts"));
    }
    Ok(report)
}

async fn two_nodes(args: &Args, name: &str) -> io::Result<World> {
    let mut plan = plan(args, name)?;
    plan.nodes = plan.nodes.min(2);
    let mut world = World::start(plan).await?;
    world.load();
    sleep(WARM_UP).await;
    Ok(world)
}

async fn end(name: &str, mut world: World) -> io::Result<Report> {
    world.unload().await;
    world.look_again().await;
    Ok(Report::of(name, &world))
}
