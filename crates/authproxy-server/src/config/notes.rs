//! What is allowed but perhaps not meant: a sentence each, for whoever reads the log.

use super::{
    Purpose,
    checks::is_exposed,
    field::without_password,
    load::Draft,
    mistake::Source,
    origin::{BaseUrl, Origin},
    route::RouteAccess,
    upstream::Location,
};

/// Adds every note of the whole.
pub(super) fn notes(draft: &mut Draft, purpose: Purpose) {
    let url = draft.config.auth_url.as_deref().map(BaseUrl::parse);
    match (purpose, url) {
        (Purpose::Dev, Some(_)) => {
            let note = format!("auth_url (from {}) is not used by dev: use serve", draft.source("auth_url"));
            draft.notes.push(note);
        }
        (_, Some(Ok(url))) if is_exposed(&url.origin) => {
            let note = "auth_url is plain HTTP to another machine: passwords and tokens can be read on their way";
            draft.notes.push(note.into());
        }
        _ => {}
    }
    route_notes(draft);
    origin_notes(draft);
    if draft.config.trusted_proxies.iter().any(|network| network.prefix_len() == 0) {
        draft.notes.push("trusted_proxies holds every address: anyone who connects is believed".into());
    }
    let tokens = &draft.config.tokens;
    if tokens.refresh_ttl < tokens.access_ttl {
        draft.notes.push(
            "tokens.refresh_ttl is shorter than tokens.access_ttl: sessions end before their first refresh".into(),
        );
    }
    store_notes(draft);
}

/// On this machine two names are two sites, and the cookie is `SameSite=Lax`.
fn origin_notes(draft: &mut Draft) {
    let config = &draft.config;
    let public_url = config.public_url.clone().unwrap_or_else(|| config.default_public_url(config.listen));
    let Ok(public) = Origin::parse(&public_url) else { return };
    for text in config.allowed_origins.clone() {
        let Ok(origin) = Origin::parse(&text) else { continue };
        if origin.is_loopback() && public.is_loopback() && origin.ip() != public.ip() {
            draft.notes.push(format!(
                "allowed_origins: {text} is another site than public_url ({public_url}), so browsers send no cookie from \
                 its pages: use one host for both"
            ));
        }
    }
}

fn store_notes(draft: &mut Draft) {
    let url = &draft.config.store.url;
    let url_holds_secret = without_password(url) != *url;
    let is_readable = is_readable(url);
    for (key, holds_secret) in [("store.secrets", true), ("store.url", url_holds_secret)] {
        let Source::Flag(flag) = draft.source(key) else { continue };
        if holds_secret && !draft.is_from_file(key) {
            let note = format!(
                "{key} was set by {flag}, and every user of this machine can read a command line: use {key}_file"
            );
            draft.notes.push(note);
        }
    }
    if is_readable {
        let note = "store.url asks for no TLS to another machine: a password for Redis can be read on its way, and sessions \
                    be ended with it; tokens are sealed";
        draft.notes.push(note.into());
    }
}

/// Whether the URL of a store leads to another machine without TLS.
fn is_readable(url: &str) -> bool {
    let Some((scheme, rest)) = url.split_once("://") else { return false };
    if !STORES_WITHOUT_TLS.contains(&scheme) {
        return false;
    }
    let hosts = rest.rsplit_once('@').map_or(rest, |(_, hosts)| hosts);
    let hosts = hosts.split_once('/').map_or(hosts, |(hosts, _)| hosts);
    hosts.split(',').any(|host| !Origin::parse(&format!("http://{host}")).is_ok_and(|origin| origin.is_loopback()))
}

/// The schemes of a Redis that is reached by TCP alone.
const STORES_WITHOUT_TLS: [&str; 4] = ["redis", "redis-cluster", "redis-sentinel", "valkey"];

fn route_notes(draft: &mut Draft) {
    for (route, from) in draft.config.route.iter().zip(&draft.routes) {
        let Location::Origin(origin) = route.upstream.location() else { continue };
        if route.access != RouteAccess::Public && is_exposed(origin) {
            draft.notes.push(format!(
                "route.upstream ({}) is plain HTTP to another machine: tokens can be read on their way",
                from.source("upstream")
            ));
        }
    }
}
