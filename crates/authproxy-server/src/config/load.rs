//! Makes one [`Config`] of a file, the environment and flags, or says everything that is wrong with them.
//!
//! The environment over the file, flags over the environment. Pure but for the files that it is told to read, and those
//! it reads through a function that the caller passes.

use std::{
    collections::{BTreeMap, BTreeSet},
    ffi::OsString,
    fs, io,
    io::Read as _,
    path::{Path, PathBuf},
};

use zeroize::Zeroizing;

use super::{
    Config, checks,
    env::{self, Environment},
    file::{self, File},
    keys::{self, KEYS, Key},
    mistake::{Mistake, Mistakes, Source, cut},
    raw::Raw,
    route::read::RouteDraft,
};

/// The largest file that is read: far more than any configuration or list of secrets needs.
const FILE_BYTES: u64 = 1024 * 1024;

/// What the configuration is for, which decides what it must hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// To run with the embedded auth service.
    Dev,
    /// To run in front of an auth service, or to know whether that would work.
    Serve,
    /// To be looked at.
    Inspect,
}

/// A flag of the command line that sets a key.
#[derive(Clone)]
pub struct Flag {
    /// As the user knows it: `--listen`, `--set`.
    pub name: String,
    /// The key that it sets; any text, for `--set`.
    pub key: String,
    /// Its value. Possibly a secret.
    pub value: Zeroizing<String>,
}

/// Reads a whole file, within a bound.
pub type ReadFile<'a> = &'a dyn Fn(&Path) -> io::Result<Zeroizing<String>>;

/// Everything that a configuration is made of.
pub struct Inputs<'a> {
    /// What it is for.
    pub purpose: Purpose,
    /// `--config`; wins over `AUTHPROXY_CONFIG`.
    pub file: Option<PathBuf>,
    /// The whole environment; what is not meant for authproxy is ignored.
    pub environment: Vec<(OsString, OsString)>,
    /// In the order of the command line.
    pub flags: Vec<Flag>,
    /// How files are read: [`read_file`], but for tests.
    pub read: ReadFile<'a>,
}

/// A configuration without mistakes.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The values.
    pub config: Config,
    /// Every key with its value and source, in the order of [`KEYS`].
    pub settings: Vec<Setting>,
    /// What is allowed but perhaps not meant, a sentence each. For the log, or standard error.
    pub notes: Vec<String>,
    /// The file that was read.
    pub file: Option<PathBuf>,
}

/// One key as it is in force.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// The key's name.
    pub key: &'static str,
    /// The value, as it may be shown.
    pub value: Shown,
    /// Where it comes from.
    pub source: Source,
}

/// A value as it may be shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shown {
    /// Nothing is set.
    Unset,
    /// A secret is set.
    Masked,
    /// The value as TOML writes it.
    Toml(String),
    /// The keys that are set in each table of a list, and where the table begins.
    Tables(Vec<(Source, Vec<Setting>)>),
}

/// One value of one source.
pub(super) struct Given {
    pub(super) key: &'static Key,
    /// Whether the value is the path of a file that holds it.
    pub(super) from_file: bool,
    pub(super) raw: Raw,
    pub(super) source: Source,
}

/// The configuration while it is put together.
pub(super) struct Draft {
    pub(super) config: Config,
    sources: BTreeMap<&'static str, Source>,
    shown: BTreeMap<&'static str, Shown>,
    broken: BTreeSet<&'static str>,
    from_file: BTreeSet<&'static str>,
    pub(super) mistakes: Vec<Mistake>,
    pub(super) notes: Vec<String>,
    pub(super) routes: Vec<RouteDraft>,
}

/// Loads a configuration.
///
/// # Errors
///
/// Every mistake that can be found, not only the first.
pub fn load(inputs: &Inputs<'_>) -> Result<Loaded, Mistakes> {
    let Environment { given: from_env, mistakes: env_mistakes, config_file } = env::read(&inputs.environment);
    let (path, path_source) = match (&inputs.file, config_file) {
        (Some(path), _) => (Some(path.clone()), Source::Flag("--config".into())),
        (None, Some(path)) => (Some(path.into()), Source::Env(keys::CONFIG_ENV.into())),
        (None, None) => (None, Source::Default),
    };
    let file = path.as_deref().map(|path| read_config(path, path_source, inputs.read));
    let file = file.unwrap_or(File { is_toml: true, ..File::default() });
    let (from_flags, flag_mistakes) = read_flags(&inputs.flags);

    let mut draft = Draft::new();
    draft.mistakes.extend(file.mistakes);
    draft.apply_all(file.given, inputs.read);
    draft.mistakes.extend(env_mistakes);
    draft.apply_all(from_env, inputs.read);
    draft.mistakes.extend(flag_mistakes);
    draft.apply_all(from_flags, inputs.read);
    draft.take_routes(file.routes);
    // Where the file could not be read, its values would be called missing or be compared as defaults.
    if file.is_toml {
        checks::check(&mut draft, inputs.purpose);
    }
    draft.finish(path)
}

/// Reads a file from the disk, at most a mebibyte of UTF-8.
///
/// # Errors
///
/// What the operating system says, or `InvalidData` for a file that is too large or not UTF-8.
pub fn read_file(path: &Path) -> io::Result<Zeroizing<String>> {
    let mut bytes = Zeroizing::new(Vec::new());
    fs::File::open(path)?.take(FILE_BYTES + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > FILE_BYTES {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "larger than 1 MiB"));
    }
    let text = str::from_utf8(&bytes).map_err(|_| io::Error::new(io::ErrorKind::InvalidData, "not UTF-8"))?;
    Ok(Zeroizing::new(text.to_owned()))
}

fn read_config(path: &Path, source: Source, read: ReadFile<'_>) -> File {
    let shown = path.to_string_lossy();
    match read(path) {
        Ok(text) => file::read(&shown, &text),
        Err(error) => {
            let problem = format!("cannot read the configuration file \"{}\": {error}", cut(&shown));
            let mistakes = vec![Mistake { source, key: String::new(), problem }];
            File { mistakes, ..File::default() }
        }
    }
}

fn read_flags(flags: &[Flag]) -> (Vec<Given>, Vec<Mistake>) {
    let (mut given, mut mistakes) = (Vec::new(), Vec::new());
    for flag in flags {
        let source = Source::Flag(flag.name.clone());
        match keys::find(&flag.key) {
            Some((key, from_file)) => {
                given.push(Given { key, from_file, raw: Raw::loose(flag.value.as_str()), source });
            }
            None => mistakes.push(file::unknown_key(source, flag.key.clone())),
        }
    }
    (given, mistakes)
}

impl Draft {
    fn new() -> Self {
        let mut defaults = Config::default();
        let show = |key: &Key, config: &mut Config| match key.default {
            "" => Shown::Unset,
            default => key.field.apply(&Raw::loose(default), config).unwrap_or(Shown::Unset),
        };
        Self {
            shown: KEYS.iter().map(|key| (key.name, show(key, &mut defaults))).collect(),
            config: Config::default(),
            sources: BTreeMap::new(),
            broken: BTreeSet::new(),
            from_file: BTreeSet::new(),
            mistakes: Vec::new(),
            notes: Vec::new(),
            routes: Vec::new(),
        }
    }

    fn take_routes(&mut self, routes: Vec<RouteDraft>) {
        let tables: Vec<_> = routes.iter().map(RouteDraft::settings).collect();
        if let Some((first, _)) = tables.first() {
            self.sources.insert(keys::ROUTE, first.clone());
            self.shown.insert(keys::ROUTE, Shown::Tables(tables));
        }
        self.config.route = routes.iter().map(|route| route.config.clone()).collect();
        self.routes = routes;
    }

    /// Where the value in force comes from.
    pub(super) fn source(&self, key: &str) -> Source {
        self.sources.get(key).cloned().unwrap_or(Source::Default)
    }

    /// Whether somebody set the key.
    pub(super) fn is_set(&self, key: &str) -> bool {
        self.sources.contains_key(key)
    }

    /// Whether the value in force stands in a file that its source names.
    pub(super) fn is_from_file(&self, key: &str) -> bool {
        self.from_file.contains(key)
    }

    /// Whether the keys' values are what their sources meant, so that comparing them makes sense.
    pub(super) fn is_sound(&self, keys: &[&str]) -> bool {
        !keys.iter().any(|key| self.broken.contains(key))
    }

    /// Adds a mistake of the key's value in force.
    pub(super) fn blame(&mut self, key: &'static str, problem: impl Into<String>) {
        self.mistakes.push(Mistake { source: self.source(key), key: key.into(), problem: problem.into() });
    }

    /// Forgets what was said of a key without a default. Its place in the configuration is the caller's to clear.
    pub(super) fn forget(&mut self, key: &'static str) {
        self.sources.remove(key);
        self.shown.insert(key, Shown::Unset);
    }

    /// Replaces a default by one that goes with what somebody set elsewhere. It stays a default.
    pub(super) fn adapt_default(&mut self, key: &'static str, value: &str) {
        let (known, _) = keys::find(key).expect("a key that is compared is a key");
        if let Ok(shown) = known.field.apply(&Raw::loose(value), &mut self.config) {
            self.shown.insert(key, shown);
        }
    }

    /// Applies what one kind of source says: a key once, itself or by its file.
    fn apply_all(&mut self, given: Vec<Given>, read: ReadFile<'_>) {
        let mut said: BTreeMap<&str, (bool, Source)> = BTreeMap::new();
        for one in given {
            let name = one.key.name;
            match said.insert(name, (one.from_file, one.source.clone())) {
                Some((from_file, other)) => {
                    let problem = if from_file == one.from_file {
                        format!("was already set by {other}; set it once")
                    } else {
                        format!("set {name} or {name}_file, not both; the other one is {other}")
                    };
                    self.broken.insert(name);
                    self.mistakes.push(Mistake { source: one.source, key: name.into(), problem });
                }
                None => self.apply(&one, read),
            }
        }
    }

    fn apply(&mut self, given: &Given, read: ReadFile<'_>) {
        let key = given.key;
        let mut take = |raw: &Raw| {
            key.field.apply(raw, &mut self.config).map_err(|refusal| refusal.explain(&key.allowed(), !key.is_secret()))
        };
        let (name, applied) = if given.from_file {
            (format!("{}_file", key.name), open(&given.raw, key.field.is_list(), read).and_then(|raw| take(&raw)))
        } else {
            (key.name.to_owned(), take(&given.raw))
        };
        match applied {
            Ok(shown) => {
                self.broken.remove(key.name);
                self.from_file.remove(key.name);
                if given.from_file {
                    self.from_file.insert(key.name);
                }
                self.shown.insert(key.name, shown);
                self.sources.insert(key.name, given.source.clone());
            }
            Err(problem) => {
                self.broken.insert(key.name);
                self.mistakes.push(Mistake { source: given.source.clone(), key: name, problem });
            }
        }
    }

    fn finish(mut self, file: Option<PathBuf>) -> Result<Loaded, Mistakes> {
        if !self.mistakes.is_empty() {
            self.mistakes.sort_by_key(|mistake| match mistake.source {
                Source::File { line, .. } => line,
                _ => usize::MAX,
            });
            return Err(Mistakes(self.mistakes));
        }
        let settings = KEYS
            .iter()
            .map(|key| Setting {
                key: key.name,
                value: self.shown.remove(key.name).unwrap_or(Shown::Unset),
                source: self.source(key.name),
            })
            .collect();
        Ok(Loaded { config: self.config, settings, notes: self.notes, file })
    }
}

/// Reads the file that a `_file` key names. Its path is not repeated: it may be a secret in the wrong place.
fn open(path: &Raw, is_list: bool, read: ReadFile<'_>) -> Result<Raw, String> {
    let allowed = "the path of a file, with one value a line";
    let path = path.text().map_err(|refusal| refusal.explain(allowed, false))?;
    let text = read(Path::new(path)).map_err(|error| format!("cannot read the file: {error}; allowed: {allowed}"))?;
    if is_list {
        Ok(Raw::List(text.lines().map(|line| Zeroizing::new(line.to_owned())).collect()))
    } else {
        Ok(Raw::Loose(text))
    }
}
