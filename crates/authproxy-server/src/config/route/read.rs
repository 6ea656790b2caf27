//! One `[[route]]` of a file, read key by key, with the line of each.

use std::collections::{BTreeMap, BTreeSet};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::{
    super::{
        load::{Setting, Shown},
        mistake::{Mistake, Source, cut},
        raw::Raw,
        suggest::nearest,
        upstream::UpstreamUrl,
    },
    RouteConfig,
    keys::ROUTE_KEYS,
};

const REQUIRED: [&str; 2] = ["prefix", "upstream"];

/// A route while it is put together: what could be read, and where it was said.
pub(in crate::config) struct RouteDraft {
    /// With the defaults in place of what could not be read.
    pub(in crate::config) config: RouteConfig,
    start: Source,
    sources: BTreeMap<&'static str, Source>,
    shown: BTreeMap<&'static str, Shown>,
    broken: BTreeSet<&'static str>,
}

impl RouteDraft {
    /// Reads one entry; `at` tells the line of an offset. `None` when it is no route at all.
    pub(in crate::config) fn read(
        entry: &Spanned<DeValue<'_>>,
        at: &dyn Fn(usize) -> Source,
        mistakes: &mut Vec<Mistake>,
    ) -> Option<Self> {
        let start = at(entry.span().start);
        let DeValue::Table(table) = entry.get_ref() else {
            let problem = "the value is not a table; allowed: [[route]] tables".into();
            mistakes.push(Mistake { source: start, key: "route".into(), problem });
            return None;
        };
        let mut config = RouteConfig::new("", UpstreamUrl::nowhere());
        let show = |default: &'static str, read: &mut dyn FnMut(&Raw) -> Option<Shown>| match default {
            "" => Shown::Unset,
            default => read(&Raw::loose(default)).unwrap_or(Shown::Unset),
        };
        let shown = ROUTE_KEYS
            .iter()
            .map(|key| (key.name, show(key.default, &mut |raw| key.apply(raw, &mut config).ok())))
            .collect();
        let (sources, broken) = (BTreeMap::new(), BTreeSet::new());
        let mut draft = Self { config, start, sources, shown, broken };
        unknown_keys(table, at, mistakes);
        draft.apply_all(table, at, mistakes);
        Some(draft)
    }

    /// Where a key was said; where the route begins, when it was not.
    pub(in crate::config) fn source(&self, key: &str) -> Source {
        self.sources.get(key).unwrap_or(&self.start).clone()
    }

    /// Whether the keys' values are what the file meant, so that comparing them makes sense.
    pub(in crate::config) fn is_sound(&self, keys: &[&str]) -> bool {
        !keys.iter().any(|key| self.broken.contains(key))
    }

    /// Every key that has a value, in the order of [`ROUTE_KEYS`], below the line where the route begins.
    pub(in crate::config) fn settings(&self) -> (Source, Vec<Setting>) {
        let source = |key| self.sources.get(key).cloned().unwrap_or(Source::Default);
        let set = ROUTE_KEYS.iter().filter_map(|key| match &self.shown[key.name] {
            Shown::Unset => None,
            value => Some(Setting { key: key.name, value: value.clone(), source: source(key.name) }),
        });
        (self.start.clone(), set.collect())
    }

    fn apply_all(&mut self, table: &DeTable<'_>, at: &dyn Fn(usize) -> Source, mistakes: &mut Vec<Mistake>) {
        for key in ROUTE_KEYS {
            let Some((word, value)) = table.get_key_value(key.name) else {
                if REQUIRED.contains(&key.name) {
                    self.broken.insert(key.name);
                    let problem = format!("is required; allowed: {}", key.allowed());
                    mistakes.push(mistake(self.start.clone(), key.name, problem));
                }
                continue;
            };
            let source = at(word.span().start);
            self.sources.insert(key.name, source.clone());
            match key.apply(&Raw::from_toml(value.get_ref()), &mut self.config) {
                Ok(shown) => {
                    self.shown.insert(key.name, shown);
                }
                Err(refusal) => {
                    self.broken.insert(key.name);
                    mistakes.push(mistake(source, key.name, refusal.explain(&key.allowed(), true)));
                }
            }
        }
    }
}

fn unknown_keys(table: &DeTable<'_>, at: &dyn Fn(usize) -> Source, mistakes: &mut Vec<Mistake>) {
    let known = || ROUTE_KEYS.iter().map(|key| key.name);
    for word in table.keys().filter(|word| !known().any(|key| key == word.get_ref().as_ref())) {
        let problem = match nearest(word.get_ref(), known()) {
            Some(key) => format!("unknown key; did you mean route.{key}?"),
            None => format!("unknown key; allowed: {}", known().collect::<Vec<_>>().join(", ")),
        };
        mistakes.push(mistake(at(word.span().start), &cut(word.get_ref()), problem));
    }
}

fn mistake(source: Source, key: &str, problem: String) -> Mistake {
    Mistake { source, key: format!("route.{key}"), problem }
}
