//! What is wrong with a configuration: all of it at once, each with its place, and never with a secret.

use std::{borrow::Cow, fmt, sync::Arc};

/// The longest piece of somebody's text that an error repeats.
const ECHO_CHARS: usize = 60;

/// Where a value comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// Nobody said anything.
    Default,
    /// A line of the configuration file.
    File {
        /// The file, as it was named.
        path: Arc<str>,
        /// Counted from 1; 0 where the whole file is meant.
        line: usize,
    },
    /// A variable of the environment, by its name.
    Env(String),
    /// A flag of the command line, by its name.
    Flag(String),
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File { path, line: 0 } => write!(f, "{}", path.escape_debug()),
            Self::File { path, line } => write!(f, "{}:{line}", path.escape_debug()),
            Self::Env(name) | Self::Flag(name) => write!(f, "{}", cut(name)),
        }
    }
}

/// One thing that is wrong. `Display` writes one line: `source: key: problem`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistake {
    /// Where it was said; [`Source::Default`] where something was not said.
    pub source: Source,
    /// The key, as it was written; empty where a file as a whole is meant.
    pub key: String,
    /// What is wrong, and what is allowed.
    pub problem: String,
}

impl fmt::Display for Mistake {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.source != Source::Default {
            write!(f, "{}: ", self.source)?;
        }
        if !self.key.is_empty() {
            write!(f, "{}: ", cut(&self.key))?;
        }
        f.write_str(&self.problem)
    }
}

/// Everything that is wrong with a configuration. `Display` writes a heading and one line each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mistakes(pub(super) Vec<Mistake>);

impl Mistakes {
    /// One by one: the file's by line, then the environment's by name, then the flags', then what is missing.
    pub fn iter(&self) -> impl Iterator<Item = &Mistake> {
        self.0.iter()
    }
}

impl fmt::Display for Mistakes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0.len() {
            1 => f.write_str("the configuration has 1 mistake")?,
            n => write!(f, "the configuration has {n} mistakes")?,
        }
        self.0.iter().try_for_each(|mistake| write!(f, "\n  {mistake}"))
    }
}

impl std::error::Error for Mistakes {}

/// Why a value was refused: the end of a sentence, and what of the value may be repeated at its beginning.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) shown: Option<String>,
    pub(super) reason: Cow<'static, str>,
}

impl Refusal {
    /// Refuses a value and repeats it.
    pub(super) fn of(value: &str, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { shown: Some(value.to_owned()), reason: reason.into() }
    }

    /// Refuses a value without repeating it.
    pub(super) fn unseen(reason: impl Into<Cow<'static, str>>) -> Self {
        Self { shown: None, reason: reason.into() }
    }

    /// Refuses a URL; it is repeated only when nothing in it can be a credential.
    pub(super) fn of_url(url: &str, reason: impl Into<Cow<'static, str>>) -> Self {
        if url.contains(['@', '?', '#', '%']) { Self::unseen(reason) } else { Self::of(url, reason) }
    }

    /// The whole sentence; `may_show` is false where the key holds secrets.
    pub(super) fn explain(&self, allowed: &str, may_show: bool) -> String {
        match self.shown.as_ref().filter(|_| may_show) {
            Some(value) => format!("\"{}\" {}; allowed: {allowed}", cut(value), self.reason),
            None => format!("the value {}; allowed: {allowed}", self.reason),
        }
    }
}

/// Text from outside, as one short printable line.
pub(super) fn cut(text: &str) -> String {
    let mut short: String = text.chars().take(ECHO_CHARS).flat_map(char::escape_debug).collect();
    if text.chars().nth(ECHO_CHARS).is_some() {
        short.push_str("...");
    }
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_is_repeated_short_and_in_one_line() {
        let refusal = Refusal::of(&format!("a\n\u{1b}[31m{}", "x".repeat(1000)), "is not allowed");
        let text = refusal.explain("less", true);
        assert!(text.starts_with("\"a\\n\\u{1b}[31mxxx"), "{text}");
        assert!(text.ends_with("xxx...\" is not allowed; allowed: less"), "{text}");
        assert!(text.len() < 150, "{text}");
    }

    #[test]
    fn a_url_that_may_hold_a_credential_is_not_repeated() {
        for url in ["https://user:pw@example.com", "https://example.com/?key=pw", "https://example.com/#pw"] {
            assert_eq!(Refusal::of_url(url, "is bad").explain("x", true), "the value is bad; allowed: x");
        }
        assert_eq!(
            Refusal::of_url("https://e.com", "is bad").explain("x", true),
            "\"https://e.com\" is bad; allowed: x"
        );
    }
}
