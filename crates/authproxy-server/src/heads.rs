//! How large the head of a request may be, over either protocol, and why one is refused.

/// The most header fields of a request.
pub(crate) const MAX_FIELDS: usize = 100;
/// The most bytes of a head.
pub(crate) const MAX_HEAD: usize = 64 * 1024;
/// The most bytes of a request target.
pub(crate) const MAX_TARGET: usize = 8 * 1024;

/// Why a connection's bytes are not read any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Refusal {
    /// Not HTTP/1.x, or ambiguous.
    Malformed,
    /// The request target is too long.
    TargetTooLong,
    /// The head has too many fields or bytes.
    HeadTooLarge,
    /// The head did not arrive in time.
    HeadTooSlow,
}
