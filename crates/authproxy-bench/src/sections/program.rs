//! Commands of the repository whose output is carried over.

use std::{
    io,
    process::{Command, Stdio},
};

/// What a command prints; an error when it fails.
pub(super) fn output(command: &[&str]) -> io::Result<String> {
    crate::bench::say(&command.join(" "));
    let output = Command::new(command[0]).args(&command[1..]).stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).into_owned())
    } else {
        Err(io::Error::other(format!("failed: {}", command.join(" "))))
    }
}
