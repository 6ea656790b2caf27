//! `authproxy print-config`

use std::io::{self, Write};

use super::Exit;
use crate::config::{Loaded, Setting, Source, load::Shown};

/// Where the sources begin, unless a value is longer.
const COLUMN: usize = 44;

/// Writes the configuration in force as a configuration file, with the source of each value behind it.
pub fn print_config(loaded: &Loaded, out: &mut impl Write, err: &mut impl Write) -> Exit {
    for note in &loaded.notes {
        let _ = writeln!(err, "note: {note}");
    }
    match write_all(loaded, out) {
        Ok(()) => Exit::Success,
        Err(_) => Exit::Failure,
    }
}

fn write_all(loaded: &Loaded, out: &mut impl Write) -> io::Result<()> {
    match &loaded.file {
        Some(path) => writeln!(out, "# configuration file: {}", path.display().to_string().escape_debug())?,
        None => writeln!(out, "# configuration file: none")?,
    }
    for setting in &loaded.settings {
        match &setting.value {
            Shown::Tables(tables) => tables.iter().try_for_each(|table| write_table(setting.key, table, out))?,
            _ => writeln!(out, "{}", line(setting))?,
        }
    }
    Ok(())
}

fn write_table(key: &str, (source, settings): &(Source, Vec<Setting>), out: &mut impl Write) -> io::Result<()> {
    let heading = format!("[[{key}]]");
    writeln!(out, "\n{heading:COLUMN$} # {source}")?;
    settings.iter().try_for_each(|setting| writeln!(out, "{}", line(setting)))
}

fn line(Setting { key, value, source }: &Setting) -> String {
    match value {
        Shown::Toml(value) => {
            let assignment = format!("{key} = {value}");
            format!("{assignment:COLUMN$} # {source}")
        }
        Shown::Masked => {
            let assignment = format!("# {key} is set, and masked");
            format!("{assignment:COLUMN$} # {source}")
        }
        Shown::Unset | Shown::Tables(_) => format!("# {key} is not set"),
    }
}
