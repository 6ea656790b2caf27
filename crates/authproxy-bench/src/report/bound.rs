//! Figures that have a bound.

use serde::Serialize;

use crate::spread::Spread;

/// A figure and what it must not pass.
#[derive(Debug, Serialize)]
pub(crate) struct Bound {
    pub(crate) name: String,
    pub(crate) figure: Spread,
    /// Of the figure; empty for a ratio.
    pub(crate) unit: &'static str,
    pub(crate) limit: Limit,
}

/// Which way a bound goes.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Limit {
    AtMost(f64),
    AtLeast(f64),
}

impl Bound {
    pub(super) fn is_kept(&self) -> bool {
        match self.limit {
            Limit::AtMost(most) => self.figure.median <= most,
            Limit::AtLeast(least) => self.figure.median >= least,
        }
    }

    /// Its row of a table: what it is, what was measured, the limit, the verdict.
    pub(super) fn cells(&self) -> [String; 4] {
        let figure = match self.figure.median {
            0.0..10.0 => format!("{:.2}", self.figure),
            10.0..1000.0 => format!("{:.1}", self.figure),
            _ => format!("{:.0}", self.figure),
        };
        let limit = match self.limit {
            Limit::AtMost(most) => format!("at most {most}"),
            Limit::AtLeast(least) => format!("at least {least}"),
        };
        let verdict = if self.is_kept() { "kept" } else { "**missed**" };
        let unit = if self.unit.is_empty() { String::new() } else { format!(" {}", self.unit) };
        [self.name.clone(), figure + &unit, limit + &unit, verdict.into()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_decides_and_either_way_the_limit_itself_is_kept() {
        let bound = |limit| Bound { name: "x".into(), figure: Spread::of([1.0, 2.0, 9.0]), unit: "ns", limit };
        assert!(bound(Limit::AtMost(2.0)).is_kept() && bound(Limit::AtLeast(2.0)).is_kept());
        assert!(!bound(Limit::AtMost(1.9)).is_kept() && !bound(Limit::AtLeast(2.1)).is_kept());
        assert_eq!(
            bound(Limit::AtLeast(2.1)).cells(),
            ["x", "2.00 (1.00-9.00) ns", "at least 2.1 ns", "**missed**"].map(String::from)
        );
    }
}
