//! What is said about the measurements: a document for people, JSON for programs, and whether the bounds are kept.

mod bound;
mod machine;
mod table;

use std::{fmt, io, time::Duration};

use serde::Serialize;
use serde_json::Value;

use self::machine::Machine;
pub(crate) use self::{
    bound::{Bound, Limit},
    table::Table,
};
use crate::{args::Args, cores::Cores, peers::Side};

/// Everything about a run.
#[derive(Debug, Serialize)]
pub(crate) struct Report {
    command: String,
    machine: Machine,
    cores: String,
    load: String,
    seconds: u64,
    programs: Vec<About>,
    sections: Vec<Section>,
}

/// What a side is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub(crate) struct About {
    pub(crate) side: String,
    pub(crate) version: String,
    pub(crate) configuration: String,
}

/// What was measured together.
#[derive(Debug, Default, Serialize)]
pub(crate) struct Section {
    pub(crate) name: &'static str,
    pub(crate) title: &'static str,
    /// How it was measured, and what has to be known to read the tables.
    pub(crate) text: String,
    #[serde(skip)]
    pub(crate) programs: Vec<About>,
    #[serde(skip)]
    pub(crate) tables: Vec<Table>,
    pub(crate) bounds: Vec<Bound>,
    pub(crate) failures: Vec<String>,
    /// Every single measurement.
    pub(crate) measured: Value,
}

impl About {
    pub(crate) fn of(side: &dyn Side) -> io::Result<Self> {
        Ok(Self { side: side.name().into(), version: side.version()?, configuration: side.configuration() })
    }
}

impl Report {
    pub(crate) fn new(args: &Args, cores: Cores, took: Duration, sections: Vec<Section>) -> Self {
        let load = format!(
            "Unless said otherwise: {} keep-alive connections on loopback, HTTP/1.1 without TLS, {} sessions in turn, answers \
             of 1 KiB, each compared byte by byte; {} rounds of {} s after {} s of warm-up; steady: {} requests/s in an open \
             loop, latency from when a request was due.",
            args.connections, args.sessions, args.rounds, args.seconds, args.warm_up, args.rate
        );
        let command = std::env::args().skip(1).fold("scripts/bench".to_owned(), |command, flag| {
            if flag.contains(' ') { format!("{command} \"{flag}\"") } else { format!("{command} {flag}") }
        });
        let mut programs: Vec<About> = Vec::new();
        for about in sections.iter().flat_map(|section| &section.programs) {
            if programs.iter().all(|known| known.side != about.side) {
                programs.push(about.clone());
            }
        }
        let (cores, seconds) = (cores.to_string(), took.as_secs());
        Self { command, machine: Machine::this(), cores, load, seconds, programs, sections }
    }

    /// Whether nothing failed; with `bounds` also whether every figure is within its bound.
    pub(crate) fn is_good(&self, bounds: bool) -> bool {
        let mut sections = self.sections.iter();
        sections.all(|section| section.failures.is_empty() && (!bounds || section.bounds.iter().all(Bound::is_kept)))
    }

    /// For people who look a measurement up.
    pub(crate) fn pretty(&self) -> io::Result<Vec<u8>> {
        Ok(serde_json::to_vec_pretty(self)?)
    }

    /// For programs.
    pub(crate) fn compact(&self) -> io::Result<Vec<u8>> {
        let mut json = serde_json::to_vec(self)?;
        json.push(b'\n');
        Ok(json)
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { command, machine, cores, load, seconds, programs, sections } = self;
        writeln!(f, "# Benchmarks\n")?;
        writeln!(f, "Made by `{command}` in {} min; not edited by hand. {machine}. {cores}.\n", seconds.div_ceil(60))?;
        writeln!(
            f,
            "{load} Sides have their turns one after the other, A B A B. Figures are medians, in brackets the least and the \
             most of all rounds; ratios are taken within each round. CPU is user and system time of all processes of a side, \
             from the kernel's accounting, divided by the right answers: the figure to trust on a machine that others use. \
             Every answer that is not right is counted.\n"
        )?;
        let mut bounds = Table::new(&["bound", "measured", "to reach", ""]);
        for bound in sections.iter().flat_map(|section| &section.bounds) {
            bounds.row(bound.cells());
        }
        if !bounds.is_empty() {
            writeln!(f, "## Bounds\n\n{bounds}")?;
        }
        for section in sections {
            write!(f, "{section}")?;
        }
        if !programs.is_empty() {
            writeln!(f, "## Versions and configurations\n")?;
        }
        programs
            .iter()
            .try_for_each(|about| writeln!(f, "- **{}**: {}; {}", about.side, about.version, about.configuration))
    }
}

impl fmt::Display for Section {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "## {}\n\n`scripts/bench --section {}`. {}\n", self.title, self.name, self.text)?;
        self.tables.iter().try_for_each(|table| writeln!(f, "{table}"))?;
        for failure in &self.failures {
            writeln!(f, "- FAILED: {failure}")?;
        }
        if self.failures.is_empty() { Ok(()) } else { writeln!(f) }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use clap::Parser as _;

    use super::*;
    use crate::spread::Spread;

    fn report(most: f64, failures: Vec<String>) -> Report {
        let figure = Spread::of([1.2]);
        let bounds = vec![Bound { name: "a / b".into(), figure, unit: "", limit: Limit::AtMost(most) }];
        let mut table = Table::new(&["side", "CPU"]);
        table.row(["a", "1.2"]);
        let about = About { side: "a".into(), version: "1".into(), configuration: "plain".into() };
        let section = Section {
            name: "forward",
            title: "A forwarded request",
            tables: vec![table],
            programs: vec![about.clone(), about],
            bounds,
            failures,
            ..Section::default()
        };
        Report::new(&Args::parse_from(["bench"]), Cores::Shared, Duration::from_secs(61), vec![section])
    }

    #[test]
    fn a_missed_bound_is_said_and_bad_only_when_asked_for() {
        let missed = report(1.15, Vec::new());
        assert!(missed.is_good(false) && !missed.is_good(true));
        assert!(missed.to_string().contains("| a / b | 1.20 (1.20-1.20) | at most 1.15 | **missed** |"), "{missed}");
        let kept = report(1.2, Vec::new());
        assert!(kept.is_good(true));
        assert!(kept.to_string().contains("| kept |"), "{kept}");
    }

    #[test]
    fn a_failure_is_always_bad_and_stands_in_the_document() {
        let failed = report(2.0, vec!["a: 1 x status 503 in round 1".into()]);
        assert!(!failed.is_good(false));
        assert!(failed.to_string().contains("- FAILED: a: 1 x status 503 in round 1"), "{failed}");
    }

    #[test]
    fn a_program_of_two_sections_is_listed_once() {
        assert_eq!(report(2.0, Vec::new()).to_string().matches("- **a**: 1; plain").count(), 1);
    }

    #[test]
    fn the_compact_json_is_one_line() {
        let json = report(2.0, Vec::new()).compact().unwrap();
        assert_eq!(json.split(|byte| *byte == b'\n').count(), 2);
        let value: Value = serde_json::from_slice(&json).unwrap();
        assert_eq!(value["sections"][0]["bounds"][0]["figure"]["median"], 1.2);
    }
}
