//! The loader as a whole: what is loaded, what is refused and in which words, and what is never said.

#![allow(clippy::unwrap_used)]

mod checks;
mod mistakes;
mod routes;
mod rules;
mod secrets;
mod sources;

use std::{ffi::OsString, io, path::Path};

use zeroize::Zeroizing;

use super::{Flag, Inputs, Loaded, Mistakes, Purpose, load};

/// A configuration in the making.
pub(super) struct Setup {
    purpose: Purpose,
    files: Vec<(String, String)>,
    environment: Vec<(OsString, OsString)>,
    flags: Vec<Flag>,
}

impl Setup {
    /// Nothing but an auth service, for `serve`.
    pub(super) fn serve() -> Self {
        Self::of(Purpose::Serve).env("AUTH_URL", "https://auth.example.com")
    }

    pub(super) fn of(purpose: Purpose) -> Self {
        Self { purpose, files: Vec::new(), environment: Vec::new(), flags: Vec::new() }
    }

    /// With this text as the configuration file, `a.toml`.
    pub(super) fn file(self, text: &str) -> Self {
        self.other_file("a.toml", text)
    }

    pub(super) fn other_file(mut self, path: &str, text: &str) -> Self {
        self.files.push((path.into(), text.into()));
        self
    }

    pub(super) fn env(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.into(), value.into()));
        self
    }

    pub(super) fn env_os(mut self, name: OsString, value: OsString) -> Self {
        self.environment.push((name, value));
        self
    }

    /// With `--set key=value`.
    pub(super) fn set(mut self, key: &str, value: &str) -> Self {
        self.flags.push(Flag { name: "--set".into(), key: key.into(), value: Zeroizing::new(value.into()) });
        self
    }

    pub(super) fn load(&self) -> Result<Loaded, Mistakes> {
        let read = |path: &Path| {
            let found = self.files.iter().find(|(name, _)| Path::new(name) == path);
            found.map(|(_, text)| Zeroizing::new(text.clone())).ok_or_else(|| io::ErrorKind::NotFound.into())
        };
        load(&Inputs {
            purpose: self.purpose,
            file: self.files.iter().any(|(name, _)| name == "a.toml").then(|| "a.toml".into()),
            environment: self.environment.clone(),
            flags: self.flags.clone(),
            read: &read,
        })
    }

    pub(super) fn loaded(&self) -> Loaded {
        self.load().unwrap_or_else(|mistakes| panic!("{mistakes}"))
    }

    /// The lines that the user would see; panics when there is no mistake.
    pub(super) fn mistakes(&self) -> Vec<String> {
        self.load().expect_err("a mistake").iter().map(ToString::to_string).collect()
    }
}
