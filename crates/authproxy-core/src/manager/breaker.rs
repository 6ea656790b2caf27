//! The circuit breaker in front of the auth service: pure, told the time.

use std::time::Duration;

use crate::clock::Timestamp;

/// Failures in a row, over all sessions, after which the service is left alone for a while.
const THRESHOLD: u32 = 10;
const FIRST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// The longest that a service's own Retry-After is obeyed.
const LONGEST_OBEYED: Duration = Duration::from_mins(5);

/// Whether the auth service may be called.
#[derive(Debug, Default)]
pub(crate) struct Breaker {
    failures: u32,
    pauses: u32,
    shut_until: Option<Timestamp>,
    probing: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Gate {
    /// Calls flow.
    Open,
    /// One call may find out whether the service is back.
    Probe,
    /// No call before this long has passed.
    Shut(Duration),
}

/// Whether a call is the one that finds out whether the service is back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum IsProbe {
    Yes,
    No,
}

impl Breaker {
    /// Looks without taking the probe.
    pub(crate) fn gate(&self, now: Timestamp) -> Gate {
        match self.shut_until {
            None => Gate::Open,
            Some(until) if now < until => Gate::Shut(until.since(now)),
            Some(_) if self.probing => Gate::Shut(FIRST_PAUSE),
            Some(_) => Gate::Probe,
        }
    }

    /// Asks to make one call. Whoever is let through reports how it went, or that it was not made, and says whether it
    /// was the probe.
    pub(crate) fn admit(&mut self, now: Timestamp) -> Result<IsProbe, Duration> {
        match self.gate(now) {
            Gate::Open => Ok(IsProbe::No),
            Gate::Probe => {
                self.probing = true;
                Ok(IsProbe::Yes)
            }
            Gate::Shut(left) => Err(left),
        }
    }

    /// The service answered: it works.
    ///
    /// A call that was in the air when the breaker opened says nothing about what has been found out, or asked for, since.
    pub(crate) fn succeeded(&mut self, probe: IsProbe) {
        if self.shut_until.is_none() || probe == IsProbe::Yes {
            *self = Self::default();
        }
    }

    /// The call was not made after all, or told nothing; another may probe.
    pub(crate) fn unused(&mut self, probe: IsProbe) {
        if probe == IsProbe::Yes {
            self.probing = false;
        }
    }

    /// The call failed. `asked` is the service's Retry-After: it holds for every session at once.
    ///
    /// Calls that were in the air when the breaker opened say nothing about the probe.
    pub(crate) fn failed(&mut self, now: Timestamp, probe: IsProbe, asked: Option<Duration>) {
        self.failures = self.failures.saturating_add(1);
        let asked = asked.map(|asked| asked.min(LONGEST_OBEYED)).filter(|asked| !asked.is_zero());
        let tripped = probe == IsProbe::Yes || (self.failures >= THRESHOLD && self.shut_until.is_none());
        self.unused(probe);
        let pause = match (asked, tripped) {
            (Some(asked), _) => asked,
            (None, true) => FIRST_PAUSE.saturating_mul(1 << self.pauses.min(8)).min(LONGEST_PAUSE),
            (None, false) => return,
        };
        self.pauses = self.pauses.saturating_add(u32::from(tripped));
        let until = now.plus(pause);
        self.shut_until = Some(self.shut_until.map_or(until, |before| before.max(until)));
    }
}
