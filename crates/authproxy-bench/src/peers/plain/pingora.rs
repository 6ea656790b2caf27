//! pingora, in the smallest program that sets a header and forwards (`peers/pingora`).

use std::path::Path;

use super::Plain;

/// Where `scripts/bench` builds it.
const PROGRAM: &str = "target/bench/pingora/release/pingora-peer";

/// Whether it has been built.
pub(crate) fn is_there() -> bool {
    Path::new(PROGRAM).exists()
}

pub(super) fn side() -> Plain {
    Plain {
        name: "pingora",
        program: PROGRAM.into(),
        version: &["--version"],
        configuration: "one thread, one Authorization header set, no session, no log",
        arguments: &["ADDRESS", "UPSTREAM", "TOKEN"],
        files: |_| Vec::new(),
    }
}
