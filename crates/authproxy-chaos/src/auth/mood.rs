//! How the auth service behaves.

use std::time::Duration;

/// What requests to `/login` and `/refresh` meet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    /// They are answered, after the usual delay.
    Well,
    /// They are answered after this long.
    Slow(Duration),
    /// Each is reset: half of them before they were acted on, half of them after.
    Resets,
    /// 429: not acted on.
    Overloaded,
    /// 500: not acted on, which nobody can know.
    Fails,
    /// Connecting is refused, and connections are cut.
    Down,
}
