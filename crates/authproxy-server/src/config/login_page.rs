//! Where a navigation without a session is sent: a path of the same host, or an http or https URL.

use super::origin::Origin;

/// What a login page may be.
pub(super) const ALLOWED: &str = "a path such as /login, or an http or https URL";

/// Checks that a browser which is sent there arrives where the text says, and nowhere else.
///
/// # Errors
///
/// What is wrong with `text`, as the end of a sentence that begins with it.
pub(super) fn check(text: &str) -> Result<(), &'static str> {
    // Browsers read a backslash as a slash, and drop tabs and line ends.
    let odd = |b: u8| !b.is_ascii_graphic() || b"\\\"<>^`{|}".contains(&b);
    if text.bytes().any(odd) {
        return Err("has characters that a URL cannot have");
    }
    if text.starts_with("//") {
        return Err("begins with two slashes, which browsers read as the name of another host");
    }
    if text.starts_with('/') {
        return Ok(());
    }
    if !text.contains("://") {
        return Err("is neither a path that begins with a slash nor an http or https URL");
    }
    let scheme = text.find("://").map_or(0, |colon| colon + 3);
    let end = text[scheme..].find(['/', '?', '#']).map_or(text.len(), |end| scheme + end);
    Origin::parse(&text[..end]).map(|_| ())
}

/// The path of a page on the same host, without query and fragment; `None` for a URL.
pub(super) fn path(text: &str) -> Option<&str> {
    text.starts_with('/').then(|| text.split(['?', '#']).next().unwrap_or(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_or_a_url_is_a_login_page() {
        for text in
            ["/", "/login", "/login?next=%2F", "/#/login", "https://id.example.com", "http://localhost:3000/in?a#b"]
        {
            assert_eq!(check(text), Ok(()), "{text}");
        }
    }

    #[test]
    fn what_could_lead_elsewhere_is_refused() {
        for (text, reason) in [
            ("//evil.example", "begins with two slashes, which browsers read as the name of another host"),
            ("/\\evil.example", "has characters that a URL cannot have"),
            ("/a\tb", "has characters that a URL cannot have"),
            ("/ü", "has characters that a URL cannot have"),
            ("login", "is neither a path that begins with a slash nor an http or https URL"),
            ("javascript:alert(1)", "is neither a path that begins with a slash nor an http or https URL"),
            ("javascript://x", "does not begin with http:// or https://"),
            ("https://", "has no host"),
            ("https://user@id.example.com/", "has a user name or a password"),
            ("https://id.example.com:0/", "has a port outside of 1 to 65535"),
        ] {
            assert_eq!(check(text), Err(reason), "{text}");
        }
    }

    #[test]
    fn only_a_page_of_the_same_host_has_a_path() {
        for (text, expected) in
            [("/login?a#b", Some("/login")), ("/#/login", Some("/")), ("https://id.example.com/login", None)]
        {
            assert_eq!(path(text), expected);
        }
    }
}
