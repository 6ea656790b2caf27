//! What a request may ask of this server: a method that exists, a path of ours, one honest `Host` (RFC 9112, section 3).

use http::{
    HeaderValue, Method, Uri, Version,
    header::HOST,
    request::Parts,
    uri::{Authority, Scheme},
};

use crate::{ascii::alphanumeric_or, problem::Problem};

/// Lets only requests through that are addressed to an origin server. This is never an open proxy: the authority of
/// an absolute target is looked at here and decides nothing.
pub(crate) fn check(head: &Parts) -> Result<(), Problem> {
    if !is_known(&head.method) {
        return Err(Problem::NotImplemented);
    }
    target(&head.uri, &head.method)?;
    let mut hosts = head.headers.get_all(HOST).iter();
    match (hosts.next(), hosts.next()) {
        (Some(host), None) if is_host(host) => Ok(()),
        (None, None) if head.version == Version::HTTP_10 => Ok(()),
        _ => Err(Problem::BadHost),
    }
}

/// CONNECT asks for a tunnel, which nothing here makes.
fn is_known(method: &Method) -> bool {
    matches!(
        *method,
        Method::GET
            | Method::HEAD
            | Method::POST
            | Method::PUT
            | Method::DELETE
            | Method::PATCH
            | Method::OPTIONS
            | Method::TRACE
    )
}

fn target(uri: &Uri, method: &Method) -> Result<(), Problem> {
    if uri.scheme().is_some() {
        let is_http = uri.scheme() == Some(&Scheme::HTTP) || uri.scheme() == Some(&Scheme::HTTPS);
        if !is_http || !uri.authority().is_some_and(is_plain) {
            return Err(Problem::BadTarget);
        }
        return Ok(());
    }
    let asks_server = uri.path() == "*" && method == Method::OPTIONS;
    if uri.authority().is_none() && (uri.path().starts_with('/') || asks_server) {
        return Ok(());
    }
    Err(Problem::BadTarget)
}

fn is_host(host: &HeaderValue) -> bool {
    let host = host.as_bytes();
    is_common(host) || Authority::try_from(host).is_ok_and(|authority| is_plain(&authority))
}

/// Whether a host is a name or an IPv4 address with a port of four digits at most, which need no parser.
fn is_common(host: &[u8]) -> bool {
    const NAME: [bool; 256] = alphanumeric_or(b"-.");
    let end = host.iter().position(|byte| !NAME[usize::from(*byte)]).unwrap_or(host.len());
    let is_port = |rest: &[u8]| match rest {
        [] => true,
        [b':', port @ ..] => (1..=4).contains(&port.len()) && port.iter().all(u8::is_ascii_digit),
        _ => false,
    };
    end > 0 && is_port(&host[end..])
}

/// A host and at most a port: no user info, no empty name, no port that is none.
fn is_plain(authority: &Authority) -> bool {
    let (host, text) = (authority.host(), authority.as_str());
    !host.is_empty() && !text.contains('@') && (text.len() == host.len() || authority.port_u16().is_some())
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn status(method: &str, target: &str, version: Version, hosts: &[&str]) -> u16 {
        let mut request = Request::builder().method(method).uri(target).version(version);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        let (head, ()) = request.body(()).expect("a request").into_parts();
        match check(&head) {
            Ok(()) => 200,
            Err(Problem::NotImplemented) => 501,
            Err(Problem::BadHost | Problem::BadTarget) => 400,
            Err(other) => panic!("{other:?}"),
        }
    }

    #[test]
    fn only_requests_to_an_origin_server_pass() {
        let table: &[(&str, &str, &[&str], u16)] = &[
            ("GET", "/session", &["app.example"], 200),
            ("GET", "/session", &["127.0.0.1:8000"], 200),
            ("GET", "/session", &["[::1]:8000"], 200),
            ("GET", "http://app.example/session", &["other.example"], 200),
            ("OPTIONS", "*", &["app.example"], 200),
            ("TRACE", "/session", &["app.example"], 200),
            ("GET", "/session", &[], 400),
            ("GET", "/session", &[""], 400),
            ("GET", "/session", &["a.example", "a.example"], 400),
            ("GET", "/session", &["a.example, b.example"], 400),
            ("GET", "/session", &["user@a.example"], 400),
            ("GET", "/session", &["a.example/path"], 400),
            ("GET", "/session", &["a.example?q"], 400),
            ("GET", "/session", &["a.example:"], 400),
            ("GET", "/session", &["a.example:http"], 400),
            ("GET", "/session", &["a.example:99999"], 400),
            ("GET", "/session", &[":8000"], 400),
            ("GET", "/session", &["a b"], 400),
            ("GET", "*", &["app.example"], 400),
            ("GET", "a.example:80", &["app.example"], 400),
            ("GET", "ftp://app.example/session", &["app.example"], 400),
            ("GET", "http://user@app.example/session", &["app.example"], 400),
            ("CONNECT", "app.example:443", &["app.example"], 501),
            ("BREW", "/session", &["app.example"], 501),
            ("get", "/session", &["app.example"], 501),
        ];
        for (method, target, hosts, expected) in table {
            assert_eq!(status(method, target, Version::HTTP_11, hosts), *expected, "{method} {target} {hosts:?}");
        }
        assert_eq!(status("GET", "/session", Version::HTTP_10, &[]), 200);
        assert_eq!(status("GET", "/session", Version::HTTP_10, &["a", "a"]), 400);
    }
}
