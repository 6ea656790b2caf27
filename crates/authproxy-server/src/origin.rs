//! Origins (RFC 6454): the one under which browsers reach this server, and the others that it trusts.
//!
//! They come from the configuration only, never from a request's `Host` or `X-Forwarded-Host`.

use crate::config::origin::Origin;

/// The public origin and the allow-listed ones, in the one spelling that browsers send.
#[derive(Clone, Debug)]
pub(crate) struct Origins {
    public: String,
    https: bool,
    allowed: Vec<String>,
}

/// An origin in the configuration that this server cannot work with.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OriginError {
    /// Not `http://host[:port]` or `https://host[:port]`.
    #[error("`{key}` {problem}; it must be an origin, `https://host` or `https://host:port`, without a path")]
    Malformed {
        /// The configuration key.
        key: &'static str,
        /// What is wrong with its value, as the end of a sentence that begins with it.
        problem: &'static str,
    },
    /// A cookie would travel over the network in the clear.
    #[error(
        "`public_url` is plain HTTP and not on loopback: use https, or set `allow_insecure_http` to send session \
         cookies in the clear"
    )]
    Insecure,
}

impl Origins {
    /// The origins of a server that browsers reach under `public_url`.
    ///
    /// # Errors
    ///
    /// [`OriginError`]: the server must not start.
    pub(crate) fn new(public_url: &str, allowed: &[String], allow_insecure: bool) -> Result<Self, OriginError> {
        let parse = |key, text: &str| Origin::parse(text).map_err(|problem| OriginError::Malformed { key, problem });
        let public = parse("public_url", public_url)?;
        if !public.is_https() && !public.is_loopback() && !allow_insecure {
            return Err(OriginError::Insecure);
        }
        let allowed = allowed.iter().map(|text| Ok(parse("allowed_origins", text)?.to_string()));
        Ok(Self { public: public.to_string(), https: public.is_https(), allowed: allowed.collect::<Result<_, _>>()? })
    }

    /// Whether browsers reach this server over TLS.
    pub(crate) fn https(&self) -> bool {
        self.https
    }

    /// The public origin, as a browser writes it.
    pub(crate) fn public(&self) -> &str {
        &self.public
    }

    /// Whether an `Origin` header names the public origin.
    pub(crate) fn is_public(&self, origin: &[u8]) -> bool {
        self.public.as_bytes() == origin
    }

    /// Whether there are allow-listed origins.
    pub(crate) fn lists_any(&self) -> bool {
        !self.allowed.is_empty()
    }

    /// Whether an `Origin` header names an allow-listed origin.
    pub(crate) fn is_allowed(&self, origin: &[u8]) -> bool {
        self.allowed.iter().any(|allowed| allowed.as_bytes() == origin)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origins(public_url: &str, allow_insecure: bool) -> Result<Origins, OriginError> {
        Origins::new(public_url, &[], allow_insecure)
    }

    #[test]
    fn the_public_origin_has_the_spelling_that_browsers_send() {
        for (url, expected) in [
            ("HTTPS://App.Example:443/", "https://app.example"),
            ("https://app.example:08443", "https://app.example:8443"),
            ("http://[0:0:0:0:0:0:0:1]:8000", "http://[::1]:8000"),
        ] {
            assert_eq!(origins(url, false).expect(url).public(), expected);
        }
        assert_eq!(origins("http://[::1]:8000", false).expect("loopback").public(), "http://[::1]:8000");
    }

    #[test]
    fn what_the_configuration_refuses_is_no_origin_here_either() {
        for url in ["", "ftp://app.example", "https://app.example/path", "https://127.1", "https://app.example."] {
            let outcome = origins(url, true);
            let problem = Origin::parse(url).expect_err(url);
            assert_eq!(outcome.expect_err(url), OriginError::Malformed { key: "public_url", problem });
        }
        let outcome = Origins::new("http://127.0.0.1:1", &["*".into()], true);
        let problem = "would let every page in";
        assert_eq!(outcome.expect_err("a wildcard"), OriginError::Malformed { key: "allowed_origins", problem });
    }

    #[test]
    fn plain_http_beyond_loopback_must_be_asked_for_by_name() {
        for url in ["http://app.example", "http://10.0.0.1:8000", "http://localhost.evil.example"] {
            assert_eq!(origins(url, false).expect_err(url), OriginError::Insecure);
            assert!(origins(url, true).is_ok());
        }
        assert_eq!(origins("http://0.0.0.0:8000", false).expect_err("any address"), OriginError::Insecure);
        for url in ["http://localhost:8000", "http://app.localhost", "http://127.9.9.9", "https://app.example"] {
            assert!(origins(url, false).is_ok(), "{url}");
        }
    }
}
