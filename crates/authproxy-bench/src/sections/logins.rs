//! Logins and logouts, with an auth service that answers at once.

use std::{io, time::Duration};

use super::{AUTHPROXY, HOUR};
use crate::{
    bench::{Bench, say},
    compare,
    load::{Question, burst},
    peers::authproxy::Authproxy,
    process::Family,
    report::{About, Section},
    stopwatch::ask_until,
    turn::{self, Turn},
};

pub(super) const NAME: &str = "logins";
pub(super) const TITLE: &str = "Logins and logouts";

const USERS: u32 = 10_000;
/// Of other users, before what is measured.
const WARM_UP: u32 = 1_000;
/// For revocations, which a logout does not wait for.
const PATIENCE: Duration = Duration::from_secs(10);

pub(super) fn run(bench: &Bench<'_>) -> io::Result<Section> {
    let side = Authproxy::new(AUTHPROXY, &bench.args.authproxy, HOUR);
    let (mut turns, mut failures) = (Vec::new(), Vec::new());
    for round in 1..=bench.args.rounds {
        let (login, logout) = in_and_out(&side, round, bench)?;
        let [on, off] = [&login, &logout].map(|turn| turn.limit.requests_per_second);
        say(&format!("round {round}  {on:.0} logins/s, {off:.0} logouts/s"));
        let revoked = logout.presentations.revocations;
        if revoked != u64::from(USERS) {
            failures.push(format!("round {round}: {revoked} refresh tokens were revoked by {USERS} logouts"));
        }
        turns.extend([login, logout]);
    }
    failures.extend(compare::failures(&turns));
    Ok(Section {
        name: NAME,
        title: TITLE,
        text: format!(
            "{USERS} users log in, then log out, once each. A login is two requests, the user's and authproxy's to the auth \
             service, a new session and a cookie; the answer's token is compared. A logout ends the session and revokes its \
             refresh token at the auth service; revocations are counted. The auth service answers at once, on the core of the load."
        ),
        programs: vec![About::of(&side)?],
        tables: vec![compare::limit_table(&turns)],
        bounds: Vec::new(),
        failures,
        measured: serde_json::to_value(&turns)?,
    })
}

fn in_and_out(side: &Authproxy, round: usize, bench: &Bench<'_>) -> io::Result<(Turn, Turn)> {
    let (process, _beside, address) = side.serve(&bench.stage)?;
    let family = Family::of(std::slice::from_ref(&process))?;
    let connections = bench.args.connections;
    let measure = |group: &str, questions: &[Question]| -> io::Result<(Turn, Vec<String>)> {
        let load = burst(address, questions, connections, questions.len());
        let (limit, mut outcome) = turn::measure_outcome(&load, &family)?;
        outcome.cookies.sort_unstable();
        let cookies = outcome.cookies.into_iter().map(|(_, cookie)| cookie).collect();
        let (group, side, rss_kib) = (group.into(), AUTHPROXY.into(), family.rss_kib());
        let presentations = bench.stage.auth.presentations();
        Ok((Turn { group, side, round, limit, steady: None, rss_kib, presentations }, cookies))
    };
    let logins = |users: std::ops::Range<u32>| users.map(Question::login).collect::<Vec<_>>();
    measure("", &logins(USERS..USERS + WARM_UP))?;
    let (login, cookies) = measure("login", &logins(0..USERS))?;
    let logouts: Vec<_> = cookies.iter().map(|cookie| Question::logout(cookie)).collect();
    let (mut logout, _) = measure("logout", &logouts)?;
    let revoked = || (bench.stage.auth.presentations().revocations >= u64::from(USERS)).then_some(());
    ask_until(PATIENCE, revoked);
    logout.presentations = bench.stage.auth.presentations();
    Ok((login, logout))
}
