//! The session cookie: reading it, setting it, clearing it.

use std::time::Duration;

use authproxy_core::session::SessionId;
use cookie::{Cookie, SameSite};
use http::{HeaderMap, HeaderValue, header::COOKIE};

use crate::{ascii::split, problem::Problem};

/// The name and the attributes of our cookie, fixed by the public origin's scheme.
#[derive(Clone, Copy, Debug)]
pub(crate) struct SessionCookie {
    https: bool,
}

/// What a request brought under the cookie's name.
#[derive(Debug)]
pub(crate) enum Presented {
    /// No cookie of our name.
    Nothing,
    /// A cookie of our name whose value is no session id. It is never looked up.
    Junk,
    /// A value with the shape of a session id.
    Id(SessionId),
}

impl Presented {
    /// The id of the session that a request names.
    pub(crate) fn id(&self) -> Result<&SessionId, Problem> {
        match self {
            Self::Id(id) => Ok(id),
            Self::Nothing => Err(Problem::NoCookie),
            Self::Junk => Err(Problem::UnknownSession),
        }
    }
}

/// Two different cookies of our name: one of them was planted, and nobody can say which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Conflicting;

impl SessionCookie {
    /// The cookie of a server that browsers reach over TLS, or not.
    pub(crate) const fn new(https: bool) -> Self {
        Self { https }
    }

    /// Its name. A browser takes a `__Host-` cookie only from this very host, over TLS (RFC 6265bis, section 4.1.3).
    pub(crate) const fn name(self) -> &'static str {
        if self.https { "__Host-session_id" } else { "session_id" }
    }

    /// Reads the cookie from a request.
    ///
    /// # Errors
    ///
    /// [`Conflicting`], when there are two with different values.
    pub(crate) fn read(self, headers: &HeaderMap) -> Result<Presented, Conflicting> {
        let mut found: Option<&[u8]> = None;
        for (name, value) in headers.get_all(COOKIE).iter().flat_map(pairs) {
            let Some(value) = value.filter(|_| name == self.name().as_bytes()) else { continue };
            if found.replace(value).is_some_and(|other| other != value) {
                return Err(Conflicting);
            }
        }
        let Some(value) = found else { return Ok(Presented::Nothing) };
        let id = std::str::from_utf8(value).ok().and_then(SessionId::parse);
        Ok(id.map_or(Presented::Junk, Presented::Id))
    }

    /// The `Set-Cookie` value that gives a browser its session for `life`.
    pub(crate) fn set(self, id: &SessionId, life: Duration) -> HeaderValue {
        self.header(id.expose_secret(), life)
    }

    /// The `Set-Cookie` value that takes the cookie away. It repeats every attribute, else browsers keep the cookie.
    pub(crate) fn clear(self) -> HeaderValue {
        self.header("", Duration::ZERO)
    }

    fn header(self, value: &str, life: Duration) -> HeaderValue {
        let seconds = i64::try_from(life.as_secs()).unwrap_or(i64::MAX);
        let cookie = Cookie::build((self.name(), value))
            .http_only(true)
            .same_site(SameSite::Lax)
            .secure(self.https)
            .path("/")
            .max_age(cookie::time::Duration::seconds(seconds))
            .build();
        let mut header =
            HeaderValue::from_str(&cookie.to_string()).expect("base64url and fixed attributes are visible ASCII");
        header.set_sensitive(true);
        header
    }
}

/// The cookies of one `Cookie` line (RFC 6265, section 5.4): each name, and its value where it has one, without the space
/// around them. Whoever reads our cookie and whoever takes it out agree on this.
pub(crate) fn pairs(line: &HeaderValue) -> impl Iterator<Item = (&[u8], Option<&[u8]>)> {
    split(line.as_bytes(), b';').map(|pair| {
        let end = memchr::memchr(b'=', pair).unwrap_or(pair.len());
        (pair[..end].trim_ascii(), pair.get(end + 1..).map(<[u8]>::trim_ascii))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: SessionCookie = SessionCookie::new(false);
    const TLS: SessionCookie = SessionCookie::new(true);

    fn read(cookie: SessionCookie, lines: &[&str]) -> &'static str {
        let mut headers = HeaderMap::new();
        for line in lines {
            headers.append(COOKIE, HeaderValue::from_bytes(line.as_bytes()).expect("a header value"));
        }
        match cookie.read(&headers) {
            Ok(Presented::Nothing) => "nothing",
            Ok(Presented::Junk) => "junk",
            Ok(Presented::Id(_)) => "id",
            Err(Conflicting) => "conflicting",
        }
    }

    fn sorted(header: &HeaderValue) -> Vec<String> {
        let mut parts: Vec<_> = header.to_str().expect("ASCII").split("; ").map(str::to_owned).collect();
        parts[1..].sort();
        parts
    }

    #[test]
    fn every_attribute_is_set_and_repeated_when_cleared() {
        let id = SessionId::random();
        let value = id.expose_secret();
        let minutes = Duration::from_mins(4);
        let rest = ["HttpOnly", "Max-Age=240", "Path=/", "SameSite=Lax"];
        let plain = sorted(&PLAIN.set(&id, minutes));
        assert_eq!(plain[0], format!("session_id={value}"));
        assert_eq!(plain[1..], rest);
        let tls = sorted(&TLS.set(&id, minutes));
        assert_eq!(tls[0], format!("__Host-session_id={value}"));
        assert_eq!(tls[1..], ["HttpOnly", "Max-Age=240", "Path=/", "SameSite=Lax", "Secure"]);
        assert_eq!(
            sorted(&TLS.clear()),
            ["__Host-session_id=", "HttpOnly", "Max-Age=0", "Path=/", "SameSite=Lax", "Secure"]
        );
        assert_eq!(sorted(&PLAIN.clear()), ["session_id=", "HttpOnly", "Max-Age=0", "Path=/", "SameSite=Lax"]);
    }

    #[test]
    fn a_life_without_bound_makes_no_bad_header() {
        assert!(PLAIN.set(&SessionId::random(), Duration::MAX).to_str().expect("ASCII").contains("Max-Age="));
    }

    #[test]
    fn cookies_are_told_apart() {
        let (a, b) = (SessionId::random(), SessionId::random());
        let ours = format!("session_id={}", a.expose_secret());
        let other = format!("session_id={}", b.expose_secret());
        let host = format!("__Host-session_id={}", a.expose_secret());
        let quoted = format!("session_id=\"{}\"", a.expose_secret());
        let long = format!("session_id={}", "A".repeat(60_000));
        let crowd = format!("a=1; {ours}; b=\u{fc}");
        let twice = format!("{ours}; {other}");
        let same = format!("{ours}; {ours}");
        let near = format!("session_id2={}; Session_id={}", a.expose_secret(), b.expose_secret());
        let table: [(SessionCookie, &[&str], &str); 14] = [
            (PLAIN, &[], "nothing"),
            (PLAIN, &[""], "nothing"),
            (PLAIN, &["session_id"], "nothing"),
            (PLAIN, &["session_id="], "junk"),
            (PLAIN, &["session_id=../../etc"], "junk"),
            (PLAIN, &[&quoted], "junk"),
            (PLAIN, &[&long], "junk"),
            (PLAIN, &[&ours], "id"),
            (PLAIN, &[&crowd], "id"),
            (PLAIN, &[&same, &ours], "id"),
            (PLAIN, &[&twice], "conflicting"),
            (PLAIN, &[&ours, &other], "conflicting"),
            (PLAIN, &[&near], "nothing"),
            (TLS, &[&host, &ours], "id"),
        ];
        for (cookie, lines, expected) in table {
            assert_eq!(read(cookie, lines), expected, "{} of {} lines", cookie.name(), lines.len());
        }
        assert_eq!(read(TLS, &[&ours]), "nothing");
    }
}
