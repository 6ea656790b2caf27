//! A logout on one node meets a refresh on another, at every distance in time.

use std::{io, sync::Arc, time::Duration};

use futures_util::{StreamExt, stream};
use tokio::time::sleep;

use super::plan;
use crate::{
    args::Args,
    auth::{DUE_SOON, ledger::Lives},
    browser::Shared,
    random::Random,
    report::Report,
    world::World,
};

/// Runs side by side.
const AT_ONCE: usize = 128;

pub(super) async fn logouts(args: &Args, times: u64) -> io::Result<Report> {
    let mut plan = plan(args, "logouts")?;
    plan.nodes = plan.nodes.min(2);
    plan.browsers = 0;
    // Every token is due when it is a second old: the first request after that starts a refresh.
    plan.lives = Lives::due_soon(Duration::from_secs(60));
    plan.auth_delay = 1..=30;
    plan.backend_timeout = Duration::from_secs(8);
    let seed = Random::new(plan.seed, "logouts");
    let world = World::start(plan).await?;
    let shared = &world.shared;
    stream::iter(0..times).for_each_concurrent(AT_ONCE, |time| one(shared, time, seed.branch(time))).await;
    world.look_again().await;
    let mut report = Report::of("logouts", &world);
    let (alive, met) = {
        let (census, ledger) = (world.shared.census(), world.auth.ledger());
        let users = || census.closed.iter().map(|closed| closed.session.user.as_str());
        let alive: Vec<_> = users().filter(|user| !ledger.was_revoked(user)).map(str::to_owned).collect();
        (alive, users().filter(|user| ledger.presentations_of_first(user) > 0).count())
    };
    report.figure("logouts that a refresh preceded or met", &met);
    report.figure("logins whose tokens still live at the service", &alive.len());
    if let Some(user) = alive.first() {
        report.broke(format!("{} logins were not revoked after their logout, such as {user}", alive.len()));
    }
    if report.logouts() < times {
        report.broke(format!("{} of {times} logouts", report.logouts()));
    }
    Ok(report)
}

async fn one(shared: &Arc<Shared>, time: u64, mut random: Random) {
    let nodes = shared.balancer.len();
    let (here, there) = (random.place(nodes), random.place(nodes));
    let Some(session) = shared.log_in(format!("l{time}"), random.place(nodes)).await else { return };
    sleep(DUE_SOON).await;
    let wait = random.millis(0..=45);
    let closed = async {
        sleep(wait).await;
        shared.log_out_for_sure(&session, here).await
    };
    // The request behind which the refresh starts; a second one meets the logout itself.
    let asking = async {
        let _ = shared.ask_node(&session, there).await;
        sleep(wait).await;
        let _ = shared.ask_node(&session, there).await;
    };
    let (closed, ()) = tokio::join!(closed, asking);
    if let Some(closed) = closed {
        for node in 0..nodes {
            shared.probe(&closed, node).await;
        }
        shared.census().closed.push(closed);
    }
}
