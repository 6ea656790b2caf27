//! Routes beside each other, beside our own endpoints, and in front of ourselves.

use std::{collections::BTreeMap, net::SocketAddr};

use super::{
    super::{checks::reaches, login_page, upstream::Location},
    RouteAccess, RouteConfig,
    rules::RouteMistake,
};
use crate::routes::TABLE;

/// Answered by us with everything below it; in no row of the table.
const VERIFY: &str = "/auth/verify";

/// Adds what is wrong with the routes as a whole.
pub(super) fn check(routes: &[RouteConfig], listen: Option<SocketAddr>, found: &mut Vec<RouteMistake>) {
    same_prefixes(routes, found);
    for (number, route) in routes.iter().enumerate() {
        let mistakes = [endpoint(route), own_listener(route, listen), closed_login_page(route, routes)];
        found.extend(mistakes.into_iter().flatten().map(|mistake| RouteMistake { route: number, ..mistake }));
    }
}

fn mistake(keys: &'static [&'static str], problem: String, allowed: &'static str) -> RouteMistake {
    RouteMistake { route: 0, other: None, key: keys[0], problem, allowed, keys }
}

/// Two routes for the same requests, or for requests that differ in nothing but letter case.
fn same_prefixes(routes: &[RouteConfig], found: &mut Vec<RouteMistake>) {
    let mut earlier: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (number, route) in routes.iter().enumerate() {
        let group = earlier.entry(route.prefix.to_ascii_lowercase()).or_default();
        if let Some((other, problem, allowed)) =
            group.iter().find_map(|other| collision(route, &routes[*other], *other))
        {
            let problem = format!("\"{}\" {problem}", route.prefix);
            let mistake = mistake(&["prefix", "host"], problem, allowed);
            found.push(RouteMistake { route: number, other: Some(other), ..mistake });
        }
        group.push(number);
    }
}

/// Says of two routes, whose prefixes are the same but for letter case, why they cannot stand together.
fn collision(route: &RouteConfig, other: &RouteConfig, number: usize) -> Option<(usize, &'static str, &'static str)> {
    let shared = route.host.is_none() || other.host.is_none() || route.host == other.host;
    if route.prefix != other.prefix {
        let problem = "differs only in letter case from the prefix of another route";
        return shared.then_some((number, problem, "prefixes that differ in more"));
    }
    let problem = "is the prefix of another route for the same host";
    (route.host == other.host).then_some((number, problem, "one route for each host and prefix"))
}

/// Our endpoints win, in every letter case: a route at or below one would be dead, or look like it.
fn endpoint(route: &RouteConfig) -> Option<RouteMistake> {
    let prefix = route.prefix.to_ascii_lowercase();
    let mut endpoints = TABLE.iter().map(|row| row.path.trim_end_matches('/')).chain([VERIFY]);
    let endpoint = endpoints.find(|endpoint| covers(endpoint, &prefix))?;
    let place = if prefix == endpoint { "is" } else { "is below" };
    let problem = format!("\"{}\" {place} an endpoint of authproxy's own ({endpoint})", route.prefix);
    Some(mistake(&["prefix"], problem, "another prefix, or a shorter one, such as /"))
}

/// A request would be forwarded to itself until something gives way.
fn own_listener(route: &RouteConfig, listen: Option<SocketAddr>) -> Option<RouteMistake> {
    let Location::Origin(origin) = route.upstream.location() else { return None };
    let problem = "is the address that authproxy itself listens on".to_owned();
    listen
        .is_some_and(|listen| reaches(origin, listen))
        .then(|| mistake(&["upstream"], problem, "the resource server's address"))
}

/// A login page that asks for a session sends browsers round in circles.
fn closed_login_page(route: &RouteConfig, routes: &[RouteConfig]) -> Option<RouteMistake> {
    let page = login_page::path(route.login_page.as_deref()?)?;
    if TABLE.iter().any(|row| row.path == page) {
        return None;
    }
    let serves = |(_, other): &(usize, &RouteConfig)| {
        let host = other.host.is_none() || other.host == route.host;
        host && covers(&other.prefix, page)
    };
    let rank = |(_, other): &(usize, &RouteConfig)| (other.prefix.len(), other.host.is_some());
    let (number, answering) = routes.iter().enumerate().filter(serves).max_by_key(rank)?;
    if answering.access == RouteAccess::Public {
        return None;
    }
    let problem = format!("\"{page}\" is served by the route {}, which asks for a login itself", answering.prefix);
    let keys = &["login_page", "access", "prefix", "host"];
    Some(RouteMistake { other: Some(number), ..mistake(keys, problem, "a page of a route with access = \"public\"") })
}

/// Whether a path is a prefix or below it, by whole segments.
fn covers(prefix: &str, path: &str) -> bool {
    path.strip_prefix(prefix.trim_end_matches('/')).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}
