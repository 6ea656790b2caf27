//! Where a route's upstream is: an http or https URL, or a Unix socket.

use std::{fmt, path::PathBuf, str::FromStr};

use super::origin::{BaseUrl, Origin, parse_path};

/// Where an upstream is. Written `http://host:port/path`, `https://host/path`, `unix:/path/to/socket` or
/// `unix:/path/to/socket:/path`; `Display` writes the canonical form, without a trailing slash.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct UpstreamUrl {
    location: Location,
    path: String,
}

/// What is connected to.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Location {
    /// A host, over TCP; over TLS when the scheme is https.
    Origin(Origin),
    /// A Unix socket of this machine.
    Unix(PathBuf),
}

/// Why a text is no upstream, as the end of a sentence that begins with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the upstream's address {0}")]
pub struct InvalidUpstream(pub &'static str);

impl UpstreamUrl {
    /// What is connected to.
    pub fn location(&self) -> &Location {
        &self.location
    }

    /// The path that stands before every forwarded one: empty, or `/` and what follows, without a slash at the end.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The `Host` that the upstream gets (RFC 9110, section 7.2); `localhost` where it is a Unix socket.
    pub fn authority(&self) -> String {
        match &self.location {
            Location::Origin(origin) => origin.authority(),
            Location::Unix(_) => "localhost".to_owned(),
        }
    }

    /// Whether it is spoken to over TLS.
    pub fn is_https(&self) -> bool {
        matches!(&self.location, Location::Origin(origin) if origin.is_https())
    }

    /// Stands in for an upstream that could not be read, until the mistake is reported.
    pub(super) fn nowhere() -> Self {
        Self { location: Location::Unix(PathBuf::new()), path: String::new() }
    }
}

impl FromStr for UpstreamUrl {
    type Err = InvalidUpstream;

    fn from_str(text: &str) -> Result<Self, InvalidUpstream> {
        let Some(rest) = text.strip_prefix("unix:") else {
            let BaseUrl { origin, path } = BaseUrl::parse(text).map_err(InvalidUpstream)?;
            return Ok(Self { location: Location::Origin(origin), path });
        };
        let (socket, path) = rest.split_once(':').unwrap_or((rest, ""));
        if !socket.starts_with('/') || socket.ends_with('/') || socket.contains('\0') {
            return Err(InvalidUpstream("does not name a socket by its whole path"));
        }
        if !path.is_empty() && !path.starts_with('/') {
            return Err(InvalidUpstream("has something other than a path behind its socket"));
        }
        let path = parse_path(path).map_err(InvalidUpstream)?;
        Ok(Self { location: Location::Unix(socket.into()), path })
    }
}

impl fmt::Display for UpstreamUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (&self.location, self.path.as_str()) {
            (Location::Origin(origin), path) => write!(f, "{origin}{path}"),
            (Location::Unix(socket), "") => write!(f, "unix:{}", socket.display()),
            (Location::Unix(socket), path) => write!(f, "unix:{}:{path}", socket.display()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_canonical_form_says_the_same() {
        for (text, shown, authority) in [
            ("http://127.0.0.1:9000/", "http://127.0.0.1:9000", "127.0.0.1:9000"),
            ("HTTPS://Api.Example:443/v1/", "https://api.example/v1", "api.example"),
            ("http://[::1]:9000", "http://[::1]:9000", "[::1]:9000"),
            ("unix:/run/api.sock", "unix:/run/api.sock", "localhost"),
            ("unix:/run/api.sock:/v1", "unix:/run/api.sock:/v1", "localhost"),
        ] {
            let url: UpstreamUrl = text.parse().expect(text);
            assert_eq!((url.to_string().as_str(), url.authority().as_str()), (shown, authority), "{text}");
            assert_eq!(shown.parse(), Ok(url));
        }
    }

    #[test]
    fn what_is_no_upstream_is_refused() {
        for text in
            ["", "api", "ftp://api", "http://", "http://a@b", "http://a?b", "http://a/../b", "unix:", "unix:api"]
        {
            assert!(text.parse::<UpstreamUrl>().is_err(), "{text}");
        }
        for text in ["unix:/run/", "unix:/run/a:b", "unix:/run/a:/../b"] {
            assert!(text.parse::<UpstreamUrl>().is_err(), "{text}");
        }
    }
}
