//! Many requests at once for sessions whose tokens have expired.

use std::{io, time::Duration};

use serde::Serialize;

use super::{AUTHPROXY, HOUR};
use crate::{
    auth::{Presentations, Terms},
    bench::{Bench, say},
    load::{Outcome, Question, burst},
    peers::{authproxy::Authproxy, log_in},
    report::{About, Bound, Limit, Section, Table},
    spread::Spread,
    stopwatch::wait,
};

pub(super) const NAME: &str = "storms";
pub(super) const TITLE: &str = "Refresh storms";

/// How long the auth service takes for a refresh.
const ROUND_TRIP: Duration = Duration::from_millis(50);
/// The life of the tokens that a login gets.
const FIRST_LIFE: Duration = Duration::from_secs(1);
/// Open connections of the load; upstream and auth service have some hundred more in the same process.
const CONNECTIONS: usize = 10_000;
/// What may be added to the slowest of a hundred answers, beside the round trip.
const ALLOWED_MS: f64 = 5.0;

/// Of each round of other sections: the slowest of a hundred answers is what other programs disturb first.
const ROUNDS: usize = 3;

/// So many sessions that are asked for so often.
#[derive(Clone, Copy)]
struct Kind {
    name: &'static str,
    sessions: u32,
    requests: usize,
}

const KINDS: [Kind; 2] = [
    Kind { name: "1 session x 10,000", sessions: 1, requests: 10_000 },
    Kind { name: "10,000 sessions x 8", sessions: 10_000, requests: 8 },
];

/// What came of a storm, and of the same requests when the tokens were fresh.
#[derive(Serialize)]
struct Storm {
    kind: &'static str,
    round: usize,
    expired: Burst,
    fresh: Burst,
    presentations: Presentations,
}

#[derive(Serialize)]
struct Burst {
    answers: u64,
    p50_ms: f64,
    p99_ms: f64,
    longest_ms: f64,
    failures: std::collections::BTreeMap<String, u64>,
}

pub(super) fn run(bench: &Bench<'_>) -> io::Result<Section> {
    let terms = Terms { first_life: FIRST_LIFE, refresh_takes: ROUND_TRIP, ..Terms::of_life(HOUR) };
    let side = Authproxy { terms, ..Authproxy::new(AUTHPROXY, &bench.args.authproxy, HOUR) };
    let mut storms = Vec::new();
    for round in 1..=ROUNDS * bench.args.rounds {
        for kind in KINDS {
            let storm = raise(&side, kind, round, bench)?;
            say(&format!(
                "round {round}  {}: {} answers, {} refreshes, p99 {:.0} ms, without {:.0} ms",
                kind.name,
                storm.expired.answers,
                storm.presentations.refreshes,
                storm.expired.p99_ms,
                storm.fresh.p99_ms
            ));
            storms.push(storm);
        }
    }
    Ok(Section {
        name: NAME,
        title: TITLE,
        text: format!(
            "Access tokens have expired; then all connections ask at once, {CONNECTIONS} of them, a session's requests next \
             to each other; the auth service takes {} ms for a refresh; {} storms of each kind. \"Without\" is the same \
             load once more with fresh tokens: that many requests at once have to wait for each other in any case. 80,000 \
             requests need more connections than files may be open, so a connection asks its next question when it has its \
             answer. Both cores are busy all the time: what {} refreshes are for proxy and auth service to do is in what \
             they add.",
            ROUND_TRIP.as_millis(),
            ROUNDS * bench.args.rounds,
            KINDS[1].sessions
        ),
        programs: vec![About::of(&side)?],
        tables: vec![table(&storms)],
        bounds: bounds(&storms),
        failures: failures(&storms),
        measured: serde_json::to_value(&storms)?,
    })
}

fn raise(side: &Authproxy, kind: Kind, round: usize, bench: &Bench<'_>) -> io::Result<Storm> {
    let (_process, _beside, address) = side.serve(&bench.stage)?;
    // One more user, whose own storm leaves memory and connections as they are in a server that has run for a while.
    let mut cookies = log_in(address, kind.sessions + 1)?;
    let other = cookies.pop().unwrap_or_default();
    let other = [Question::new(bench.stage.shape.errand, kind.sessions, &other)];
    let ask = |(user, cookie): (u32, String)| {
        std::iter::repeat_n(Question::new(bench.stage.shape.errand, user, &cookie), kind.requests)
    };
    let questions: Vec<_> = (0..).zip(cookies).flat_map(ask).collect();
    wait(FIRST_LIFE);
    burst(address, &other, CONNECTIONS, CONNECTIONS).run(|| ())?;
    let before = bench.stage.auth.presentations();
    let load = burst(address, &questions, CONNECTIONS, questions.len());
    let expired = Burst::of(load.run(|| ())?);
    let after = bench.stage.auth.presentations();
    let fresh = Burst::of(load.run(|| ())?);
    let presentations = Presentations { refreshes: after.refreshes - before.refreshes, ..after };
    Ok(Storm { kind: kind.name, round, expired, fresh, presentations })
}

impl Burst {
    fn of(mut outcome: Outcome) -> Self {
        let [p50_ms, p99_ms, longest_ms] = outcome.percentiles([500, 990, 1000]).map(|us| f64::from(us) / 1000.0);
        Self { answers: outcome.answers(), p50_ms, p99_ms, longest_ms, failures: outcome.failures() }
    }
}

fn of(storms: &[Storm], kind: Kind) -> impl Iterator<Item = &Storm> + Clone {
    storms.iter().filter(move |storm| storm.kind == kind.name)
}

fn added(storm: &Storm) -> f64 {
    storm.expired.p99_ms - storm.fresh.p99_ms
}

fn table(storms: &[Storm]) -> Table {
    let head = [
        "storm",
        "right answers",
        "refreshes",
        "most presentations of a token",
        "p50, ms",
        "p99, ms",
        "longest, ms",
        "p99 without, ms",
        "added p99, ms",
    ];
    let mut table = Table::new(&head);
    for kind in KINDS {
        let figure = |figure: fn(&Storm) -> f64| format!("{:.0}", Spread::of(of(storms, kind).map(figure)));
        let answers: u64 = of(storms, kind).map(|storm| storm.expired.answers).sum();
        let all = of(storms, kind).count() * kind.sessions as usize * kind.requests;
        let most = of(storms, kind).map(|storm| storm.presentations.most_of_one_token).max().unwrap_or_default();
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52 refreshes")]
        let refreshes = figure(|storm| storm.presentations.refreshes as f64);
        table.row([
            kind.name.to_owned(),
            format!("{answers} of {all}"),
            refreshes,
            most.to_string(),
            figure(|storm| storm.expired.p50_ms),
            figure(|storm| storm.expired.p99_ms),
            figure(|storm| storm.expired.longest_ms),
            figure(|storm| storm.fresh.p99_ms),
            figure(added),
        ]);
    }
    table
}

fn bounds(storms: &[Storm]) -> Vec<Bound> {
    let presented = |kind: Kind| Bound {
        name: format!("most presentations of a refresh token: {}", kind.name),
        figure: Spread::of(of(storms, kind).map(|storm| f64::from(storm.presentations.most_of_one_token))),
        unit: "",
        limit: Limit::AtMost(1.0),
    };
    let mut bounds: Vec<_> = KINDS.into_iter().map(presented).collect();
    bounds.extend(KINDS.into_iter().map(|kind| Bound {
        name: format!("p99 that a storm adds: {}", kind.name),
        figure: Spread::of(of(storms, kind).map(added)),
        unit: "ms",
        limit: Limit::AtMost(ROUND_TRIP.as_secs_f64() * 1000.0 + ALLOWED_MS),
    }));
    bounds
}

fn failures(storms: &[Storm]) -> Vec<String> {
    let mut failures = Vec::new();
    for Storm { kind, round, expired, fresh, presentations } in storms {
        for (failure, count) in expired.failures.iter().chain(&fresh.failures) {
            failures.push(format!("{kind}: {count} x {failure} in round {round}"));
        }
        if presentations.most_of_one_token > 1 {
            failures.push(format!("{kind}: {} presentations in round {round}", presentations.most_of_one_token));
        }
    }
    failures
}
