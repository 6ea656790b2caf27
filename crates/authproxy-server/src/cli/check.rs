//! `authproxy check`

use std::io::Write;

use super::Exit;
use crate::config::Loaded;

/// Says that a configuration is valid; what may not be meant goes to `err`.
pub fn run_check(loaded: &Loaded, out: &mut impl Write, err: &mut impl Write) -> Exit {
    for note in &loaded.notes {
        let _ = writeln!(err, "note: {note}");
    }
    match writeln!(out, "configuration is valid") {
        Ok(()) => Exit::Success,
        Err(_) => Exit::Failure,
    }
}
