//! The configuration file: TOML, with the line of every value.

use std::sync::Arc;

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    keys,
    load::Given,
    mistake::{Mistake, Source},
    raw::Raw,
    route::read::RouteDraft,
    suggest::nearest,
};

/// More syntax errors than these, or a second one in a line, are echoes of the first ones.
const SYNTAX_ERRORS: usize = 5;

/// What a file says.
#[derive(Default)]
pub(super) struct File {
    pub(super) given: Vec<Given>,
    pub(super) routes: Vec<RouteDraft>,
    pub(super) mistakes: Vec<Mistake>,
    /// Whether it is TOML at all; otherwise nothing is known about what it says.
    pub(super) is_toml: bool,
}

/// Reads the text of a file that is called `path`.
pub(super) fn read(path: &str, text: &str) -> File {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let lines = Lines::new(path, text);
    let (table, errors) = DeTable::parse_recoverable(text);
    let mut file = File { is_toml: errors.is_empty(), ..File::default() };
    if file.is_toml {
        walk(table.get_ref(), "", &lines, &mut file);
    }
    for error in errors {
        let source = lines.at(error.span().map_or(text.len(), |span| span.start));
        let is_echo = file.mistakes.iter().any(|earlier| earlier.source == source);
        if !is_echo && file.mistakes.len() < SYNTAX_ERRORS {
            // Only the message: the error's Display repeats the line, which may hold a secret.
            let problem = format!("not TOML: {}", error.message());
            file.mistakes.push(Mistake { source, key: String::new(), problem });
        }
    }
    file
}

fn walk(table: &DeTable<'_>, group: &str, lines: &Lines, file: &mut File) {
    for (word, value) in table {
        let name = if group.is_empty() { word.get_ref().to_string() } else { format!("{group}.{}", word.get_ref()) };
        let source = lines.at(word.span().start);
        // A quoted word with a dot looks like a known key when joined, and is none in TOML.
        let found = if word.get_ref().contains('.') { None } else { keys::find(&name) };
        match (found, value.get_ref()) {
            (Some((key, _)), _) if key.name == keys::ROUTE => routes(value, source, lines, file),
            (Some((key, from_file)), value) => {
                file.given.push(Given { key, from_file, raw: Raw::from_toml(value), source });
            }
            (None, DeValue::Table(table)) if !table.is_empty() => walk(table, &name, lines, file),
            (None, DeValue::Table(_)) if keys::is_group(&name) => {}
            (None, _) if keys::is_group(&name) => {
                let problem = format!("is a group of keys, not a value; write it as [{name}]");
                file.mistakes.push(Mistake { source, key: name, problem });
            }
            (None, _) => file.mistakes.push(unknown_key(source, name)),
        }
    }
}

fn routes(value: &Spanned<DeValue<'_>>, source: Source, lines: &Lines, file: &mut File) {
    let DeValue::Array(entries) = value.get_ref() else {
        let problem = "the value is not a list; allowed: [[route]] tables".into();
        file.mistakes.push(Mistake { source, key: "route".into(), problem });
        return;
    };
    for entry in entries {
        let at = |offset| lines.at(offset);
        file.routes.extend(RouteDraft::read(entry, &at, &mut file.mistakes));
    }
}

/// The mistake of naming a key that does not exist.
pub(super) fn unknown_key(source: Source, name: String) -> Mistake {
    let known = keys::names();
    let problem = match nearest(&name, known.iter().map(String::as_str)) {
        Some(key) => format!("unknown key; did you mean {key}?"),
        None => "unknown key; `authproxy print-config` shows every key".into(),
    };
    Mistake { source, key: name, problem }
}

/// Finds the line of an offset.
struct Lines {
    path: Arc<str>,
    ends: Vec<usize>,
}

impl Lines {
    fn new(path: &str, text: &str) -> Self {
        Self { path: path.into(), ends: text.match_indices('\n').map(|(offset, _)| offset).collect() }
    }

    fn at(&self, offset: usize) -> Source {
        Source::File { path: Arc::clone(&self.path), line: 1 + self.ends.partition_point(|end| *end < offset) }
    }
}
