//! What a contract suite did.

/// What a contract suite did.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// The claims that hold.
    pub held: Vec<&'static str>,
    /// The claims that could not be checked with what the suite was told.
    pub skipped: Vec<&'static str>,
}
