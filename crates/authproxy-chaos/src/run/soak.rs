//! A hundred thousand sessions at once: random operations, faults, and a look at every one of them in the end.

use std::{
    io,
    ops::RangeInclusive,
    sync::{Arc, PoisonError},
    time::Duration,
};

use futures_util::{StreamExt, future::join_all, stream};
use tokio::{
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep},
};

use super::{faults::happen, plan};
use crate::{
    args::Args,
    auth::Contract,
    browser::Shared,
    census::{Lost, Outcome, Session},
    fault,
    random::Random,
    report::Report,
    world::World,
};

/// Logins side by side.
const AT_ONCE: usize = 32;
/// Of a hundred operations: logouts, each followed by a login; the others ask for a page.
const LOGOUTS: u64 = 3;
/// Each session is asked for so seldom that a short grace would be over: with this one none may be lost.
const GRACE: Duration = Duration::from_hours(1);
/// Milliseconds between two operations of a user.
const PAUSE: RangeInclusive<u64> = 0..=20;
/// What a node may take for each session that it remembers, and beside all of them, in KiB.
const PER_SESSION: u64 = 2;
const BESIDE: u64 = 96 * 1024;

pub(super) async fn soak(args: &Args, sessions: u64) -> io::Result<Report> {
    let mut plan = plan(args, "soak")?;
    if let Contract::Grace(grace) = &mut plan.contract {
        *grace = GRACE;
    }
    let (seed, users) = (Random::new(plan.seed, "soak"), plan.browsers.max(1));
    let mut faults = fault::plan(plan.seed, args.rounds, args.short, plan.nodes, plan.store);
    faults.retain(fault::Fault::spares_sessions);
    let mut world = World::start(plan).await?;
    let shared = world.shared.clone();
    let mut users: Vec<_> = (0..users).map(|name| User::new(name, &seed, &shared)).collect();
    let each = sessions.div_ceil(users.len() as u64);
    stream::iter(&mut users).for_each_concurrent(AT_ONCE, |user| user.log_in_often(each)).await;
    let opened = (world.began.elapsed(), world.memory());

    let mut working = JoinSet::new();
    for user in users {
        working.spawn(user.work(world.stopping()));
    }
    let found = happen(&mut world, &faults).await?;
    world.unload().await;
    working.join_all().await;
    let used = world.memory();
    world.look_again().await;

    let mut report = Report::of("soak", &world);
    found.add_to(&mut report);
    let mib = |memory: &[u64]| memory.iter().map(|kib| format!("{} MiB", kib / 1024)).collect::<Vec<_>>().join(", ");
    report.figure("sessions at once", &sessions);
    report.figure("time for their logins", &format!("{:.1} s", opened.0.as_secs_f64()));
    report.figure("memory of the nodes after the logins", &mib(&opened.1));
    report.figure("memory of the nodes after the faults", &mib(&used));
    if used.iter().any(|kib| *kib > BESIDE + PER_SESSION * sessions) {
        report.broke(format!("a node takes more than {PER_SESSION} KiB a session: {}", mib(&used)));
    }
    Ok(report)
}

/// One who has many sessions, and does something with one of them at a time.
struct User {
    name: u64,
    logins: u64,
    random: Random,
    shared: Arc<Shared>,
    /// Each with the moment at which it was asked for last.
    sessions: Vec<(Session, Instant)>,
}

impl User {
    fn new(name: u64, seed: &Random, shared: &Arc<Shared>) -> Self {
        Self { name, logins: 0, random: seed.branch(name), shared: shared.clone(), sessions: Vec::new() }
    }

    async fn log_in_often(&mut self, times: u64) {
        for _ in 0..times {
            self.log_in().await;
        }
    }

    async fn log_in(&mut self) {
        self.logins += 1;
        let node = self.node();
        let session = self.shared.log_in(format!("s{}.{}", self.name, self.logins), node).await;
        self.sessions.extend(session.map(|session| (session, Instant::now())));
    }

    /// Works until it is told to stop, and leaves its sessions alone then.
    async fn work(mut self, stopping: watch::Receiver<bool>) {
        while !*stopping.borrow() && !self.sessions.is_empty() {
            let place = self.random.place(self.sessions.len());
            if self.random.percent(LOGOUTS) {
                let (session, _) = self.sessions.swap_remove(place);
                self.log_out(session).await;
                self.log_in().await;
            } else {
                self.ask(place).await;
            }
            sleep(self.random.millis(PAUSE)).await;
        }
        self.shared.idle.lock().unwrap_or_else(PoisonError::into_inner).append(&mut self.sessions);
    }

    /// Asks for a page, sometimes on several nodes at once.
    async fn ask(&mut self, place: usize) {
        let (session, asked_at) = self.sessions[place].clone();
        let nodes: Vec<_> = (0..self.random.within(1..=2)).map(|_| self.node()).collect();
        let answers = join_all(nodes.into_iter().map(|node| self.shared.ask(&session, node))).await;
        self.sessions[place].1 = Instant::now();
        let lost = answers.into_iter().find_map(|(sent, outcome)| match outcome {
            Outcome::LoggedOut(said) => Some((sent.node, said)),
            Outcome::Good | Outcome::WrongUser | Outcome::Failed(_) => None,
        });
        if let Some((node, said)) = lost {
            self.sessions.swap_remove(place);
            let lost = Lost { session, at: Instant::now(), node, said, left_at: Some(asked_at) };
            self.shared.census().lost.push(lost);
        }
    }

    async fn log_out(&mut self, session: Session) {
        let node = self.node();
        let Some(closed) = self.shared.log_out_for_sure(&session, node).await else { return };
        for node in 0..self.shared.balancer.len() {
            self.shared.probe(&closed, node).await;
        }
        self.shared.census().closed.push(closed);
    }

    fn node(&mut self) -> usize {
        self.random.place(self.shared.balancer.len())
    }
}
