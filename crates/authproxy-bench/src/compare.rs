//! Sides in turn, A B A B, and what their turns say together.

use crate::{
    bench::{Bench, say},
    peers::{Shape, Side},
    report::{Bound, Limit, Table},
    spread::Spread,
    turn::{self, Measured, Turn},
};

/// Sides under one kind of load.
pub(crate) struct Group<'a> {
    /// What differs from the other groups of the section; empty when there are none.
    pub(crate) name: &'static str,
    pub(crate) shape: Shape,
    pub(crate) sides: Vec<&'a dyn Side>,
    /// Whether they are measured in an open loop too.
    pub(crate) open: bool,
}

/// One figure of a side under one kind of load.
pub(crate) type Key<'a> = (&'a str, &'a str);

/// Gives each side of each group its turn, in every round; also why turns came to nothing. One that did is no reason to
/// lose all others.
pub(crate) fn run(groups: &[Group<'_>], bench: &Bench<'_>) -> (Vec<Turn>, Vec<String>) {
    let (mut turns, mut broken) = (Vec::new(), Vec::new());
    for round in 1..=bench.args.rounds {
        for group in groups {
            let stage = bench.stage(group.shape);
            for side in &group.sides {
                match turn::take(*side, (group.name, round), group.open, &stage, bench.args) {
                    Ok(turn) => {
                        say(&progress(&turn, bench.args.rounds));
                        turns.push(turn);
                    }
                    Err(error) => {
                        broken.push(format!("{}: no turn in round {round}: {error}", label((group.name, side.name()))));
                        say(&broken[broken.len() - 1]);
                    }
                }
            }
        }
    }
    (turns, broken)
}

/// One turn in one line.
fn progress(turn: &Turn, rounds: usize) -> String {
    let Turn { group, side, round, limit, .. } = turn;
    let steady = turn.steady.as_ref().map_or_else(String::new, |steady| {
        format!(";  steady {:6.2} us, p99 {} us", steady.cpu_us_per_request, steady.p99_us)
    });
    format!(
        "round {round}/{rounds}  {:<32} {:8.2} us CPU a request, {:6.0} requests/s{steady}",
        label((group, side)),
        limit.cpu_us_per_request,
        limit.requests_per_second,
    )
}

fn label((group, side): Key<'_>) -> String {
    if group.is_empty() { side.into() } else { format!("{side}, {group}") }
}

/// Every side under every kind of load, in the order of their turns.
pub(crate) fn keys(turns: &[Turn]) -> Vec<Key<'_>> {
    let mut keys: Vec<Key<'_>> = Vec::new();
    for turn in turns {
        let key = (&*turn.group, &*turn.side);
        if !keys.contains(&key) {
            keys.push(key);
        }
    }
    keys
}

fn of<'a>(turns: &'a [Turn], key: Key<'a>) -> impl Iterator<Item = &'a Turn> {
    turns.iter().filter(move |turn| (&*turn.group, &*turn.side) == key)
}

/// A figure of one side divided by the same figure of another in the same round; `None` when they were not both measured.
pub(crate) fn ratio(turns: &[Turn], [upper, lower]: [Key<'_>; 2], figure: fn(&Turn) -> f64) -> Option<Spread> {
    let ratios = of(turns, upper).filter_map(|turn| {
        let other = of(turns, lower).find(|other| other.round == turn.round)?;
        Some(figure(turn) / figure(other))
    });
    let ratios: Vec<f64> = ratios.filter(|ratio| ratio.is_finite()).collect();
    (!ratios.is_empty()).then(|| Spread::of(ratios))
}

/// A bound of a ratio, if both sides were measured.
pub(crate) fn bound(
    turns: &[Turn],
    name: &str,
    limit: Limit,
    sides: [Key<'_>; 2],
    figure: fn(&Turn) -> f64,
) -> Option<Bound> {
    Some(Bound { name: name.into(), figure: ratio(turns, sides, figure)?, unit: "", limit })
}

/// What a request costs at the limit.
pub(crate) fn cpu(turn: &Turn) -> f64 {
    turn.limit.cpu_us_per_request
}

/// How long the slowest of a hundred answers takes at a steady rate.
pub(crate) fn p99(turn: &Turn) -> f64 {
    turn.steady.as_ref().map_or(f64::NAN, |steady| steady.p99_us.into())
}

/// What was measured in the closed loop.
pub(crate) fn limit_table(turns: &[Turn]) -> Table {
    table("at its limit (closed loop)", turns, |turn| Some(&turn.limit))
}

/// What was measured in the open loop.
pub(crate) fn steady_table(turns: &[Turn]) -> Table {
    table("steady (open loop)", turns, |turn| turn.steady.as_ref())
}

fn table(title: &str, turns: &[Turn], measured: fn(&Turn) -> Option<&Measured>) -> Table {
    let head = [title, "CPU a request, us", "requests/s", "cores used", "p50, us", "p99, us", "p99.9, us"];
    let mut table = Table::new(&head);
    for key in keys(turns) {
        if of(turns, key).all(|turn| measured(turn).is_none()) {
            continue;
        }
        let figure = |figure: fn(&Measured) -> f64| Spread::of(of(turns, key).filter_map(measured).map(figure));
        table.row([
            label(key),
            format!("{:.2}", figure(|measured| measured.cpu_us_per_request)),
            format!("{:.0}", figure(|measured| measured.requests_per_second)),
            format!("{:.2}", figure(|measured| measured.cpu_share)),
            format!("{:.0}", figure(|measured| measured.p50_us.into())),
            format!("{:.0}", figure(|measured| measured.p99_us.into())),
            format!("{:.0}", figure(|measured| measured.p999_us.into())),
        ]);
    }
    table
}

/// Memory, refreshes and failures.
pub(crate) fn other_table(turns: &[Turn]) -> Table {
    let mut table =
        Table::new(&["side", "RSS, MiB", "refreshes in a turn", "most presentations of a token", "failures"]);
    for key in keys(turns) {
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let (rss, refreshes) = (
            Spread::of(of(turns, key).map(|turn| turn.rss_kib as f64 / 1024.0)),
            Spread::of(of(turns, key).map(|turn| turn.presentations.refreshes as f64)),
        );
        let most = of(turns, key).map(|turn| turn.presentations.most_of_one_token).max().unwrap_or_default();
        let failures: u64 = of(turns, key).flat_map(Turn::failures).map(|(_, count)| count).sum();
        table.row([label(key), format!("{rss:.1}"), format!("{refreshes:.0}"), most.to_string(), failures.to_string()]);
    }
    table
}

/// What went wrong, one line for each kind.
pub(crate) fn failures(turns: &[Turn]) -> Vec<String> {
    let mut failures = Vec::new();
    for turn in turns {
        let (name, round) = (label((&turn.group, &turn.side)), turn.round);
        for (kind, count) in turn.failures() {
            failures.push(format!("{name}: {count} x {kind} in round {round}"));
        }
        let most = turn.presentations.most_of_one_token;
        if most > 1 {
            failures.push(format!("{name}: a token was presented {most} times in round {round}"));
        }
    }
    failures
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::auth::Presentations;

    fn turn(side: &str, round: usize, cpu_us_per_request: f64) -> Turn {
        let limit = Measured { cpu_us_per_request, ..Measured::default() };
        let (group, side) = (String::new(), side.into());
        Turn { group, side, round, limit, steady: None, rss_kib: 0, presentations: Presentations::default() }
    }

    #[test]
    fn a_ratio_is_taken_in_each_round_and_its_median_counts() {
        let mut turns = Vec::new();
        for (round, (a, b)) in [(10.0, 10.0), (30.0, 15.0), (12.0, 8.0)].into_iter().enumerate() {
            turns.extend([turn("a", round, a), turn("b", round, b)]);
        }
        let both = [("", "a"), ("", "b")];
        assert_eq!(ratio(&turns, both, cpu), Some(Spread { median: 1.5, least: 1.0, most: 2.0 }));
        assert_eq!(ratio(&turns, [("", "a"), ("", "c")], cpu), None);
        assert_eq!(ratio(&turns, both, p99), None, "nothing was measured in an open loop");
    }

    #[test]
    fn a_side_has_one_row_and_its_failures_are_told() {
        let mut failing = turn("b", 2, 1.0);
        failing.limit.failures.insert("status 503".into(), 3);
        let turns = [turn("a", 1, 1.0), turn("b", 1, 1.0), turn("a", 2, 1.0), failing];
        assert_eq!(keys(&turns), [("", "a"), ("", "b")]);
        assert_eq!(failures(&turns), ["b: 3 x status 503 in round 2"]);
        assert!(other_table(&turns).to_string().contains("| b | 0.0 (0.0-0.0) | 0 (0-0) | 0 | 3 |"));
    }
}
