//! Time, as everything here sees it: a [`Clock`] that can be replaced and the [`Timestamp`] it reads.
//!
//! Only this file reads the machine's clocks.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// An instant: milliseconds since the Unix epoch on a [`Clock`].
///
/// Arithmetic saturates at both ends, so no lifetime that a peer sends can overflow it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(u64);

impl Timestamp {
    /// The instant `millis` milliseconds after the Unix epoch.
    pub const fn from_millis(millis: u64) -> Self {
        Self(millis)
    }

    /// The instant `seconds` seconds after the Unix epoch, as a JWT's `exp` counts (RFC 7519, section 2).
    pub const fn from_secs(seconds: u64) -> Self {
        Self(seconds.saturating_mul(1000))
    }

    /// Milliseconds since the Unix epoch.
    pub const fn as_millis(self) -> u64 {
        self.0
    }

    /// The time from `earlier` to this instant; zero when `earlier` is later.
    pub const fn since(self, earlier: Self) -> Duration {
        Duration::from_millis(self.0.saturating_sub(earlier.0))
    }

    /// This instant moved `by` into the future.
    #[must_use]
    pub const fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(millis(by)))
    }

    /// This instant moved `by` into the past, at most to the epoch.
    #[must_use]
    pub const fn minus(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(millis(by)))
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:03}s", self.0 / 1000, self.0 % 1000)
    }
}

const fn millis(duration: Duration) -> u64 {
    let millis = duration.as_millis();
    if millis > u64::MAX as u128 {
        u64::MAX
    } else {
        #[allow(clippy::cast_possible_truncation)] // bounded by the branch above
        {
            millis as u64
        }
    }
}

/// Tells the time.
///
/// # Contract
///
/// `now` never goes backwards, is not moved by a step of the wall clock, and counts the time that the
/// machine slept: a token that expired during a suspend is expired on waking.
pub trait Clock: Send + Sync + 'static {
    /// The present instant.
    fn now(&self) -> Timestamp;
}

/// The machine's time: the wall clock read once, then carried on by the boot-time clock.
///
/// The wall clock may later be stepped in either direction without moving this one, and a suspend is counted.
#[derive(Clone, Debug)]
pub struct SystemClock {
    /// The wall time at which the boot-time clock stood at zero, in milliseconds.
    epoch_at_boot: u64,
}

impl SystemClock {
    /// Anchors a clock at the present wall time.
    pub fn new() -> Self {
        #[allow(clippy::disallowed_methods)] // the one place that reads the wall clock
        let wall = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Self { epoch_at_boot: millis(wall).saturating_sub(since_boot()) }
    }
}

impl Default for SystemClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.epoch_at_boot.saturating_add(since_boot()))
    }
}

/// Milliseconds of a clock that nobody sets, and that counts a suspend where there is such a one.
fn since_boot() -> u64 {
    #[cfg(target_os = "linux")]
    let clock = rustix::time::ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    let clock = rustix::time::ClockId::Monotonic;
    let time = rustix::time::clock_gettime(clock);
    time.tv_sec.unsigned_abs() * 1_000 + time.tv_nsec.unsigned_abs() / 1_000_000
}

/// A clock that stands still until it is told to move, for tests and examples.
///
/// Clones share the same time.
#[derive(Clone, Debug)]
pub struct ManualClock(Arc<AtomicU64>);

impl ManualClock {
    /// A clock that stands at `start`.
    pub fn new(start: Timestamp) -> Self {
        Self(Arc::new(AtomicU64::new(start.0)))
    }

    /// Moves the clock forward.
    pub fn advance(&self, by: Duration) {
        self.0.fetch_add(millis(by), Ordering::SeqCst);
    }

    /// Puts the clock at `to`, which may lie in the past: what a broken clock would do.
    pub fn set(&self, to: Timestamp) {
        self.0.store(to.0, Ordering::SeqCst);
    }
}

impl Default for ManualClock {
    /// Stands at a fixed date, 2026-01-01.
    fn default() -> Self {
        Self::new(Timestamp::from_secs(1_767_225_600))
    }
}

impl Clock for ManualClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::SeqCst))
    }
}

/// A clock that follows tokio's, so that `tokio::time::pause` and `advance` move tokens as well as timers.
#[derive(Clone, Debug)]
pub struct TokioClock {
    start: tokio::time::Instant,
    epoch: Timestamp,
}

impl TokioClock {
    /// Starts at a fixed date, 2026-01-01, wherever tokio's clock stands now.
    pub fn new() -> Self {
        #[allow(clippy::disallowed_methods)] // follows tokio's clock, which tests pause
        let start = tokio::time::Instant::now();
        Self { start, epoch: ManualClock::default().now() }
    }
}

impl Default for TokioClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for TokioClock {
    fn now(&self) -> Timestamp {
        self.epoch.plus(self.start.elapsed())
    }
}
