//! Origins (RFC 6454): the one under which browsers reach this server, and the others that it trusts.
//!
//! They come from the configuration only, never from a request's `Host` or `X-Forwarded-Host`.

use std::net::{IpAddr, SocketAddr};

use http::Uri;

/// The public origin and the allow-listed ones.
#[derive(Clone, Debug)]
pub(crate) struct Origins {
    public: Origin,
    allowed: Vec<Origin>,
}

/// A scheme, a host and a port, in the one spelling that browsers send.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Origin {
    text: String,
    https: bool,
    loopback: bool,
}

/// An origin in the configuration that this server cannot work with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OriginError {
    /// Not `http://host[:port]` or `https://host[:port]`.
    #[error("`{key}` must be an origin, `https://host` or `https://host:port`, without a path")]
    Malformed {
        /// The configuration key.
        key: &'static str,
    },
    /// A cookie would travel over the network in the clear.
    #[error(
        "`public_url` is plain HTTP and not on loopback: use https, or set `allow_insecure_http` to send session \
         cookies in the clear"
    )]
    Insecure,
}

impl Origins {
    /// The origins of a server that listens at `local`, speaking `scheme`, and has these configured.
    ///
    /// # Errors
    ///
    /// [`OriginError`]: the server must not start.
    pub(crate) fn new(
        public_url: Option<&str>,
        scheme: &str,
        local: SocketAddr,
        allowed: &[String],
        allow_insecure: bool,
    ) -> Result<Self, OriginError> {
        let default = format!("{scheme}://{local}");
        let public =
            Origin::parse(public_url.unwrap_or(&default)).ok_or(OriginError::Malformed { key: "public_url" })?;
        if !public.https && !public.loopback && !allow_insecure {
            return Err(OriginError::Insecure);
        }
        let allowed = allowed
            .iter()
            .map(|origin| Origin::parse(origin).ok_or(OriginError::Malformed { key: "allowed_origins" }))
            .collect::<Result<_, _>>()?;
        Ok(Self { public, allowed })
    }

    /// Whether browsers reach this server over TLS.
    pub(crate) fn https(&self) -> bool {
        self.public.https
    }

    /// The public origin, as a browser writes it.
    pub(crate) fn public(&self) -> &str {
        &self.public.text
    }

    /// Whether an `Origin` header names the public origin.
    pub(crate) fn is_public(&self, origin: &[u8]) -> bool {
        self.public.text.as_bytes() == origin
    }

    /// Whether an `Origin` header names an allow-listed origin.
    pub(crate) fn is_allowed(&self, origin: &[u8]) -> bool {
        self.allowed.iter().any(|allowed| allowed.text.as_bytes() == origin)
    }
}

impl Origin {
    fn parse(url: &str) -> Option<Self> {
        let uri: Uri = url.parse().ok()?;
        let https = match uri.scheme_str()? {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let authority = uri.authority()?;
        if uri.path() != "/" || uri.query().is_some() || authority.as_str().contains('@') || url.contains('#') {
            return None;
        }
        let host = authority.host().to_ascii_lowercase();
        let default_port = if https { 443 } else { 80 };
        let port = match authority.port_u16() {
            Some(port) if port != default_port => format!(":{port}"),
            None if authority.as_str().len() > host.len() => return None,
            _ => String::new(),
        };
        let text = format!("{}://{host}{port}", if https { "https" } else { "http" });
        Some(Self { text, https, loopback: is_loopback(&host) })
    }
}

fn is_loopback(host: &str) -> bool {
    let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
    address.map_or_else(|_| host == "localhost" || host.ends_with(".localhost"), |address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins(public_url: Option<&str>, local: &str, allow_insecure: bool) -> Result<Origins, OriginError> {
        Origins::new(public_url, "http", local.parse().expect("an address"), &[], allow_insecure)
    }

    #[test]
    fn the_public_origin_has_the_spelling_that_browsers_send() {
        for (url, expected) in [
            ("https://App.Example", "https://app.example"),
            ("https://app.example:443/", "https://app.example"),
            ("https://app.example:8443", "https://app.example:8443"),
            ("http://127.0.0.1:80", "http://127.0.0.1"),
            ("http://[::1]:8000", "http://[::1]:8000"),
        ] {
            assert_eq!(origins(Some(url), "127.0.0.1:1", false).expect(url).public(), expected);
        }
    }

    #[test]
    fn what_is_no_origin_is_refused() {
        for url in ["", "app.example", "ftp://app.example", "https://app.example/path", "https://u@app.example"] {
            let outcome = origins(Some(url), "127.0.0.1:1", true);
            assert_eq!(outcome.expect_err(url), OriginError::Malformed { key: "public_url" });
        }
        for url in ["https://app.example?x", "https://app.example:port", "https://app.example:", "https://a#b"] {
            assert!(origins(Some(url), "127.0.0.1:1", true).is_err(), "{url}");
        }
    }

    #[test]
    fn plain_http_beyond_loopback_must_be_asked_for_by_name() {
        for url in ["http://app.example", "http://10.0.0.1:8000", "http://localhost.evil.example"] {
            assert_eq!(origins(Some(url), "127.0.0.1:1", false).expect_err(url), OriginError::Insecure);
            assert!(origins(Some(url), "127.0.0.1:1", true).is_ok());
        }
        assert_eq!(origins(None, "0.0.0.0:8000", false).expect_err("any address"), OriginError::Insecure);
        for url in ["http://localhost:8000", "http://app.localhost", "http://127.9.9.9", "https://app.example"] {
            assert!(origins(Some(url), "0.0.0.0:8000", false).is_ok(), "{url}");
        }
    }
}
