//! `authproxy check`

use std::io::{self, Write};

use super::Exit;
use crate::{
    config::{Loaded, RouteAccess},
    files::check_files,
};

/// Says that a configuration and the files that it names are valid, and what it forwards; what may not be meant, or
/// cannot be used, goes to `err`.
pub fn run_check(loaded: &Loaded, out: &mut impl Write, err: &mut impl Write) -> Exit {
    for note in &loaded.notes {
        let _ = writeln!(err, "note: {note}");
    }
    if let Err(errors) = check_files(&loaded.config) {
        let plural = if errors.len() == 1 { "" } else { "s" };
        let _ = writeln!(err, "authproxy: the configuration has {} mistake{plural}", errors.len());
        for error in errors {
            let _ = writeln!(err, "  {error}");
        }
        return Exit::Config;
    }
    match write_all(loaded, out) {
        Ok(()) => Exit::Success,
        Err(_) => Exit::Failure,
    }
}

fn write_all(loaded: &Loaded, out: &mut impl Write) -> io::Result<()> {
    writeln!(out, "configuration is valid")?;
    for route in &loaded.config.route {
        let access = match route.access {
            RouteAccess::Session => "session",
            RouteAccess::Bearer => "bearer",
            RouteAccess::Public => "public",
        };
        let host = route.host.as_deref().unwrap_or_default();
        writeln!(out, "route {host}{} to {}, {access}", route.prefix, route.upstream)?;
    }
    Ok(())
}
