//! Real time: what is measured here, so the rule that clocks are injected does not hold.

use std::time::{Duration, Instant};

/// Now.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
pub(crate) fn now() -> Instant {
    Instant::now()
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
