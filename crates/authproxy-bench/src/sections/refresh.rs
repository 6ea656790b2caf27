//! Steady refreshes under the load, and what those feel of them who only ask.

use std::{io, time::Duration};

use super::{AUTHPROXY, HOUR};
use crate::{
    bench::{Bench, say},
    compare::{self, p99},
    load::{Load, Pace},
    peers::{Side, authproxy::Authproxy},
    report::{About, Limit, Section},
    turn::{self, Measured, Turn},
};

pub(super) const NAME: &str = "refresh";
pub(super) const TITLE: &str = "Refreshes under the load";

pub(super) const REFRESHING: &str = "authproxy, refreshing";
/// What access tokens live on the side that refreshes: with a thousand sessions, hundreds of refreshes a second.
pub(super) const SHORT: Duration = Duration::from_secs(2);
/// More than the first life of each token.
const WARM_UP: Duration = Duration::from_secs(3);
const WINDOW: Duration = Duration::from_secs(8);
/// Of each round of other sections: the slowest of a hundred answers is what other programs disturb first.
const ROUNDS: usize = 6;

pub(super) fn run(bench: &Bench<'_>) -> io::Result<Section> {
    let still = Authproxy::new(AUTHPROXY, &bench.args.authproxy, HOUR);
    let refreshing = Authproxy::refreshing(REFRESHING, &bench.args.authproxy, SHORT);
    let mut turns = Vec::new();
    for round in 1..=ROUNDS * bench.args.rounds {
        for side in [&still, &refreshing] {
            let turn = take(side, round, bench)?;
            say(&format!("round {round}  {}: p99 {:.0} us", side.name, p99(&turn)));
            turns.push(turn);
        }
    }
    let bound = compare::bound(
        &turns,
        "p99 at a steady rate: refreshing / not",
        Limit::AtMost(1.1),
        [("", REFRESHING), ("", AUTHPROXY)],
        p99,
    );
    Ok(Section {
        name: NAME,
        title: TITLE,
        text: format!(
            "The same requests, steadily, to a side whose access tokens live 2 s and to one where none is refreshed: {} turns \
             of {} s each, after {} s of warm-up. Users have logged in one after the other, so that refreshes lie apart.",
            ROUNDS * bench.args.rounds,
            WINDOW.as_secs(),
            WARM_UP.as_secs()
        ),
        programs: [&still as &dyn Side, &refreshing].into_iter().map(About::of).collect::<io::Result<_>>()?,
        tables: vec![compare::steady_table(&turns), compare::other_table(&turns)],
        bounds: bound.into_iter().collect(),
        failures: compare::failures(&turns),
        measured: serde_json::to_value(&turns)?,
    })
}

fn take(side: &Authproxy, round: usize, bench: &Bench<'_>) -> io::Result<Turn> {
    let running = side.start(&bench.stage)?;
    let family = running.family()?;
    let load = Load {
        address: running.address,
        questions: &running.questions,
        connections: bench.args.connections,
        pace: Pace::Open(bench.args.rate.max(1)),
        warm_up: WARM_UP,
        window: WINDOW,
        requests: usize::MAX,
    };
    Ok(Turn {
        group: String::new(),
        side: side.name.clone(),
        round,
        limit: Measured::default(),
        steady: Some(turn::measure(&load, &family)?),
        rss_kib: family.rss_kib(),
        presentations: bench.stage.auth.presentations(),
    })
}
