//! One canonical form of a path: it decides the route, and it is what the upstream gets.
//!
//! Escapes of characters that need none are undone and the other escapes are written in capitals (RFC 3986, section
//! 6.2.2). What other software might read as a way to somewhere else is refused, not repaired: dot segments in any
//! disguise, backslashes, NUL, text that is not UTF-8.

use std::borrow::Cow;

use crate::ascii::alphanumeric_or;

/// A path that means different things to different readers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Ambiguous;

/// How often a path may have been escaped on top of itself before it is given up.
const ESCAPED_DEPTH: usize = 3;

/// The canonical form of an absolute path.
///
/// # Errors
///
/// [`Ambiguous`]: the path must not be routed.
pub(crate) fn canonical(path: &str) -> Result<Cow<'_, str>, Ambiguous> {
    if is_plain(path) {
        return Ok(Cow::Borrowed(path));
    }
    let bare = bare(path)?;
    if bare.split('/').any(|segment| matches!(segment.split(';').next(), Some("." | ".."))) {
        return Err(Ambiguous);
    }
    unescape_unreserved(path).map(Cow::Owned)
}

/// The path as the most lenient reader takes it: every escape undone, backslashes as slashes, parameters, a query and
/// empty segments dropped. If this leads to another route than the canonical form, the path is [`Ambiguous`].
pub(crate) fn lenient(canonical: &str) -> Cow<'_, str> {
    if is_plain(canonical) {
        return Cow::Borrowed(canonical);
    }
    let Ok(bare) = bare(canonical) else { return Cow::Borrowed("") };
    // An escaped mark that ends the path for whoever undoes the escape first.
    let bare = bare.split(['?', '#']).next().unwrap_or_default();
    let mut lenient = String::with_capacity(bare.len());
    for segment in bare.split('/').filter_map(|segment| segment.split(';').next()).filter(|name| !name.is_empty()) {
        lenient.push('/');
        lenient.push_str(segment);
    }
    if lenient.is_empty() { Cow::Borrowed("/") } else { Cow::Owned(lenient) }
}

/// Whether a path is canonical and nobody reads it otherwise; most are.
fn is_plain(path: &str) -> bool {
    const PLAIN: [bool; 256] = alphanumeric_or(b"/.-_~!$&'()*+,=:@");
    let mut before = 0;
    path.bytes().all(|byte| {
        let follows_slash = std::mem::replace(&mut before, byte) == b'/';
        PLAIN[usize::from(byte)] && !(follows_slash && matches!(byte, b'/' | b'.'))
    })
}

/// The path without any escapes.
fn bare(path: &str) -> Result<String, Ambiguous> {
    let mut text = path.to_owned();
    for _ in 0..ESCAPED_DEPTH {
        if !text.contains('%') {
            break;
        }
        let mut bytes = Vec::with_capacity(text.len());
        let mut rest = text.as_bytes();
        while let [first, tail @ ..] = rest {
            let escaped = if *first == b'%' { escape(rest) } else { None };
            bytes.push(escaped.unwrap_or(*first));
            rest = if escaped.is_some() { &rest[3..] } else { tail };
        }
        let once = String::from_utf8(bytes).map_err(|_| Ambiguous)?; // overlong forms are no UTF-8
        if once == text {
            break;
        }
        text = once;
    }
    if text.contains(['\0', '\r', '\n']) || path.contains('\\') {
        return Err(Ambiguous);
    }
    Ok(text.replace('\\', "/"))
}

fn unescape_unreserved(path: &str) -> Result<String, Ambiguous> {
    let mut canonical = String::with_capacity(path.len());
    let mut rest = path;
    while let Some(at) = rest.find('%') {
        canonical.push_str(&rest[..at]);
        let byte = escape(&rest.as_bytes()[at..]).ok_or(Ambiguous)?;
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            canonical.push(char::from(byte));
        } else {
            canonical.push_str(&rest[at..at + 3].to_ascii_uppercase());
        }
        rest = &rest[at + 3..];
    }
    canonical.push_str(rest);
    Ok(canonical)
}

/// The byte that an escape at the front of `text` stands for.
fn escape(text: &[u8]) -> Option<u8> {
    let digit = |at: usize| text.get(at).and_then(|byte| char::from(*byte).to_digit(16));
    u8::try_from(digit(1)? * 16 + digit(2)?).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn one_spelling_is_left() {
        for (path, expected) in [
            ("/", "/"),
            ("/api/users", "/api/users"),
            ("/api/v1.2/a.b~c", "/api/v1.2/a.b~c"),
            ("/%61pi", "/api"),
            ("/caf%c3%a9", "/caf%C3%A9"),
            ("/a%2fb", "/a%2Fb"),
            ("/a%20b", "/a%20b"),
            ("/a//b", "/a//b"),
            ("/a;v=1/b", "/a;v=1/b"),
            ("/100%25", "/100%25"),
            ("/a...b/..c/c..", "/a...b/..c/c.."),
            ("/.well-known/x", "/.well-known/x"),
        ] {
            assert_eq!(canonical(path).as_deref(), Ok(expected), "{path}");
        }
    }

    #[test]
    fn what_others_read_otherwise_is_refused() {
        for path in [
            "/a/../b",
            "/a/..",
            "/./a",
            "/a/%2e%2e/b",
            "/a/%2E./b",
            "/a/.%2e",
            "/a/..;/b",
            "/a/..;x=1/b",
            "/a/..%2fb",
            "/a%2f..%2fb",
            "/a/..%5cb",
            "/a\\..\\b",
            "/a\\b",
            "/a%00",
            "/a%0d%0ab",
            "/%c0%ae%c0%ae/b",
            "/%c0%af",
            "/%e0%80%ae",
            "/caf%e9",
            "/a%",
            "/a%2",
            "/a%zz",
            "/%252e%252e/b",
            "/%25%32%65%25%32%65/b",
        ] {
            assert_eq!(canonical(path), Err(Ambiguous), "{path}");
        }
    }

    #[test]
    fn a_lenient_reader_sees_through_every_disguise() {
        for path in [
            "//admin",
            "/%2fadmin",
            "/admin;x",
            "/;/admin",
            "/%5cadmin",
            "/%2561dmin",
            "/%61dmin",
            "/admin%23",
            "/admin%3fx",
        ] {
            assert_eq!(lenient(&canonical(path).expect(path)), "/admin", "{path}");
        }
        assert_eq!(lenient("//"), "/");
    }

    proptest! {
        #[test]
        fn the_canonical_form_is_its_own(path in "/[a-zA-Z0-9%./;\\\\~é-]{0,24}") {
            if let Ok(once) = canonical(&path) {
                prop_assert_eq!(canonical(&once), Ok(once.clone()));
                prop_assert!(!once.split('/').any(|segment| segment == ".."));
            }
        }

        #[test]
        fn escaping_a_plain_path_changes_nothing(path in "/[a-z0-9]{1,8}(/[a-z0-9]{1,8}){0,3}") {
            let escaped: String = path.bytes().map(|b| if b == b'/' { "/".into() } else { format!("%{b:02x}") }).collect();
            let plain = canonical(&escaped).map(Cow::into_owned);
            prop_assert_eq!(plain, Ok(path));
        }
    }
}
