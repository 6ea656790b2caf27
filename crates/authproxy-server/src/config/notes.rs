//! What is allowed but perhaps not meant: a sentence each, for whoever reads the log.

use super::{
    Purpose, checks::is_exposed, load::Draft, mistake::Source, origin::BaseUrl, route::RouteAccess, upstream::Location,
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
    if draft.config.trusted_proxies.iter().any(|network| network.prefix_len() == 0) {
        draft.notes.push("trusted_proxies holds every address: anyone who connects is believed".into());
    }
    let tokens = &draft.config.tokens;
    if tokens.refresh_ttl < tokens.access_ttl {
        draft.notes.push(
            "tokens.refresh_ttl is shorter than tokens.access_ttl: sessions end before their first refresh".into(),
        );
    }
    for key in ["store.secrets", "store.url"] {
        if let Source::Flag(flag) = draft.source(key) {
            let note = format!(
                "{key} was set by {flag}, and every user of this machine can read a command line: use {key}_file"
            );
            draft.notes.push(note);
        }
    }
}

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
