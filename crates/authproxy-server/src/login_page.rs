//! Sending a person who has to log in to the login page.

use http::{
    HeaderMap, HeaderValue, Method, StatusCode,
    header::{ACCEPT, LOCATION, SET_COOKIE},
};

use crate::{body::Body, response::Response};

/// The redirect to `page` in place of `refusal`, with `next`, the address to come back to; the refusal itself where the
/// address cannot be written. What the refusal does to the cookie stays.
pub(crate) fn redirect(page: &str, next: Option<&str>, mut refusal: Response) -> Response {
    let Some(location) = address(page, next) else { return refusal };
    let mut response = Response::new(Body::whole(""));
    // 302 and not 303: a gateway knows it, and only a navigation that reads gets here.
    *response.status_mut() = StatusCode::FOUND;
    response.headers_mut().insert(LOCATION, location);
    if let Some(cleared) = refusal.headers_mut().remove(SET_COOKIE) {
        response.headers_mut().insert(SET_COOKIE, cleared);
    }
    response
}

/// Whether a person waits for a page (Fetch Metadata); where the browser does not say, whether HTML is asked for.
pub(crate) fn is_navigation(method: &Method, headers: &HeaderMap) -> bool {
    let wants_html = || headers.get(ACCEPT).is_some_and(|accept| accept.as_bytes().starts_with(b"text/html"));
    let reads = *method == Method::GET || *method == Method::HEAD;
    reads && headers.get("sec-fetch-mode").map_or_else(wants_html, |mode| mode == "navigate")
}

/// Whether a browser that is sent to this address stays on its host: it reads `//host` and `/\host` as another's.
pub(crate) fn stays_here(next: &str) -> bool {
    next.strip_prefix('/').is_some_and(|rest| !rest.starts_with(['/', '\\']))
}

fn address(page: &str, next: Option<&str>) -> Option<HeaderValue> {
    let Some(next) = next else { return HeaderValue::from_str(page).ok() };
    let (address, fragment) = page.find('#').map_or((page, ""), |at| page.split_at(at));
    let joint = if address.contains('?') { '&' } else { '?' };
    let query = serde_urlencoded::to_string([("next", next)]).ok()?;
    HeaderValue::try_from(format!("{address}{joint}{query}{fragment}")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_address_leads_to_another_host() {
        for (next, stays) in [
            ("/", true),
            ("/a//b", true),
            ("/?//x", true),
            ("", false),
            ("?x", false),
            ("//evil.example", false),
            ("///evil.example", false),
            ("/\\evil.example", false),
            ("https://evil.example/", false),
        ] {
            assert_eq!(stays_here(next), stays, "{next}");
        }
    }

    #[test]
    fn the_address_to_come_back_to_is_one_parameter() {
        for (page, next, expected) in [
            ("/login", None, "/login"),
            ("/login", Some("/a?b=1&c=2#d"), "/login?next=%2Fa%3Fb%3D1%26c%3D2%23d"),
            ("/login?from=app#top", Some("/a"), "/login?from=app&next=%2Fa#top"),
            ("https://id.example/", Some("/\r\nSet-Cookie: x"), "https://id.example/?next=%2F%0D%0ASet-Cookie%3A+x"),
        ] {
            assert_eq!(address(page, next).expect("a header value"), expected);
        }
    }
}
