//! The rules that the protocol rests on, by name, so that each can be broken alone.
//!
//! `broken_rules.rs` breaks one at a time and demands that the checker finds out: a rule whose loss nobody notices
//! would be either superfluous or not covered by any property.

/// A rule of the protocol. A model with `broken: Some(rule)` does everything else as it should.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Rule {
    /// Store: a lease that ran out leaves the session in doubt, not free.
    AnEndedLeaseIsDoubt,
    /// Store: a commit is accepted only on the version that its lease was granted on.
    ACommitNeedsItsBase,
    /// Store: no commit revives a removed session.
    RemovedStaysRemoved,
    /// Store: an abort by anyone but the lease's holder changes nothing.
    AnAbortIsFenced,
    /// Flight: the token is sent only by the holder of a lease.
    TheIntentIsStoredFirst,
    /// Flight: an unknown outcome is no verdict.
    AnUnknownOutcomeIsNoVerdict,
    /// Flight: an unknown outcome is stored as doubt, not as an untouched token.
    AnUnknownOutcomeIsDoubt,
    /// Flight: once one presentation has an unknown outcome, a later one that was refused unprocessed does not make
    /// the token untouched again.
    AnEarlierPresentationIsNotForgotten,
    /// Flight: a permission to present again is used only while the contract still allows it, however late the
    /// store's answer came.
    AnOldPermissionIsAskedAgain,
    /// Flight: every attempt has a new name. Were that of a lease used again whose giving back was not answered, the
    /// giving back could still arrive, and free a token that is being presented.
    EveryAttemptHasANewName,
    /// Flight: a set that was superseded is left alone, because its lineage lives.
    ASupersededSetIsNotRevoked,
    /// Flight and saver: a set that found its session gone is revoked.
    ASetWithoutSessionIsRevoked,
    /// Slots: a session that this node has closed keeps no unsaved set.
    AClosedSlotKeepsNothing,
    /// Flight: a set that the store did not take is kept until it does.
    AnUnsavedSetIsKept,
    /// Policy: a usable token is served at once.
    AUsableTokenIsServed,
}
