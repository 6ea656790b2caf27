//! How each kind of key is read: one check, one place in [`Config`], one form in which it is shown.

use std::{borrow::Cow, fmt::Write as _, net::SocketAddr, ops::RangeInclusive, path::PathBuf, time::Duration};

use authproxy_core::{backend::RotationContract, store::RedisStore};
use ipnet::IpNet;
use zeroize::Zeroizing;

use super::{
    Config, MEMORY, duration,
    load::Shown,
    login_page,
    mistake::Refusal,
    networks,
    origin::{BaseUrl, Origin},
    raw::Raw,
    size,
};

/// A place in the configuration, or in one of its routes.
pub(super) type At<C, T> = fn(&mut C) -> &mut T;
type Milliseconds = RangeInclusive<u64>;
/// A word, and what it sets.
type Word<C> = (&'static str, fn(&mut C));

/// The shortest secret that may seal what a store holds, in characters.
const SECRET_CHARS: usize = 32;
/// More secrets than any rotation needs; each costs an attempt to open a record.
const MOST_SECRETS: usize = 16;
/// How long an auth service may accept a spent refresh token again.
const GRACE: Milliseconds = 1..=3_600_000;

/// What names a store.
const STORE_URLS: &str = "memory:, redis://host:port, redis-cluster://host:port,host:port, \
                          redis-sentinel://host:port,host:port/name (each with TLS as rediss), or redis+unix:///path";

/// A kind of key and its place.
pub(super) enum Field<C: 'static = Config> {
    Address(At<C, SocketAddr>),
    AddressOrOff(At<C, Option<SocketAddr>>),
    BaseUrl(At<C, Option<String>>),
    Origin(At<C, Option<String>>),
    Origins(At<C, Vec<String>>),
    Networks(At<C, Vec<IpNet>>),
    LoginPage(At<C, Option<String>>),
    File(At<C, Option<PathBuf>>),
    Switch(At<C, bool>),
    OneOf(&'static [Word<C>]),
    Duration(Milliseconds, At<C, Duration>),
    DurationOrOff(Milliseconds, At<C, Option<Duration>>),
    Count(RangeInclusive<usize>, At<C, usize>),
    Size(RangeInclusive<u64>, At<C, u64>),
    StoreUrl(At<C, String>),
    Secrets(At<C, Vec<Zeroizing<String>>>),
    Rotation(At<C, RotationContract>),
    Routes,
}

impl<C> Field<C> {
    /// Reads a value into the configuration, which stays as it was when the value is refused.
    pub(super) fn apply(&self, raw: &Raw, config: &mut C) -> Result<Shown, Refusal> {
        Ok(match self {
            Self::Address(at) => put(at(config), address(raw.text()?)?, |a| quoted(&a.to_string())),
            Self::AddressOrOff(at) => match raw.text()? {
                "off" => put(at(config), None, |_| quoted("off")),
                text => put(at(config), Some(address(text)?), |_| quoted(text)),
            },
            Self::BaseUrl(at) => {
                let text = raw.text()?;
                let url = BaseUrl::parse(text).map_err(|reason| Refusal::of_url(text, reason))?.to_string();
                put(at(config), Some(url.clone()), |_| quoted(&url))
            }
            Self::Origin(at) => {
                let origin = origin(raw.text()?)?;
                put(at(config), Some(origin.clone()), |_| quoted(&origin))
            }
            Self::Origins(at) => put(at(config), origins(raw)?, |list| quoted_list(list)),
            Self::Networks(at) => put(at(config), networks::parse(raw)?, |list| quoted_list(list)),
            Self::LoginPage(at) => {
                let text = raw.text()?;
                login_page::check(text).map_err(|reason| Refusal::of_url(text, reason))?;
                put(at(config), Some(text.to_owned()), |_| quoted(text))
            }
            Self::File(at) => {
                let text = file(raw.text()?)?;
                put(at(config), Some(text.into()), |_| quoted(text))
            }
            Self::Switch(at) => put(at(config), raw.switch()?, |on| Shown::Toml(on.to_string())),
            Self::OneOf(words) => {
                let text = raw.text()?;
                let (word, set) = words
                    .iter()
                    .find(|(word, _)| *word == text)
                    .ok_or_else(|| Refusal::of(text, "is none of the known words"))?;
                set(config);
                quoted(word)
            }
            // Shown as it was written: whoever wrote 90m looks for 90m.
            Self::Duration(range, at) => {
                let text = raw.text()?;
                put(at(config), duration_in(text, range)?, |_| quoted(text))
            }
            Self::DurationOrOff(range, at) => {
                let text = raw.text()?;
                let off = text == "off" || duration::parse(text) == Ok(Duration::ZERO);
                let value = if off { None } else { Some(duration_in(text, range)?) };
                put(at(config), value, |_| quoted(text))
            }
            Self::Count(range, at) => put(at(config), count(raw, range)?, |n| Shown::Toml(n.to_string())),
            Self::Size(range, at) => put(at(config), size::read(raw, range)?, |bytes| quoted(&size::format(*bytes))),
            Self::StoreUrl(at) => put(at(config), store_url(raw)?, |url| quoted(&without_password(url))),
            Self::Secrets(at) => put(at(config), secrets(raw)?, |_| Shown::Masked),
            Self::Rotation(at) => put(at(config), rotation(raw)?, |contract| quoted(&show_rotation(*contract))),
            Self::Routes => return Err(Refusal::unseen("can only be written in the configuration file")),
        })
    }

    /// What the key takes, for errors and for the documentation.
    pub(super) fn allowed(&self) -> String {
        let address = "an IP address and a port, such as 127.0.0.1:8000";
        match self {
            Self::Address(_) => address.into(),
            Self::AddressOrOff(_) => format!("off, or {address}"),
            Self::BaseUrl(_) => "an http or https URL, such as https://auth.example.com".into(),
            Self::Origin(_) => "a scheme, a host and maybe a port, such as https://app.example.com".into(),
            Self::Origins(_) => "a list of origins, such as https://app.example.com".into(),
            Self::Networks(_) => networks::ALLOWED.into(),
            Self::LoginPage(_) => login_page::ALLOWED.into(),
            Self::File(_) => "the path of a file".into(),
            Self::Switch(_) => "true or false".into(),
            Self::OneOf(words) => alternatives(words),
            Self::Duration(range, _) => allowed_duration(range),
            Self::DurationOrOff(range, _) => format!("off, or {}", allowed_duration(range)),
            Self::Count(range, _) => format!("a whole number from {} to {}", range.start(), range.end()),
            Self::Size(range, _) => size::allowed(range),
            Self::StoreUrl(_) => STORE_URLS.into(),
            Self::Secrets(_) => format!("1 to {MOST_SECRETS} secrets of at least {SECRET_CHARS} characters each"),
            Self::Rotation(_) => "strict, grace:<duration up to 1h>, reusable or idempotent".into(),
            Self::Routes => "[[route]] tables".into(),
        }
    }

    /// Whether a value may be or hold a secret: it is never repeated, and a file can hold it.
    pub(super) fn is_secret(&self) -> bool {
        matches!(self, Self::StoreUrl(_) | Self::Secrets(_))
    }

    /// Whether a file that holds the value has one item a line.
    pub(super) fn is_list(&self) -> bool {
        matches!(self, Self::Origins(_) | Self::Networks(_) | Self::Secrets(_))
    }
}

/// A URL as it may be shown: what stands between `//` and `@` is hidden, and a query with more than a database.
pub(super) fn without_password(url: &str) -> String {
    let shown = match url.split_once("://").map(|(scheme, rest)| (scheme, rest.rsplit_once('@'))) {
        Some((scheme, Some((_, host)))) => format!("{scheme}://***@{host}"),
        _ => url.to_owned(),
    };
    match shown.split_once('?') {
        Some((before, query)) if query.contains('&') || !query.starts_with("db=") => format!("{before}?***"),
        _ => shown,
    }
}

/// A text as TOML writes it (a basic string).
pub(super) fn toml_string(text: &str) -> String {
    let mut quoted = String::from("\"");
    for c in text.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            c if c.is_control() => {
                let _ = write!(quoted, "\\u{:04x}", u32::from(c)); // a String takes every write
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

/// A text, to be shown.
pub(super) fn quoted(text: &str) -> Shown {
    Shown::Toml(toml_string(text))
}

/// A list of texts, to be shown.
pub(super) fn quoted_list<T: ToString>(list: &[T]) -> Shown {
    let items: Vec<_> = list.iter().map(|item| toml_string(&item.to_string())).collect();
    Shown::Toml(format!("[{}]", items.join(", ")))
}

fn duration_in(text: &str, range: &Milliseconds) -> Result<Duration, Refusal> {
    let duration = duration::parse(text).map_err(|reason| Refusal::of(text, reason))?;
    if range.contains(&u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)) {
        Ok(duration)
    } else {
        Err(Refusal::of(text, "is out of range"))
    }
}

fn allowed_duration(range: &Milliseconds) -> String {
    let show = |millis: u64| duration::format(Duration::from_millis(millis));
    format!("a duration from {} to {}, written like 500ms, 2m or 1h30m", show(*range.start()), show(*range.end()))
}

/// Puts a value in its place and shows it.
pub(super) fn put<T>(place: &mut T, value: T, show: impl FnOnce(&T) -> Shown) -> Shown {
    *place = value;
    show(place)
}

fn alternatives<C>(words: &[Word<C>]) -> String {
    let mut text = String::new();
    for (n, (word, _)) in words.iter().enumerate() {
        let separator = match words.len() - n {
            _ if n == 0 => "",
            1 => " or ",
            _ => ", ",
        };
        let _ = write!(text, "{separator}{word}"); // a String takes every write
    }
    text
}

fn address(text: &str) -> Result<SocketAddr, Refusal> {
    text.parse().map_err(|_| Refusal::of(text, "is not an IP address and a port"))
}

fn origin(text: &str) -> Result<String, Refusal> {
    Origin::parse(text).map(|origin| origin.to_string()).map_err(|reason| Refusal::of_url(text, reason))
}

fn origins(raw: &Raw) -> Result<Vec<String>, Refusal> {
    let mut list = raw.items()?.into_iter().map(origin).collect::<Result<Vec<_>, _>>()?;
    list.sort_unstable();
    list.dedup();
    Ok(list)
}

fn file(text: &str) -> Result<&str, Refusal> {
    // No system takes it, and what the system says about it would not name the key.
    if text.contains('\0') { Err(Refusal::of(text, "is not a path")) } else { Ok(text) }
}

fn count(raw: &Raw, range: &RangeInclusive<usize>) -> Result<usize, Refusal> {
    let digits = raw.digits()?;
    if digits.trim_start_matches('-').bytes().any(|b| !b.is_ascii_digit()) {
        return Err(Refusal::of(digits, "is not a whole number"));
    }
    digits.parse().ok().filter(|number| range.contains(number)).ok_or_else(|| Refusal::of(digits, "is out of range"))
}

fn store_url(raw: &Raw) -> Result<String, Refusal> {
    let text = raw.text()?;
    if text != MEMORY {
        RedisStore::check_url(text).map_err(|error| Refusal::unseen(format!("is not usable: {error}")))?;
    }
    Ok(text.to_owned())
}

fn secrets(raw: &Raw) -> Result<Vec<Zeroizing<String>>, Refusal> {
    let items = raw.items()?;
    let refuse = |reason: String| Err(Refusal::unseen(reason));
    if items.is_empty() {
        return refuse("is empty".into());
    }
    if items.len() > MOST_SECRETS {
        return refuse(format!("has {} secrets", items.len()));
    }
    for (n, secret) in items.iter().enumerate() {
        if secret.chars().count() < SECRET_CHARS {
            return refuse(format!("has a secret (number {}) of fewer than {SECRET_CHARS} characters", n + 1));
        }
        if secret.starts_with('#') {
            return refuse(format!("has a secret (number {}) that begins with #, as a comment would", n + 1));
        }
        if items[..n].contains(secret) {
            return refuse(format!("has the same secret twice (number {})", n + 1));
        }
    }
    Ok(items.into_iter().map(|secret| Zeroizing::new(secret.to_owned())).collect())
}

fn rotation(raw: &Raw) -> Result<RotationContract, Refusal> {
    let text = raw.text()?;
    match text {
        "strict" => Ok(RotationContract::Strict),
        "reusable" => Ok(RotationContract::Reusable),
        "idempotent" => Ok(RotationContract::Idempotent),
        _ => match text.strip_prefix("grace:") {
            Some(grace) => duration_in(grace, &GRACE)
                .map(RotationContract::Grace)
                .map_err(|refusal| Refusal { shown: Some(text.to_owned()), ..refusal }),
            None => Err(Refusal::of(text, "is no rotation contract")),
        },
    }
}

fn show_rotation(contract: RotationContract) -> Cow<'static, str> {
    match contract {
        RotationContract::Grace(grace) => format!("grace:{}", duration::format(grace)).into(),
        RotationContract::Reusable => "reusable".into(),
        RotationContract::Idempotent => "idempotent".into(),
        // The enum may grow; what is not declared kinder is treated as strict, and shown so.
        _ => "strict".into(),
    }
}
