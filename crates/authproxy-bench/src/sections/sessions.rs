//! Many sessions and few: what a request costs among them, and what they take in memory.

use std::io;

use super::{AUTHPROXY, HOUR, NGINX};
use crate::{
    auth::Terms,
    bench::{Bench, say},
    compare::{self, cpu},
    load::{Load, Pace, Question},
    peers::{Running, Shape, Side, authproxy::Authproxy, log_in_by, nginx::Nginx},
    process::Family,
    report::{About, Bound, Limit, Section, Table},
    spread::Spread,
    turn::{self, Turn},
};

pub(super) const NAME: &str = "sessions";
pub(super) const TITLE: &str = "A million sessions";

/// Bytes of each token.
const TOKEN_SIZE: usize = 800;
/// Logins before what is counted: whatever a login needs, not what it leaves.
const WARM_UP: u32 = 500;
/// A prime: steps of so many go through all sessions without an order that a cache could foresee.
const STEP: usize = 611_953;
const FEW: &str = "few sessions";
const MANY: &str = "many sessions";
const SOME: &str = "many sessions, few of them in use";
/// Of each round of other sections: the bound is a narrow one, and it is the logins that take long.
const ROUNDS: usize = 3;

pub(super) fn run(bench: &Bench<'_>) -> io::Result<Section> {
    let terms = Terms { size: Some(TOKEN_SIZE), ..Terms::of_life(HOUR) };
    let side = Authproxy { terms, ..Authproxy::new(AUTHPROXY, &bench.args.authproxy, HOUR) };
    let few = House::open(&side, bench.args.sessions, bench)?;
    let many = House::open(&side, bench.args.many_sessions, bench)?;
    let plain = Nginx::proxy_pass(&bench.args.nginx);
    let nginx = House::without_sessions(&plain, many.sessions(), bench)?;
    let mut turns = Vec::new();
    for round in 1..=ROUNDS * bench.args.rounds {
        for (house, group, in_use) in [
            (&few, FEW, usize::MAX),
            (&many, MANY, usize::MAX),
            (&many, SOME, few.sessions()),
            (&nginx, FEW, few.sessions()),
            (&nginx, MANY, usize::MAX),
        ] {
            let turn = house.measure(group, in_use, round, bench)?;
            let cpu = turn.limit.cpu_us_per_request;
            say(&format!("round {round}  {}, {group}: {cpu:.2} us CPU a request", house.name));
            turns.push(turn);
        }
    }
    let mut memory = Table::new(&["sessions", "RSS before, MiB", "RSS after, MiB", "bytes a session"]);
    for house in [&few, &many] {
        let [before, after] = house.rss_kib.map(|kib| format!("{:.1}", kib / 1024.0));
        memory.row([house.sessions().to_string(), before, after, format!("{:.0}", house.bytes_a_session())]);
    }
    let cost = compare::bound(
        &turns,
        &format!("CPU a forwarded request: {} sessions / {}", many.sessions(), few.sessions()),
        Limit::AtMost(1.05),
        [(MANY, AUTHPROXY), (FEW, AUTHPROXY)],
        cpu,
    );
    let control = compare::ratio(&turns, [(MANY, NGINX), (FEW, NGINX)], cpu).unwrap_or_default();
    let (name, figure) = ("memory of a session with two 800-byte tokens".into(), many.bytes_a_session());
    let memory_bound = Bound { name, figure: Spread::of([figure]), unit: "bytes", limit: Limit::AtMost(2048.0) };
    Ok(Section {
        name: NAME,
        title: TITLE,
        text: format!(
            "Two authproxy at once, on the same core, one with {} sessions, one with {}, all logged in through it by pages, \
             which are not shown their two tokens of {TOKEN_SIZE} bytes each; they bear the load in turn. Every session is asked for, in an order that no \
             cache foresees, or as few of the many as the other one has. nginx, which looks up nothing, is asked with as \
             many different cookies, which shows what such a load costs by itself: {control:.2} of what few cookies do. \
             {} turns of each. Bytes a session: how much the process has grown in RAM by its logins, divided by them. (Of a program, which is shown its tokens, a fingerprint is kept as well.)",
            few.sessions(),
            many.sessions(),
            ROUNDS * bench.args.rounds
        ),
        programs: vec![About::of(&side)?, About::of(&plain)?],
        tables: vec![compare::limit_table(&turns), memory],
        bounds: cost.into_iter().chain([memory_bound]).collect(),
        failures: compare::failures(&turns),
        measured: serde_json::to_value(&turns)?,
    })
}

/// All of so many users, in an order that no cache could foresee.
fn unforeseen(users: usize) -> impl Iterator<Item = usize> {
    (0..users).map(move |place| place * STEP % users)
}

/// A proxy that is asked for so many sessions.
struct House {
    name: &'static str,
    running: Running,
    family: Family,
    /// Before and after the logins.
    rss_kib: [f64; 2],
}

impl House {
    fn open(side: &Authproxy, sessions: u32, bench: &Bench<'_>) -> io::Result<Self> {
        let stage = bench.stage(Shape { sessions, ..bench.stage.shape });
        let (process, beside, address) = side.serve(&stage)?;
        let family = Family::of(std::slice::from_ref(&process))?;
        log_in_by(Question::pages_login, address, 0..WARM_UP)?;
        let before = family.rss_kib();
        let cookies = log_in_by(Question::pages_login, address, 0..sessions)?;
        let after = family.rss_kib();
        say(&format!("{sessions} sessions are logged in"));
        let ask = |user: usize| {
            let number = u32::try_from(user).expect("users are counted in u32");
            Question::new(stage.shape.errand, number, &cookies[user])
        };
        let questions = unforeseen(cookies.len()).map(ask).collect();
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let rss_kib = [before, after].map(|kib| kib as f64);
        let running = Running { processes: vec![process], beside, address, questions };
        Ok(Self { name: AUTHPROXY, running, family, rss_kib })
    }

    /// One that looks up nothing, and is asked with as many cookies.
    fn without_sessions(nginx: &Nginx, cookies: usize, bench: &Bench<'_>) -> io::Result<Self> {
        let sessions = u32::try_from(cookies).expect("users are counted in u32");
        let mut running = nginx.start(&bench.stage(Shape { sessions, ..bench.stage.shape }))?;
        let in_order = running.questions;
        running.questions = unforeseen(cookies).map(|user| in_order[user].clone()).collect();
        let family = running.family()?;
        Ok(Self { name: NGINX, running, family, rss_kib: [0.0; 2] })
    }

    fn measure(&self, group: &str, in_use: usize, round: usize, bench: &Bench<'_>) -> io::Result<Turn> {
        let load = Load {
            address: self.running.address,
            questions: &self.running.questions[..in_use.min(self.sessions())],
            connections: bench.args.connections,
            pace: Pace::Closed,
            warm_up: bench.args.warm_up(),
            window: bench.args.window(),
            requests: usize::MAX,
        };
        Ok(Turn {
            group: group.into(),
            side: self.name.into(),
            round,
            limit: turn::measure(&load, &self.family)?,
            steady: None,
            rss_kib: self.family.rss_kib(),
            presentations: bench.stage.auth.presentations(),
        })
    }

    fn sessions(&self) -> usize {
        self.running.questions.len()
    }

    #[expect(clippy::cast_precision_loss, reason = "far below 2^52 sessions")]
    fn bytes_a_session(&self) -> f64 {
        let [before, after] = self.rss_kib;
        (after - before) * 1024.0 / self.sessions() as f64
    }
}
