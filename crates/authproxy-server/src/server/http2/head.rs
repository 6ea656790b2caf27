//! A request's head in HTTP/2, brought into the shape that it has in HTTP/1.1: the one place that knows the difference.

use http::{
    HeaderMap, HeaderValue, Uri,
    header::{COOKIE, HOST},
    request::Parts,
    uri::{Authority, Scheme},
};

use crate::{
    heads::{MAX_FIELDS, MAX_TARGET, Refusal},
    problem::Problem,
};

/// Checks what `http1/head.rs` checks in HTTP/1.1, and makes `:authority` a `Host`, the target a path, and the crumbs of a
/// cookie one field again. What this does not understand stays as it is, for `target.rs` to refuse. A fragment, which
/// HTTP/1.1 refuses, is not seen: h2 has dropped it.
///
/// # Errors
///
/// 414 and 431, as for HTTP/1.1; [`Problem::BadHost`] when `:authority` and `Host` disagree.
pub(super) fn normalize(head: &mut Parts) -> Result<(), Problem> {
    if head.uri.path_and_query().is_some_and(|target| target.as_str().len() > MAX_TARGET) {
        return Err(Refusal::TargetTooLong.into());
    }
    join_cookies(&mut head.headers);
    if head.headers.len() > MAX_FIELDS {
        return Err(Refusal::HeadTooLarge.into());
    }
    let is_http = head.uri.scheme() == Some(&Scheme::HTTPS) || head.uri.scheme() == Some(&Scheme::HTTP);
    if !is_http {
        return Ok(());
    }
    if let Some(authority) = head.uri.authority() {
        name_host(&mut head.headers, authority)?;
    }
    if let Some(target) = head.uri.path_and_query() {
        head.uri = Uri::from(target.clone());
    }
    Ok(())
}

/// RFC 9113, section 8.3.1: `:authority` takes the place of `Host`, and must not contradict it.
fn name_host(headers: &mut HeaderMap, authority: &Authority) -> Result<(), Problem> {
    let mut hosts = headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (None, _) => {
            let host = HeaderValue::from_str(authority.as_str()).map_err(|_| Problem::BadHost)?;
            headers.insert(HOST, host);
            Ok(())
        }
        (Some(host), None) if Authority::try_from(host.as_bytes()).is_ok_and(|host| host == *authority) => Ok(()),
        _ => Err(Problem::BadHost),
    }
}

/// RFC 9113, section 8.2.3: whoever speaks HTTP/1.1, or knows one `Cookie` only, is given one.
fn join_cookies(headers: &mut HeaderMap) {
    let crumbs: Vec<_> = headers.get_all(COOKIE).iter().map(HeaderValue::as_bytes).collect();
    if crumbs.len() < 2 {
        return;
    }
    let mut cookie = HeaderValue::from_bytes(&crumbs.join(&b"; "[..])).expect("field values, joined by visible ASCII");
    cookie.set_sensitive(true);
    headers.insert(COOKIE, cookie);
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use http::{Request, Version};

    use super::*;
    use crate::target;

    fn head(method: &str, uri: &str, fields: &[(&str, &str)]) -> Parts {
        let mut request = Request::builder().method(method).uri(uri).version(Version::HTTP_2);
        for (name, value) in fields {
            request = request.header(*name, *value);
        }
        request.body(()).unwrap().into_parts().0
    }

    fn status(mut head: Parts) -> u16 {
        match normalize(&mut head).and_then(|()| target::check(&head)) {
            Ok(()) => 200,
            Err(problem) => {
                problem.into_response(&HeaderMap::new(), crate::cookie::SessionCookie::new(true)).status().as_u16()
            }
        }
    }

    #[test]
    fn a_head_gets_the_shape_of_http_1() {
        let mut parts = head(
            "GET",
            "https://app.example:8443/a?b",
            &[("cookie", "a=1"), ("x", "y"), ("cookie", "b=2; c=3"), ("cookie", "d=\u{fc}")],
        );
        normalize(&mut parts).unwrap();
        assert_eq!(parts.uri, "/a?b");
        assert_eq!(parts.headers[HOST], "app.example:8443");
        let cookies: Vec<_> = parts.headers.get_all(COOKIE).iter().collect();
        assert_eq!(cookies, [&HeaderValue::from_bytes("a=1; b=2; c=3; d=\u{fc}".as_bytes()).unwrap()]);
        assert!(cookies[0].is_sensitive());
    }

    #[test]
    fn the_authority_and_host_must_agree() {
        let table: &[(&str, &str, &[&str], u16)] = &[
            ("GET", "https://app.example/", &[], 200),
            ("GET", "https://app.example/", &["app.example"], 200),
            ("GET", "https://App.Example:443/", &["app.example:443"], 200),
            ("GET", "http://app.example/", &[], 200),
            ("OPTIONS", "https://app.example/*", &[], 200),
            ("GET", "https://app.example/", &["app.example:443"], 400),
            ("GET", "https://app.example/", &["other.example"], 400),
            ("GET", "https://app.example/", &[""], 400),
            ("GET", "https://app.example/", &["app.example", "app.example"], 400),
            ("GET", "https://user@app.example/", &[], 400),
            ("GET", "https://user@app.example/", &["user@app.example"], 400),
            ("GET", "/", &["app.example"], 200),
            ("GET", "/", &[], 400),
            ("GET", "ftp://app.example/", &["app.example"], 400),
            ("CONNECT", "app.example:443", &[], 501),
            ("BREW", "https://app.example/", &[], 501),
        ];
        for (method, uri, hosts, expected) in table {
            let fields: Vec<_> = hosts.iter().map(|host| ("host", *host)).collect();
            assert_eq!(status(head(method, uri, &fields)), *expected, "{method} {uri} {hosts:?}");
        }
    }

    #[test]
    fn the_bounds_are_those_of_http_1() {
        let fields = |count: usize, name: &'static str| vec![(name, "a=b"); count];
        assert_eq!(status(head("GET", "https://a/", &fields(99, "x"))), 200);
        assert_eq!(status(head("GET", "https://a/", &fields(101, "x"))), 431);
        assert_eq!(status(head("GET", "https://a/", &fields(300, "cookie"))), 200, "crumbs are one field");
        let target = |length: usize| format!("https://a/{}", "x".repeat(length - 1));
        assert_eq!(status(head("GET", &target(MAX_TARGET), &[])), 200);
        assert_eq!(status(head("GET", &target(MAX_TARGET + 1), &[])), 414);
    }
}
