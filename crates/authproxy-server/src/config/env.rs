//! The environment's part of the configuration: `AUTHPROXY_*` and the seed's `AUTH_URL`.

use std::{
    collections::BTreeMap,
    ffi::{OsStr, OsString},
};

use super::{
    keys::{self, AUTH_URL_ENV, CONFIG_ENV, ENV_PREFIX, KEYS},
    load::Given,
    mistake::{Mistake, Source},
    raw::Raw,
    suggest::nearest,
};

/// What the environment says, by name.
#[derive(Default)]
pub(super) struct Environment {
    pub(super) given: Vec<Given>,
    pub(super) mistakes: Vec<Mistake>,
    /// `AUTHPROXY_CONFIG`.
    pub(super) config_file: Option<OsString>,
}

/// Picks what is meant for authproxy out of an environment.
pub(super) fn read(variables: &[(OsString, OsString)]) -> Environment {
    // By name, so that errors come in the same order every time.
    let variables: BTreeMap<_, _> = variables
        .iter()
        .filter_map(|(name, value)| Some((name.to_str()?, value.as_os_str())))
        .filter(|(name, value)| name.starts_with(ENV_PREFIX) && !is_service_link(name, value))
        .chain(auth_url(variables))
        .collect();
    let mut environment = Environment::default();
    for (name, value) in variables {
        let source = Source::Env(name.to_owned());
        if name == CONFIG_ENV {
            environment.config_file = Some(value.to_owned());
            continue;
        }
        let Some((key, from_file)) = key_of(name) else {
            environment.mistakes.push(unknown_variable(name));
            continue;
        };
        match value.to_str() {
            Some(text) => environment.given.push(Given { key, from_file, raw: Raw::loose(text), source }),
            None => environment.mistakes.push(Mistake {
                source,
                key: key.name.into(),
                problem: format!("the value is not UTF-8; allowed: {}", key.allowed()),
            }),
        }
    }
    environment
}

/// The seed's variable, unless our own says the same.
fn auth_url(variables: &[(OsString, OsString)]) -> Option<(&str, &OsStr)> {
    let ours = format!("{ENV_PREFIX}{AUTH_URL_ENV}");
    let find = |wanted: &str| variables.iter().rfind(|(name, _)| name == wanted);
    match (find(&ours), find(AUTH_URL_ENV)) {
        (None, Some((_, value))) => Some((AUTH_URL_ENV, value)),
        _ => None,
    }
}

fn key_of(variable: &str) -> Option<(&'static keys::Key, bool)> {
    if variable == AUTH_URL_ENV {
        return keys::find("auth_url");
    }
    let name = variable.strip_prefix(ENV_PREFIX)?;
    // Two spellings must not set one key: only capitals are looked up.
    (name == name.to_ascii_uppercase()).then(|| keys::find(&name.replace("__", ".").to_ascii_lowercase()))?
}

fn unknown_variable(variable: &str) -> Mistake {
    let name = variable.strip_prefix(ENV_PREFIX).unwrap_or(variable).replace("__", ".").to_ascii_lowercase();
    let known = keys::names();
    let suggestion = nearest(&name, known.iter().map(String::as_str).chain(["config"]));
    let problem = match suggestion {
        Some(key) => {
            let variable = key.replace('.', "__").to_ascii_uppercase();
            format!("unknown variable; did you mean {ENV_PREFIX}{variable}?")
        }
        None => format!("unknown variable; those of authproxy are {ENV_PREFIX}<KEY>, with __ for a dot"),
    };
    Mistake { source: Source::Env(variable.to_owned()), key: String::new(), problem }
}

/// Whether Kubernetes put the variable there: in every pod, for every service whose name begins with "authproxy".
///
/// Without this exception a deployment would refuse to start as soon as somebody gives its service the obvious name.
fn is_service_link(name: &str, value: &OsStr) -> bool {
    let value = value.to_str().unwrap_or_default();
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let is_link = ["tcp://", "udp://", "sctp://"].iter().any(|scheme| value.starts_with(scheme));
    if KEYS.iter().any(|key| key.env_name() == name) {
        return false;
    }
    if name.ends_with("_SERVICE_HOST") {
        return value.parse::<std::net::IpAddr>().is_ok();
    }
    if name.contains("_SERVICE_PORT") {
        return is_number(value);
    }
    let of_one_port = name.rsplit_once("_PORT_").is_some_and(|(_, rest)| {
        let mut words = rest.split('_');
        words.next().is_some_and(is_number) && words.next().is_some_and(|p| matches!(p, "TCP" | "UDP" | "SCTP"))
    });
    let of_port_part = ["_PROTO", "_PORT", "_ADDR"].iter().any(|end| name.ends_with(end));
    name.ends_with("_PORT") && is_link || of_one_port && (is_link || of_port_part)
}
