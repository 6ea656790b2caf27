//! What must fit together: rules that need more than one key, or that say what this version cannot do.

use std::{net::SocketAddr, time::Duration};

use super::{
    Config, Durability, Purpose, duration,
    load::Draft,
    mistake::{Mistake, Source},
    notes::notes,
    origin::{BaseUrl, Origin},
    route::rules::check_routes,
};

/// Adds every mistake and every note of the whole.
pub(super) fn check(draft: &mut Draft, purpose: Purpose) {
    if purpose == Purpose::Dev {
        dev_public_url(draft);
    }
    listeners(draft);
    auth_url(draft, purpose);
    public_url(draft, purpose);
    allowed_origins(draft);
    tls(draft);
    store(draft);
    timeouts(draft);
    if purpose == Purpose::Dev {
        issued_lifetimes(draft);
    }
    routes(draft);
    notes(draft, purpose);
}

fn listeners(draft: &mut Draft) {
    let Some(admin) = draft.config.admin.listen else { return };
    if draft.is_sound(&["listen", "admin.listen"]) && overlap(draft.config.listen, admin) {
        draft.blame("admin.listen", "is the same address as listen; allowed: another address or port");
    }
    draft.blame("admin.listen", "the admin listener is not available in this version; allowed: off");
}

/// Whether two listeners would get in each other's way.
fn overlap(a: SocketAddr, b: SocketAddr) -> bool {
    let same_host = a.ip() == b.ip() || a.ip().is_unspecified() || b.ip().is_unspecified();
    a.port() == b.port() && a.port() != 0 && same_host
}

fn auth_url(draft: &mut Draft, purpose: Purpose) {
    if !draft.is_sound(&["auth_url"]) {
        return;
    }
    match draft.config.auth_url.as_deref().map(BaseUrl::parse) {
        Some(Ok(url)) => {
            let is_own = reaches(&url.origin, draft.config.listen) && draft.is_sound(&["listen"]);
            if purpose == Purpose::Serve && is_own {
                let problem = "is the address that authproxy itself listens on; allowed: the auth service's address";
                draft.blame("auth_url", problem);
            }
        }
        None if purpose == Purpose::Serve => {
            let problem = "is required by `authproxy serve`; set AUTH_URL, or --auth-url, or auth_url in the file \
                           (`authproxy dev` needs none)";
            draft.blame("auth_url", problem);
        }
        _ => {}
    }
}

/// Whether a request to the origin would come to a listener of this machine.
pub(super) fn reaches(origin: &Origin, listen: SocketAddr) -> bool {
    let same_host = match origin.ip() {
        Some(ip) if ip == listen.ip() => true,
        // A connection to the unspecified address comes to this machine.
        Some(ip) if ip.is_unspecified() => listen.ip().is_loopback() || listen.ip().is_unspecified(),
        Some(ip) => ip.is_loopback() && listen.ip().is_unspecified(),
        None => origin.is_loopback() && (listen.ip().is_loopback() || listen.ip().is_unspecified()),
    };
    same_host && origin.port() == listen.port()
}

/// Leaves out the origin of the machine that the configuration is for: `dev` says where it is reached, and whoever pastes
/// its lines would send a password there. On dev's own command line the origin is meant, and where dev listens for other
/// machines it may be.
fn dev_public_url(draft: &mut Draft) {
    let source = draft.source("public_url");
    if matches!(source, Source::Flag(_)) || !draft.is_sound(&["public_url", "listen"]) {
        return;
    }
    let listen = draft.config.listen;
    let Some(Ok(origin)) = draft.config.public_url.as_deref().map(Origin::parse) else { return };
    if origin.is_loopback() || !listen.ip().is_loopback() {
        return;
    }
    draft.config.public_url = None;
    draft.forget("public_url");
    draft.notes.push(format!(
        "public_url (from {source}) is not used by dev, which is reached at the address of listen: --public-url sets another"
    ));
}

fn public_url(draft: &mut Draft, purpose: Purpose) {
    if !draft.is_sound(&["public_url", "listen", "allow_insecure_http", "tls.cert"]) {
        return;
    }
    let Config { listen, allow_insecure_http, .. } = draft.config;
    let has_tls = draft.config.tls.cert.is_some();
    match draft.config.public_url.as_deref().map(Origin::parse) {
        Some(Ok(origin)) if has_tls && !origin.is_https() => {
            draft.blame("public_url", "is plain HTTP, and tls.cert is set; allowed: an https origin");
        }
        Some(Ok(origin)) if is_exposed(&origin) && !allow_insecure_http => {
            draft.blame("public_url", INSECURE);
        }
        Some(_) => {}
        None if listen.ip().is_loopback() || purpose == Purpose::Inspect => {}
        None if (allow_insecure_http || has_tls) && !listen.ip().is_unspecified() => {}
        None => {
            let problem = format!(
                "is required when listen ({listen}) is not a loopback address; allowed: the origin under which \
                 browsers reach it, such as https://app.example.com"
            );
            draft.blame("public_url", problem);
        }
    }
}

const INSECURE: &str = "is plain HTTP to another machine, where the session cookie can be read on its way; allowed: \
                        https, or a loopback host, or anything with allow_insecure_http = true";

/// Whether requests to the origin can be read on their way.
pub(super) fn is_exposed(origin: &Origin) -> bool {
    !origin.is_https() && !origin.is_loopback()
}

fn allowed_origins(draft: &mut Draft) {
    if draft.config.allow_insecure_http || !draft.is_sound(&["allowed_origins", "allow_insecure_http"]) {
        return;
    }
    for text in draft.config.allowed_origins.clone() {
        if Origin::parse(&text).is_ok_and(|origin| is_exposed(&origin)) {
            let problem = format!(
                "\"{text}\" is plain HTTP to another machine, whose pages anyone on the way can replace; allowed: \
                 https, or a loopback host, or anything with allow_insecure_http = true"
            );
            draft.blame("allowed_origins", problem);
        }
    }
}

fn store(draft: &mut Draft) {
    if !draft.is_sound(&["store.url"]) {
        return;
    }
    if draft.config.store.is_memory() {
        if draft.config.store.durability == Durability::Replica {
            draft.blame("store.durability", "\"replica\" needs a store in Redis; allowed with memory: async");
        }
    } else if draft.config.store.secrets.is_empty() && draft.is_sound(&["store.secrets"]) {
        let problem = "is required with a store in Redis; allowed: one or more secrets of at least 32 characters \
                       each, best in a file that store.secrets_file or AUTHPROXY_STORE__SECRETS_FILE names";
        draft.blame("store.secrets", problem);
    }
    store_tls(draft);
    let config = &draft.config.store;
    let (near, stale) = (config.near_ttl, config.stale_max);
    not_longer(draft, ("store.near_ttl", near), ("store.stale_max", stale), "a copy would outlive its limit");
}

fn store_tls(draft: &mut Draft) {
    let speaks_tls = STORES_WITH_TLS.iter().any(|scheme| draft.config.store.url.starts_with(scheme));
    let tls = &draft.config.store.tls;
    let (cert, key) = (tls.cert.is_some(), tls.key.is_some());
    for (name, is_set) in [("store.tls.ca", tls.ca.is_some()), ("store.tls.cert", cert), ("store.tls.key", key)] {
        if is_set && !speaks_tls {
            draft.blame(name, NO_TLS);
        }
    }
    match (cert, key) {
        (true, false) if draft.is_sound(&["store.tls.key"]) => {
            draft.blame("store.tls.cert", "is set without store.tls.key; allowed: both, or none");
        }
        (false, true) if draft.is_sound(&["store.tls.cert"]) => {
            draft.blame("store.tls.key", "is set without store.tls.cert; allowed: both, or none");
        }
        _ => {}
    }
}

const NO_TLS: &str = "has no use with this store.url, which asks for no TLS; allowed with rediss://, \
                      rediss-cluster:// or rediss-sentinel://";

/// What begins the URL of a Redis that speaks TLS.
const STORES_WITH_TLS: [&str; 4] = ["rediss://", "rediss-cluster://", "rediss-sentinel://", "valkeys://"];

fn timeouts(draft: &mut Draft) {
    let request = ("limits.request_timeout", draft.config.limits.request_timeout);
    let call = ("backend.timeout", draft.config.backend.timeout);
    not_longer(draft, call, request, "a login could be answered as failed after the auth service accepted it");
    let call = ("backend.timeout", draft.config.backend.timeout); // which may have given way
    let connect = ("backend.connect_timeout", draft.config.backend.connect_timeout);
    not_longer(draft, connect, call, "connecting is part of the call");
    let longest = ("session.max_lifetime", draft.config.session.max_lifetime);
    if let Some(idle) = draft.config.session.idle_timeout {
        not_longer(draft, ("session.idle_timeout", idle), longest, "it would never apply");
    }
}

/// Holds the first of two durations against the second, its limit. One that somebody set is blamed when it is longer;
/// a default gives way.
fn not_longer(draft: &mut Draft, it: (&'static str, Duration), limit: (&'static str, Duration), why: &str) {
    if it.1 <= limit.1 || !draft.is_sound(&[it.0, limit.0]) {
        return;
    }
    let (text, allowed) = (duration::format(it.1), duration::format(limit.1));
    if draft.is_set(it.0) {
        let problem = format!("{text} is longer than {} ({allowed}): {why}; allowed: at most {allowed}", limit.0);
        draft.blame(it.0, problem);
    } else {
        draft.adapt_default(it.0, &allowed);
    }
}

/// The embedded service says `expires_in`, which counts whole seconds (RFC 6749, section 5.1): less would be none.
fn issued_lifetimes(draft: &mut Draft) {
    let tokens = &draft.config.tokens;
    let lifetimes = [("tokens.access_ttl", tokens.access_ttl), ("tokens.refresh_ttl", tokens.refresh_ttl)];
    for (key, ttl) in lifetimes {
        if ttl < Duration::from_secs(1) && draft.is_sound(&[key]) {
            draft.blame(key, "is less than `authproxy dev` can issue; allowed: at least 1s");
        }
    }
}

fn routes(draft: &mut Draft) {
    let listen = draft.is_sound(&["listen"]).then_some(draft.config.listen);
    let Err(found) = check_routes(&draft.config.route, listen) else { return };
    let routes = &draft.routes;
    for mistake in found.iter() {
        let mut numbers = [Some(mistake.route), mistake.other].into_iter().flatten();
        if !numbers.all(|number| routes[number].is_sound(mistake.keys)) {
            continue;
        }
        let other = mistake.other.map(|other| format!(" ({})", routes[other].source(mistake.key))).unwrap_or_default();
        draft.mistakes.push(Mistake {
            source: routes[mistake.route].source(mistake.key),
            key: format!("route.{}", mistake.key),
            problem: format!("{}{other}; allowed: {}", mistake.problem, mistake.allowed),
        });
    }
}

fn tls(draft: &mut Draft) {
    match (&draft.config.tls.cert, &draft.config.tls.key) {
        (Some(_), None) if draft.is_sound(&["tls.key"]) => {
            draft.blame("tls.cert", "is set without tls.key; allowed: both, or none for plain HTTP");
        }
        (None, Some(_)) if draft.is_sound(&["tls.cert"]) => {
            draft.blame("tls.key", "is set without tls.cert; allowed: both, or none for plain HTTP");
        }
        _ => {}
    }
}
