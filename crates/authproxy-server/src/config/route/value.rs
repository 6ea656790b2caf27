//! How the values of a route are read that no other part of the configuration has.

use http::{HeaderName, HeaderValue, Method};

use super::super::{
    field::toml_string,
    load::Shown,
    mistake::Refusal,
    origin::{Origin, parse_path},
    raw::Raw,
    upstream::{InvalidUpstream, UpstreamUrl},
};

/// The methods that are forwarded. CONNECT asks for a tunnel, TRACE would show a page what its browser hides from it.
pub(super) const METHODS: [Method; 7] =
    [Method::GET, Method::HEAD, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::OPTIONS];

/// The canonical form of a prefix: without a slash at its end, but for `/` itself.
///
/// # Errors
///
/// What is wrong with `text`, as the end of a sentence that begins with it.
pub(super) fn prefix(text: &str) -> Result<String, &'static str> {
    if !text.starts_with('/') {
        return Err("does not begin with a slash");
    }
    let odd = |b: u8| !(b.is_ascii_alphanumeric() || b"/-._~!$&'()*+,=:@".contains(&b));
    if text.bytes().any(odd) {
        return Err("has characters that a prefix cannot have");
    }
    let path = parse_path(text)?;
    Ok(if path.is_empty() { "/".into() } else { path })
}

/// The canonical form of a host: in lower case.
///
/// # Errors
///
/// What is wrong with `text`, as the end of a sentence that begins with it.
pub(super) fn host(text: &str) -> Result<String, &'static str> {
    let host = Origin::parse(&format!("http://{text}")).map_err(|_| "is not a host name")?.host();
    // A port or a slash would have been dropped by the canonical form.
    if text.eq_ignore_ascii_case(&host) { Ok(host) } else { Err("is not a host name") }
}

pub(super) fn read_prefix(raw: &Raw) -> Result<String, Refusal> {
    let text = raw.text()?;
    prefix(text).map_err(|reason| Refusal::of(text, reason))
}

pub(super) fn read_host(raw: &Raw) -> Result<String, Refusal> {
    let text = raw.text()?;
    host(text).map_err(|reason| Refusal::of_url(text, reason))
}

pub(super) fn read_upstream(raw: &Raw) -> Result<UpstreamUrl, Refusal> {
    let text = raw.text()?;
    text.parse().map_err(|InvalidUpstream(reason)| Refusal::of_url(text, reason))
}

pub(super) fn read_methods(raw: &Raw) -> Result<Vec<Method>, Refusal> {
    let items = raw.items()?;
    let method = |item: &&str| METHODS.iter().find(|method| method.as_str() == *item).cloned();
    let methods: Vec<Method> = items
        .iter()
        .map(|item| method(item).ok_or_else(|| Refusal::of(item, "is no method that is forwarded")))
        .collect::<Result<_, _>>()?;
    if methods.is_empty() { Err(Refusal::unseen("is empty")) } else { Ok(methods) }
}

pub(super) fn read_header(raw: &Raw) -> Result<HeaderName, Refusal> {
    header(raw.text()?)
}

pub(super) fn read_headers(raw: &Raw) -> Result<Vec<HeaderName>, Refusal> {
    raw.items()?.into_iter().map(header).collect()
}

/// Header names, each with the name of a claim.
pub(super) fn read_claims(raw: &Raw) -> Result<Vec<(HeaderName, String)>, Refusal> {
    let claim = |(name, claim): (&str, &str)| match claim {
        "" => Err(Refusal::of(name, "names no claim")),
        claim => Ok((header(name)?, claim.to_owned())),
    };
    raw.pairs()?.into_iter().map(claim).collect()
}

/// Header names, each with a value. A refused value is not repeated: it may be a secret.
pub(super) fn read_values(raw: &Raw) -> Result<Vec<(HeaderName, HeaderValue)>, Refusal> {
    let value = |(name, value): (&str, &str)| {
        let refuse = |_| Refusal::of(name, "has a value with characters that a header cannot have");
        Ok((header(name)?, HeaderValue::from_str(value).map_err(refuse)?))
    };
    raw.pairs()?.into_iter().map(value).collect()
}

/// Names and values as an inline table.
pub(super) fn quoted_pairs<'a>(pairs: impl Iterator<Item = (&'a HeaderName, &'a str)>) -> Shown {
    let pairs: Vec<_> =
        pairs.map(|(name, value)| format!("{} = {}", toml_string(name.as_str()), toml_string(value))).collect();
    Shown::Toml(if pairs.is_empty() { "{}".into() } else { format!("{{ {} }}", pairs.join(", ")) })
}

fn header(text: &str) -> Result<HeaderName, Refusal> {
    HeaderName::from_bytes(text.as_bytes()).map_err(|_| Refusal::of(text, "is not a header name"))
}
