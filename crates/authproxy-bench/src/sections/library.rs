//! The library by itself: its own benchmarks are run, and what they print stands in the document.

use std::{fmt::Write as _, io};

use super::program::output;
use crate::{
    bench::Bench,
    report::{Bound, Limit, Section},
    spread::Spread,
};

pub(super) const NAME: &str = "library";
pub(super) const TITLE: &str = "The library";

const COMMANDS: [&[&str]; 4] = [
    &["cargo", "bench", "--quiet", "--package", "authproxy-core", "--bench", "hot_path"],
    &["cargo", "bench", "--quiet", "--package", "authproxy-core", "--bench", "ready"],
    &["cargo", "bench", "--quiet", "--package", "authproxy-core", "--bench", "storm"],
    &["scripts/instructions"],
];

pub(super) fn run(_: &Bench<'_>) -> io::Result<Section> {
    let mut text =
        "What a request pays for its token, without a server. `hot_path` asks for sessions in a random order, `ready` \
                    for a thousand of a million, scattered over them; `scripts/instructions` counts by callgrind."
            .to_owned();
    let mut printed = Vec::new();
    for command in COMMANDS {
        let lines = output(command)?;
        let trimmed = lines.trim_matches('\n');
        let _ = write!(text, "\n\n```console\n$ {}\n{trimmed}\n```", command.join(" "));
        printed.push(lines);
    }
    let bounds = [access_token(&printed[0]), allocated(&printed[0])].into_iter().flatten().collect();
    Ok(Section { name: NAME, title: TITLE, text, bounds, measured: printed.into(), ..Section::default() })
}

/// From `access_token, ready, 1000 of 1000000 in use: median 98 ns (95 to 120), no allocation`.
fn access_token(lines: &str) -> Option<Bound> {
    let line = lines.lines().find_map(|line| line.strip_prefix("access_token, ready, 1000 of "))?;
    let (in_use, rest) = line.split_once(" in use: median ")?;
    let (median, rest) = rest.split_once(" ns (")?;
    let (least, most) = rest.split_once(')')?.0.split_once(" to ")?;
    let figure = Spread { median: median.parse().ok()?, least: least.parse().ok()?, most: most.parse().ok()? };
    let name = format!("ready `access_token`, 1000 sessions in use of {in_use}");
    Some(Bound { name, figure, unit: "ns", limit: Limit::AtMost(100.0) })
}

/// From `1000000 sessions of two 800-byte tokens: 1900 bytes a session allocated, 2000 resident`.
fn allocated(lines: &str) -> Option<Bound> {
    let line = lines.lines().find_map(|line| line.split_once(" sessions of two 800-byte tokens: "))?.1;
    let figure = Spread::of([line.split_once(" bytes a session allocated")?.0.parse().ok()?]);
    let name = "allocated for a session with two 800-byte tokens".into();
    Some(Bound { name, figure, unit: "bytes", limit: Limit::AtMost(2048.0) })
}

#[cfg(test)]
mod tests {
    use super::*;

    const LINES: &str = "\
1000000 sessions of two 800-byte tokens: 1903 bytes a session allocated, 2013 resident
peek, 1000 of 1000000 in use: median 80 ns (79 to 91), no allocation
access_token, ready, 1 of 1000000 in use: median 60 ns (59 to 61), no allocation
access_token, ready, 1000 of 1000000 in use: median 98 ns (95 to 120), no allocation
";

    #[test]
    fn figures_are_found_in_what_the_benchmarks_print() {
        let figure = access_token(LINES).map(|bound| bound.figure);
        assert_eq!(figure, Some(Spread { median: 98.0, least: 95.0, most: 120.0 }));
        assert_eq!(allocated(LINES).map(|bound| bound.figure.median), Some(1903.0));
        assert!(access_token("nothing").is_none() && allocated("nothing").is_none());
    }
}
