//! Origins and base URLs, in the one form in which they are compared: lower case, without a default port.
//!
//! Stricter than a browser's parser: what browsers would silently rewrite is refused, so that a comparison with an
//! `Origin` header (RFC 6454, section 6.2) can never be right here and wrong there.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
};

/// Scheme, host and port (RFC 6454, section 4). `Display` writes the canonical form, without a trailing slash.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Origin {
    https: bool,
    host: Host,
    port: Option<u16>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash)]
enum Host {
    Name(String),
    Ip(IpAddr),
}

/// An origin and a path below it. `Display` writes the canonical form, without a trailing slash.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseUrl {
    /// Where the URL points.
    pub origin: Origin,
    /// Empty, or `/` and what follows, without a slash at the end.
    pub path: String,
}

impl Origin {
    /// Reads an origin; one slash after it is dropped.
    ///
    /// # Errors
    ///
    /// What is wrong with `text`, as the end of a sentence that begins with it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text == "*" || text == "null" {
            return Err("would let every page in");
        }
        let url = BaseUrl::parse(text)?;
        if url.path.is_empty() { Ok(url.origin) } else { Err("has a path") }
    }

    /// Whether the scheme is https.
    pub fn is_https(&self) -> bool {
        self.https
    }

    /// Whether the host is this machine by its name or number, so that plain HTTP crosses no wire (RFC 6761, section
    /// 6.3).
    pub fn is_loopback(&self) -> bool {
        match &self.host {
            Host::Name(name) => name == "localhost" || name.ends_with(".localhost"),
            Host::Ip(ip) => ip.is_loopback(),
        }
    }

    /// The host as a number, where it is one.
    pub fn ip(&self) -> Option<IpAddr> {
        match self.host {
            Host::Name(_) => None,
            Host::Ip(ip) => Some(ip),
        }
    }

    /// The host as a URL writes it: a name, or a number, IPv6 in brackets.
    pub fn host(&self) -> String {
        self.host.to_string()
    }

    /// Host and port as a `Host` header writes them: without the scheme's own port.
    pub fn authority(&self) -> String {
        let host = &self.host;
        self.port.map_or_else(|| host.to_string(), |port| format!("{host}:{port}"))
    }

    /// The port, also where it is the scheme's own.
    pub fn port(&self) -> u16 {
        self.port.unwrap_or(self.default_port())
    }

    fn default_port(&self) -> u16 {
        if self.https { 443 } else { 80 }
    }
}

impl BaseUrl {
    /// Reads an http or https URL without user information, query and fragment.
    ///
    /// # Errors
    ///
    /// What is wrong with `text`, as the end of a sentence that begins with it.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() {
            return Err("is empty");
        }
        if !text.bytes().all(|b| b.is_ascii_graphic()) || text.contains(['\\', '"', '<', '>', '^', '`', '{', '|', '}'])
        {
            return Err("has characters that a URL cannot have");
        }
        let (scheme, rest) = text.split_once("://").ok_or("does not begin with http:// or https://")?;
        let https = match scheme.to_ascii_lowercase().as_str() {
            "https" => true,
            "http" => false,
            _ => return Err("does not begin with http:// or https://"),
        };
        let end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
        let (authority, path) = rest.split_at(end);
        if authority.contains('@') {
            return Err("has a user name or a password");
        }
        if path.contains('?') {
            return Err("has a query");
        }
        if path.contains('#') {
            return Err("has a fragment");
        }
        let (host, port) = parse_authority(authority)?;
        let mut origin = Origin { https, host, port };
        origin.port = port.filter(|port| *port != origin.default_port());
        Ok(Self { origin, path: parse_path(path)? })
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scheme = if self.https { "https" } else { "http" };
        write!(f, "{scheme}://{}", self.host)?;
        self.port.map_or(Ok(()), |port| write!(f, ":{port}"))
    }
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.write_str(name),
            Self::Ip(IpAddr::V4(ip)) => ip.fmt(f),
            Self::Ip(IpAddr::V6(ip)) => write!(f, "[{ip}]"),
        }
    }
}

impl fmt::Display for BaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}", self.origin, self.path)
    }
}

fn parse_authority(authority: &str) -> Result<(Host, Option<u16>), &'static str> {
    let (host, port) = if let Some(bracketed) = authority.strip_prefix('[') {
        let (host, port) = bracketed.split_once(']').ok_or("has an unfinished IPv6 address")?;
        let ip: Ipv6Addr = host.parse().map_err(|_| "has no valid IPv6 address in its brackets")?;
        if ip.to_ipv4_mapped().is_some() {
            return Err("has an IPv4 address written as IPv6"); // browsers write these in another way than we would
        }
        (Host::Ip(ip.into()), port)
    } else {
        let (host, port) = authority.split_at(authority.find(':').unwrap_or(authority.len()));
        (parse_host(host)?, port)
    };
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => None,
        Some(digits) if digits.bytes().all(|b| b.is_ascii_digit()) => match digits.parse() {
            Ok(port) if port > 0 => Some(port),
            _ => return Err("has a port outside of 1 to 65535"),
        },
        _ => return Err("has something other than a port after its host"),
    };
    Ok((host, port))
}

fn parse_host(host: &str) -> Result<Host, &'static str> {
    if host.is_empty() {
        return Err("has no host");
    }
    let host = host.to_ascii_lowercase();
    let last = host.rsplit('.').next().unwrap_or_default();
    // A browser takes every such host for an IPv4 address, "127.1" and "0x7f.1" too.
    if last.starts_with("0x") || last.bytes().all(|b| b.is_ascii_digit()) && !last.is_empty() {
        let ip: Ipv4Addr = host.parse().map_err(|_| "has a host that ends in a number and is no IPv4 address")?;
        return Ok(Host::Ip(ip.into()));
    }
    let label_is_fine = |label: &str| {
        (1..=63).contains(&label.len()) && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
    };
    if host.len() > 253 || !host.split('.').all(label_is_fine) {
        return Err("has a host that is no DNS name");
    }
    Ok(Host::Name(host))
}

/// Checks a path that is empty or begins with a slash, and drops a slash at its end.
pub(super) fn parse_path(path: &str) -> Result<String, &'static str> {
    let path = path.strip_suffix('/').unwrap_or(path);
    if path.is_empty() {
        return Ok(String::new());
    }
    for segment in path.split('/').skip(1) {
        match segment {
            "" => return Err("has an empty path segment"),
            "." | ".." => return Err("has a dot segment in its path"),
            _ => check_escapes(segment)?,
        }
    }
    Ok(path.to_owned())
}

fn check_escapes(segment: &str) -> Result<(), &'static str> {
    for escape in segment.split('%').skip(1) {
        let byte = escape.get(..2).filter(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
        match byte.and_then(|hex| u8::from_str_radix(hex, 16).ok()) {
            None => return Err("has a percent sign that escapes nothing"),
            Some(b'.' | b'/' | b'\\' | b'%' | 0..=0x1f | 0x7f) => return Err("has an ambiguous escape in its path"),
            Some(_) => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_origin_has_one_canonical_form() {
        for (text, canonical) in [
            ("https://app.example.com", "https://app.example.com"),
            ("https://app.example.com/", "https://app.example.com"),
            ("HTTPS://App.Example.COM:443", "https://app.example.com"),
            ("http://app.example.com:80/", "http://app.example.com"),
            ("http://app.example.com:443", "http://app.example.com:443"),
            ("http://127.0.0.1:8000", "http://127.0.0.1:8000"),
            ("http://[0:0:0:0:0:0:0:1]:8000", "http://[::1]:8000"),
            ("https://xn--mnchen-3ya.example:08443", "https://xn--mnchen-3ya.example:8443"),
        ] {
            assert_eq!(Origin::parse(text).unwrap().to_string(), canonical, "{text}");
        }
    }

    #[test]
    fn what_is_more_or_less_than_an_origin_is_refused() {
        for (text, reason) in [
            ("", "is empty"),
            ("*", "would let every page in"),
            ("null", "would let every page in"),
            ("app.example.com", "does not begin with http:// or https://"),
            ("ftp://app.example.com", "does not begin with http:// or https://"),
            ("https://", "has no host"),
            ("https:///", "has no host"),
            ("https://:8000", "has no host"),
            ("https://user:pw@app.example.com", "has a user name or a password"),
            ("https://app.example.com/app", "has a path"),
            ("https://app.example.com/?a=b", "has a query"),
            ("https://app.example.com?a=b", "has a query"),
            ("https://app.example.com#top", "has a fragment"),
            ("https://app.example.com//", "has an empty path segment"),
            ("https://app.example.com:0", "has a port outside of 1 to 65535"),
            ("https://app.example.com:65536", "has a port outside of 1 to 65535"),
            ("https://app.example.com:", "has a port outside of 1 to 65535"),
            ("https://app.example.com:80a", "has something other than a port after its host"),
            ("https://app.example.com:+80", "has something other than a port after its host"),
            ("https://[::1", "has an unfinished IPv6 address"),
            ("https://[fe80::1%25eth0]", "has no valid IPv6 address in its brackets"),
            ("https://[::1]8000", "has something other than a port after its host"),
            ("https://[::ffff:127.0.0.1]", "has an IPv4 address written as IPv6"),
            ("https://127.1", "has a host that ends in a number and is no IPv4 address"),
            ("https://0x7f000001", "has a host that ends in a number and is no IPv4 address"),
            ("https://app..example.com", "has a host that is no DNS name"),
            ("https://app.example.com.", "has a host that is no DNS name"),
            ("https://*.example.com", "has a host that is no DNS name"),
            ("https://münchen.example", "has characters that a URL cannot have"),
            ("https://app.example.com\\@evil.example", "has characters that a URL cannot have"),
            ("https://app.exa mple.com", "has characters that a URL cannot have"),
        ] {
            assert_eq!(Origin::parse(text), Err(reason), "{text:?}");
        }
    }

    #[test]
    fn a_base_url_keeps_its_path_without_the_last_slash() {
        for (text, canonical) in [
            ("https://auth.example.com", "https://auth.example.com"),
            ("https://auth.example.com/v1/", "https://auth.example.com/v1"),
            ("https://auth.example.com:443/a%20b/C", "https://auth.example.com/a%20b/C"),
        ] {
            assert_eq!(BaseUrl::parse(text).unwrap().to_string(), canonical, "{text}");
        }
        for (text, reason) in [
            ("https://auth.example.com/../x", "has a dot segment in its path"),
            ("https://auth.example.com/a/./x", "has a dot segment in its path"),
            ("https://auth.example.com/%2e%2e/x", "has an ambiguous escape in its path"),
            ("https://auth.example.com/a%2Fb", "has an ambiguous escape in its path"),
            ("https://auth.example.com/a%00", "has an ambiguous escape in its path"),
            ("https://auth.example.com/100%", "has a percent sign that escapes nothing"),
            ("https://auth.example.com/a//b", "has an empty path segment"),
        ] {
            assert_eq!(BaseUrl::parse(text), Err(reason), "{text}");
        }
    }

    #[test]
    fn only_this_machine_is_loopback() {
        for text in ["http://localhost", "http://a.localhost:1", "http://127.8.9.10", "http://[::1]:8000"] {
            assert!(Origin::parse(text).unwrap().is_loopback(), "{text}");
        }
        for text in ["http://localhost.example.com", "http://notlocalhost", "http://10.0.0.1", "http://[::2]"] {
            assert!(!Origin::parse(text).unwrap().is_loopback(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn the_canonical_form_is_read_back(text in "\\PC{0,40}|https?://[a-zA-Z0-9.:%/\\[\\]-]{0,40}") {
            if let Ok(url) = BaseUrl::parse(&text) {
                prop_assert_eq!(BaseUrl::parse(&url.to_string()), Ok(url));
            }
        }
    }
}
