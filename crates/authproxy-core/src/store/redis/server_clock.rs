//! [`ServerClock`]: what a Redis server's time is on this node's clock.

use std::{
    sync::atomic::{AtomicI64, Ordering},
    time::Duration,
};

use crate::clock::Timestamp;

/// Differences that answers of differing speed explain.
const LATENCY: (i64, i64) = (-250, 20);
const UNKNOWN: i64 = i64::MIN;

/// The difference between this node's clock and a server's, from the times in its answers.
///
/// Leases and intents are on the server's clock, so that nodes need not agree on the time; what a node is told of them
/// is on its own. Small differences between measurements are ignored: the same instant then stays the same.
pub(super) struct ServerClock(AtomicI64);

impl ServerClock {
    pub(super) fn new() -> Self {
        Self(AtomicI64::new(UNKNOWN))
    }

    /// Learns from an answer. `sent` is when the command left: at the latest when the server read its clock, so that no
    /// span of time counts for less than it was.
    pub(super) fn observe(&self, sent: Timestamp, server_now: Timestamp) {
        let ahead = signed(sent).saturating_sub(signed(server_now));
        let kept = self.0.load(Ordering::Relaxed);
        if kept == UNKNOWN || !(LATENCY.0..=LATENCY.1).contains(&ahead.saturating_sub(kept)) {
            self.0.store(ahead, Ordering::Relaxed);
        }
    }

    /// An instant of the server's on this node's clock. A server that was never heard is taken to have the same time.
    pub(super) fn to_node(&self, server: Timestamp) -> Timestamp {
        let ahead = match self.0.load(Ordering::Relaxed) {
            UNKNOWN => 0,
            ahead => ahead,
        };
        let by = Duration::from_millis(ahead.unsigned_abs());
        if ahead < 0 { server.minus(by) } else { server.plus(by) }
    }
}

fn signed(time: Timestamp) -> i64 {
    i64::try_from(time.as_millis()).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_millis(millis)
    }

    #[test]
    fn an_instant_stays_the_same_while_answers_differ_in_speed() {
        let clock = ServerClock::new();
        assert_eq!(clock.to_node(at(5_000)), at(5_000), "never heard");
        clock.observe(at(1_000_000), at(5_000));
        for (sent, server_now) in [(1_000_100, 5_100), (1_000_190, 5_200), (1_000_215, 5_200), (1_000_100, 5_349)] {
            clock.observe(at(sent), at(server_now));
            assert_eq!(clock.to_node(at(4_000)), at(999_000));
        }
    }

    #[test]
    fn a_clock_that_was_set_is_followed_in_either_direction() {
        let clock = ServerClock::new();
        clock.observe(at(10_000), at(50_000));
        assert_eq!(clock.to_node(at(45_000)), at(5_000));
        clock.observe(at(3_610_000), at(50_000));
        assert_eq!(clock.to_node(at(45_000)), at(3_605_000));
        clock.observe(at(3_610_000), at(90_000));
        assert_eq!(clock.to_node(at(90_000)), at(3_610_000));
    }
}
