//! What has come of a load.

use std::{collections::BTreeMap, fmt, time::Duration};

/// How a request failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Failure {
    /// Another status than 2xx.
    Status(u16),
    /// Not what was asked for.
    WrongBody,
    /// Not HTTP.
    Malformed,
    /// Something came although nothing was asked.
    Unasked,
    /// The connection ended under the request.
    Closed,
    /// Nothing came in time.
    NoAnswer,
}

/// What has come of a load within its window.
#[derive(Debug, Default)]
pub(crate) struct Outcome {
    /// Of each right answer, in microseconds.
    latencies: Vec<u32>,
    failures: BTreeMap<Failure, u64>,
    /// What answers have set, by the question's place.
    pub(crate) cookies: Vec<(usize, String)>,
    /// How long the window was in fact.
    pub(crate) elapsed: Duration,
}

impl Outcome {
    pub(super) fn answered(&mut self, latency: Duration) {
        self.latencies.push(u32::try_from(latency.as_micros()).unwrap_or(u32::MAX));
    }

    pub(super) fn told(&mut self, question: usize, cookie: Option<String>) {
        self.cookies.extend(cookie.map(|cookie| (question, cookie)));
    }

    pub(super) fn failed(&mut self, failure: Failure) {
        *self.failures.entry(failure).or_default() += 1;
    }

    /// Right answers.
    pub(crate) fn answers(&self) -> u64 {
        self.latencies.len() as u64
    }

    /// What went wrong, by kind, the warm-up included.
    pub(crate) fn failures(&self) -> BTreeMap<String, u64> {
        self.failures.iter().map(|(kind, count)| (kind.to_string(), *count)).collect()
    }

    /// The latencies below which these per mille of the answers stay, in microseconds.
    pub(crate) fn percentiles<const N: usize>(&mut self, per_mille: [usize; N]) -> [u32; N] {
        self.latencies.sort_unstable();
        let count = self.latencies.len();
        per_mille.map(|share| {
            let rank = (count * share).div_ceil(1000).clamp(1, count.max(1));
            self.latencies.get(rank - 1).copied().unwrap_or_default()
        })
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Status(status) => write!(f, "status {status}"),
            Self::WrongBody => f.write_str("wrong body"),
            Self::Malformed => f.write_str("not HTTP"),
            Self::Unasked => f.write_str("unasked answer"),
            Self::Closed => f.write_str("connection closed"),
            Self::NoAnswer => f.write_str("no answer"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_nearest_ranks() {
        let mut outcome = Outcome::default();
        assert_eq!(outcome.percentiles([500, 999]), [0, 0]);
        for latency in (1..=1000).rev() {
            outcome.answered(Duration::from_micros(latency));
        }
        assert_eq!(outcome.percentiles([0, 500, 990, 999, 1000]), [1, 500, 990, 999, 1000]);
        assert_eq!(outcome.answers(), 1000);
    }
}
