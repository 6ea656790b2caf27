//! Sessions in this process' memory, on moka.
/// skeleton
#[derive(Debug)]
pub struct MemoryStore;
