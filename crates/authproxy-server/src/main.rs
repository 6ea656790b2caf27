//! The `authproxy` program.
fn main() {}
