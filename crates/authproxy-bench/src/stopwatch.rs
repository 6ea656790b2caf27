//! Real time: what is measured here, so the rule that clocks are injected does not hold.

use std::time::{Duration, Instant, SystemTime};

/// Now.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
}

/// Seconds since 1970, for tokens that others read.
#[expect(clippy::disallowed_methods, reason = "a benchmark's tokens are judged by real programs")]
pub(crate) fn unix_time() -> u64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default().as_secs()
}

/// Lets time pass.
pub(crate) fn wait(duration: Duration) {
    ask_until(duration, || None::<()>);
}

/// Asks again and again, a few milliseconds apart, until there is an answer; `None` when there was none in time.
#[expect(clippy::disallowed_methods, reason = "another process says nothing when it is ready or gone")]
pub(crate) fn ask_until<T>(patience: Duration, mut ask: impl FnMut() -> Option<T>) -> Option<T> {
    let deadline = now() + patience;
    loop {
        if let Some(answer) = ask() {
            return Some(answer);
        }
        if now() >= deadline {
            return None;
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}
