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
    let bounds = [access_token(&printed[1]), allocated(&printed[0])].into_iter().flatten().collect();
    Ok(Section { name: NAME, title: TITLE, text, bounds, measured: printed.into(), ..Section::default() })
}

/// From the row `ready_access_token  84.79 ns │ 1.883 µs │ 96.2 ns │ …`: fastest, slowest, median.
fn access_token(lines: &str) -> Option<Bound> {
    let (_, row) = lines.lines().find_map(|line| line.split_once("ready_access_token"))?;
    let mut columns = row.split('│').map(nanoseconds);
    let (least, most, median) = (columns.next()??, columns.next()??, columns.next()??);
    let name = "ready `access_token`, a thousand sessions in use of a million".into();
    Some(Bound { name, figure: Spread { median, least, most }, unit: "ns", limit: Limit::AtMost(100.0) })
}

fn nanoseconds(text: &str) -> Option<f64> {
    let (number, unit) = text.trim().split_once(' ')?;
    let factor = match unit {
        "ns" => 1.0,
        "µs" => 1e3,
        "ms" => 1e6,
        _ => return None,
    };
    Some(number.parse::<f64>().ok()? * factor)
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

    const HOT_PATH: &str = "\
1000000 sessions of two 800-byte tokens: 1903 bytes a session allocated, 2013 resident
peek, 1000 of 1000000 in use: median 80 ns (79 to 91), no allocation
";
    const READY: &str = "\
ready                  fastest       │ slowest       │ median        │ mean          │ samples │ iters
├─ peek                80.31 ns      │ 1.761 µs      │ 86.7 ns       │ 142.7 ns      │ 100     │ 1000000
╰─ ready_access_token  84.5 ns       │ 1.5 µs        │ 98 ns         │ 820.4 ns      │ 100     │ 1000000
";

    #[test]
    fn figures_are_found_in_what_the_benchmarks_print() {
        let figure = access_token(READY).map(|bound| bound.figure);
        assert_eq!(figure, Some(Spread { median: 98.0, least: 84.5, most: 1500.0 }));
        assert_eq!(allocated(HOT_PATH).map(|bound| bound.figure.median), Some(1903.0));
        assert!(access_token("nothing").is_none() && allocated("nothing").is_none());
    }
}
