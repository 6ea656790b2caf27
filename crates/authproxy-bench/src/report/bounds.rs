//! Figures that have a bound: ratios of two sides in the same round, and their median over the rounds.

use std::fmt;

use serde::Serialize;

use crate::{
    forward::{AUTHPROXY, NGINX, REDIS, REFRESHING},
    spread::Spread,
    turn::Turn,
};

/// One side's figure divided by another's.
#[derive(Debug, Serialize)]
pub(super) struct Bound {
    name: &'static str,
    at_most: f64,
    ratio: Spread,
}

/// Those whose sides were measured.
pub(super) fn of(turns: &[Turn]) -> Vec<Bound> {
    let ratio = |name, at_most, [upper, lower]: [&str; 2], figure: fn(&Turn) -> f64| {
        let of = |side: &str, round| turns.iter().find(|turn| turn.side == side && turn.round == round).map(figure);
        let rounds = 1..=turns.iter().map(|turn| turn.round).max().unwrap_or_default();
        let ratios = rounds.filter_map(|round| Some(of(upper, round)? / of(lower, round)?));
        let ratios: Vec<f64> = ratios.filter(|ratio| ratio.is_finite()).collect();
        (!ratios.is_empty()).then(|| Bound { name, at_most, ratio: Spread::of(ratios) })
    };
    [
        ratio("CPU a request, authproxy / nginx", 1.5, [AUTHPROXY, NGINX], |turn| turn.limit.cpu_us_per_request),
        ratio("CPU a request, Redis with near-cache / memory", 1.05, [REDIS, AUTHPROXY], |turn| {
            turn.limit.cpu_us_per_request
        }),
        ratio("p99, refreshing / not", 1.1, [REFRESHING, AUTHPROXY], |turn| turn.steady.p99_us.into()),
    ]
    .into_iter()
    .flatten()
    .collect()
}

impl Bound {
    pub(super) fn is_kept(&self) -> bool {
        self.ratio.median <= self.at_most
    }
}

impl fmt::Display for Bound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, at_most, ratio } = self;
        let verdict = if self.is_kept() { "kept" } else { "MISSED" };
        write!(f, "{name}: {ratio:.2}; at most {at_most}: {verdict}")
    }
}
