//! Which `[[route]]` a request belongs to, and which path its upstream gets. Pure.

use std::borrow::Cow;

use super::path::{self, Ambiguous};
use crate::config::RouteConfig;

/// Finds the route of a path: the longest prefix wins, and of two routes with one prefix the one that names the host.
#[derive(Debug)]
pub(crate) struct Table {
    /// The longest prefix first; `place` is the route's place in the configuration.
    rows: Vec<Row>,
}

#[derive(Debug)]
struct Row {
    prefix: String,
    host: Option<String>,
    place: usize,
}

impl Table {
    pub(crate) fn new(routes: &[RouteConfig]) -> Self {
        let row = |(place, route): (usize, &RouteConfig)| Row {
            prefix: route.prefix.trim_end_matches('/').to_owned(),
            host: route.host.clone(),
            place,
        };
        let mut rows: Vec<_> = routes.iter().enumerate().map(row).collect();
        rows.sort_by_key(|row| (std::cmp::Reverse(row.prefix.len()), row.host.is_none()));
        Self { rows }
    }

    /// The route's place in the configuration; `None` when there is none.
    ///
    /// # Errors
    ///
    /// [`Ambiguous`] when a more lenient reader than this one would find another route.
    pub(crate) fn find(&self, host: &str, canonical: &str) -> Result<Option<usize>, Ambiguous> {
        let Some(row) = self.rows.iter().find(|row| row.serves(host, canonical, str::eq)) else { return Ok(None) };
        let lenient = path::lenient(canonical);
        let lenient_row = self.rows.iter().find(|row| row.serves(host, &lenient, str::eq_ignore_ascii_case));
        match lenient_row {
            Some(same) if same.place == row.place => Ok(Some(row.place)),
            _ => Err(Ambiguous),
        }
    }
}

impl Row {
    fn serves(&self, host: &str, path: &str, same: fn(&str, &str) -> bool) -> bool {
        let below = path.get(..self.prefix.len()).is_some_and(|front| same(front, &self.prefix));
        let ends_there = matches!(path.as_bytes().get(self.prefix.len()), None | Some(b'/'));
        below && ends_there && self.host.as_deref().is_none_or(|own| own.eq_ignore_ascii_case(host))
    }
}

/// The path that the upstream gets for a canonical path of this route.
///
/// # Errors
///
/// [`Ambiguous`] when it would begin with two slashes, which some take for a host.
pub(crate) fn rewrite<'a>(route: &RouteConfig, canonical: &'a str) -> Result<Cow<'a, str>, Ambiguous> {
    let base = route.upstream.path();
    let keeps_prefix = route.rewrite_prefix.is_none() && !route.strip_prefix;
    let rewritten = if keeps_prefix && base.is_empty() {
        Cow::Borrowed(canonical)
    } else {
        let (prefix, rest) = canonical.split_at(route.prefix.trim_end_matches('/').len());
        let front = if keeps_prefix { prefix } else { route.rewrite_prefix.as_deref().unwrap_or_default() };
        let whole = format!("{base}{}{rest}", front.trim_end_matches('/'));
        Cow::Owned(if whole.is_empty() { "/".to_owned() } else { whole })
    };
    let names_host = ["//", "/%2F", "/%5C"].iter().any(|front| rewritten.starts_with(front));
    if names_host { Err(Ambiguous) } else { Ok(rewritten) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(prefix: &str, host: Option<&str>) -> RouteConfig {
        let mut route = RouteConfig::new(prefix, "http://127.0.0.1:9".parse().expect("an upstream"));
        route.host = host.map(str::to_owned);
        route
    }

    #[test]
    fn the_longest_prefix_wins_and_then_the_host() {
        let routes =
            [route("/", None), route("/api", None), route("/api/admin", None), route("/api", Some("b.example"))];
        let table = Table::new(&routes);
        for (host, path, expected) in [
            ("a.example", "/", 0),
            ("a.example", "/apis", 0),
            ("a.example", "/api", 1),
            ("a.example", "/api/", 1),
            ("a.example", "/api/users", 1),
            ("a.example", "/api/admin/x", 2),
            ("b.example", "/api/users", 3),
            ("B.Example", "/api/users", 3),
            ("b.example", "/api/admin", 2),
            ("b.example", "/", 0),
        ] {
            assert_eq!(table.find(host, path), Ok(Some(expected)), "{host} {path}");
        }
        assert_eq!(Table::new(&[route("/api", None)]).find("a", "/"), Ok(None));
    }

    #[test]
    fn there_is_no_way_round_a_prefix() {
        let table = Table::new(&[route("/", None), route("/api/admin", None)]);
        for path in [
            "//api/admin",
            "/api//admin",
            "/API/admin",
            "/api/Admin/x",
            "/api%2Fadmin",
            "/api%5Cadmin",
            "/api;x/admin",
            "/api/admin;x",
            "/api/%2561dmin",
        ] {
            let canonical = path::canonical(path).expect(path);
            assert_eq!(table.find("a", &canonical), Err(Ambiguous), "{path}");
        }
        for path in ["/files/a%2Fb", "/a//b", "/Files", "/a;x/b"] {
            assert_eq!(table.find("a", &path::canonical(path).expect(path)), Ok(Some(0)), "{path}");
        }
    }

    #[test]
    fn the_upstream_gets_the_path_that_was_configured() {
        let mut kept = route("/api", None);
        let mut stripped = route("/api", None);
        stripped.strip_prefix = true;
        let mut renamed = route("/api", None);
        renamed.rewrite_prefix = Some("/v2".into());
        for (path, as_is, without, other) in
            [("/api", "/api", "/", "/v2"), ("/api/", "/api/", "/", "/v2/"), ("/api/a/b", "/api/a/b", "/a/b", "/v2/a/b")]
        {
            assert_eq!(rewrite(&kept, path).as_deref(), Ok(as_is));
            assert_eq!(rewrite(&stripped, path).as_deref(), Ok(without));
            assert_eq!(rewrite(&renamed, path).as_deref(), Ok(other));
        }
        kept.upstream = "http://127.0.0.1:9/base/".parse().expect("an upstream");
        stripped.upstream = kept.upstream.clone();
        assert_eq!(rewrite(&kept, "/api/a").as_deref(), Ok("/base/api/a"));
        assert_eq!(rewrite(&stripped, "/api/a").as_deref(), Ok("/base/a"));
        assert_eq!(rewrite(&stripped, "/api").as_deref(), Ok("/base"));
        let mut root = route("/", None);
        root.rewrite_prefix = Some("/".into());
        assert_eq!(rewrite(&root, "/a").as_deref(), Ok("/a"));
    }

    #[test]
    fn no_rewritten_path_begins_with_a_host() {
        let mut stripped = route("/api", None);
        stripped.strip_prefix = true;
        assert_eq!(rewrite(&stripped, "/api//evil.example/"), Err(Ambiguous));
        assert_eq!(rewrite(&stripped, "/api/%2Fevil.example/"), Err(Ambiguous));
        assert_eq!(rewrite(&route("/", None), "//evil.example/"), Err(Ambiguous));
    }
}
