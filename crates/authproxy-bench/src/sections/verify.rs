//! A gateway's question whether a request may pass, without the gateway.

use std::io;

use super::{AUTHPROXY, HOUR};
use crate::{
    bench::Bench,
    compare::{self, Group},
    load::Errand,
    peers::{Shape, Side, authproxy::Authproxy, nginx::Nginx},
    report::{About, Section},
};

pub(super) const NAME: &str = "verify";
pub(super) const TITLE: &str = "Forward-auth alone";

pub(super) fn run(bench: &Bench<'_>) -> io::Result<Section> {
    let (nginx, authproxy) =
        (Nginx::answering(&bench.args.nginx), Authproxy::new(AUTHPROXY, &bench.args.authproxy, HOUR));
    let usual = bench.stage.shape;
    let groups = [(&nginx as &dyn Side, Errand::Nothing), (&authproxy, Errand::Verify)].map(|(side, errand)| Group {
        name: if errand == Errand::Verify { "/auth/verify" } else { "" },
        shape: Shape { errand, ..usual },
        sides: if bench.wants(side.name()) { vec![side] } else { Vec::new() },
        open: true,
    });
    let (turns, broken) = compare::run(&groups, bench);
    Ok(Section {
        name: NAME,
        title: TITLE,
        text: "GET /auth/verify with a session's cookie: the session is looked up and its token comes back in a header, which \
               is compared. nginx answers 204 to everybody, which is about what an answer costs that looks up nothing."
            .into(),
        programs: [&nginx as &dyn Side, &authproxy].into_iter().map(About::of).collect::<io::Result<_>>()?,
        tables: vec![compare::limit_table(&turns), compare::steady_table(&turns)],
        bounds: Vec::new(),
        failures: broken.into_iter().chain(compare::failures(&turns)).collect(),
        measured: serde_json::to_value(&turns)?,
    })
}
