//! Cross-site request forgery: which pages may make this server change something.
//!
//! Browsers say where a request comes from in `Sec-Fetch-Site` and `Origin`, and no page can forge or suppress
//! both. A request with neither comes from no page: it carries no cookie that it did not choose to send. That
//! leave is for the seed's own endpoints; a route that only a cookie protects must refuse such a request.

use http::{HeaderMap, HeaderName, header::ORIGIN};

use crate::origin::Origins;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// A request that another site's page made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct CrossSite;

/// Whether a browser page made the request; such a page must never see a token.
pub(crate) fn made_by_page(headers: &HeaderMap) -> bool {
    headers.contains_key(SEC_FETCH_SITE) || headers.contains_key(ORIGIN)
}

/// Lets a state-changing request through, or not.
///
/// # Errors
///
/// [`CrossSite`]: nothing of the request may be carried out.
pub(crate) fn check(headers: &HeaderMap, origins: &Origins) -> Result<(), CrossSite> {
    let site = single(headers, &SEC_FETCH_SITE)?;
    let origin = single(headers, &ORIGIN)?;
    let allowed = origin.is_some_and(|origin| origins.is_allowed(origin));
    let passes = allowed
        || match (site, origin) {
            // `none`: a navigation that the user began, with an address typed or a bookmark.
            (Some(site), _) => matches!(site, b"same-origin" | b"none"),
            (None, Some(origin)) => origins.is_public(origin),
            (None, None) => true,
        };
    if passes { Ok(()) } else { Err(CrossSite) }
}

/// Lets a request through whose only credential is the cookie: one that does not say where it comes from is refused.
///
/// # Errors
///
/// [`CrossSite`]: nothing of the request may be carried out.
pub(crate) fn check_cookie_only(headers: &HeaderMap, origins: &Origins) -> Result<(), CrossSite> {
    if made_by_page(headers) { check(headers, origins) } else { Err(CrossSite) }
}

/// The value of a header that may stand at most once.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a [u8]>, CrossSite> {
    let mut values = headers.get_all(name).iter();
    let first = values.next().map(http::HeaderValue::as_bytes);
    if values.next().is_some() { Err(CrossSite) } else { Ok(first) }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    fn origins() -> Origins {
        let allowed = ["https://admin.example".to_owned()];
        Origins::new("https://app.example", &allowed, false).expect("valid")
    }

    fn outcome(sites: &[&'static str], from: &[&'static str]) -> Result<(), CrossSite> {
        let mut headers = HeaderMap::new();
        for site in sites {
            headers.append(SEC_FETCH_SITE, HeaderValue::from_static(site));
        }
        for origin in from {
            headers.append(ORIGIN, HeaderValue::from_static(origin));
        }
        check(&headers, &origins())
    }

    #[test]
    fn the_table_of_the_specification_holds() {
        const PASSES: Result<(), CrossSite> = Ok(());
        const REFUSED: Result<(), CrossSite> = Err(CrossSite);
        let table: [(&[&'static str], &[&'static str], _); 22] = [
            (&["same-origin"], &[], PASSES),
            (&["same-origin"], &["https://app.example"], PASSES),
            (&["none"], &[], PASSES),
            (&["same-site"], &[], REFUSED),
            (&["same-site"], &["https://sub.app.example"], REFUSED),
            (&["cross-site"], &[], REFUSED),
            (&["cross-site"], &["https://evil.example"], REFUSED),
            (&["cross-site"], &["https://app.example"], REFUSED),
            (&["cross-site"], &["null"], REFUSED),
            (&["same-site"], &["https://admin.example"], PASSES),
            (&["cross-site"], &["https://admin.example"], PASSES),
            (&["Same-Origin"], &[], REFUSED),
            (&[""], &[], REFUSED),
            (&["same-origin", "cross-site"], &[], REFUSED),
            (&[], &["https://app.example"], PASSES),
            (&[], &["https://admin.example"], PASSES),
            (&[], &["http://app.example"], REFUSED),
            (&[], &["https://app.example.evil.example"], REFUSED),
            (&[], &["null"], REFUSED),
            (&[], &[""], REFUSED),
            (&[], &["https://app.example", "https://app.example"], REFUSED),
            (&[], &[], PASSES),
        ];
        for (sites, from, expected) in table {
            assert_eq!(outcome(sites, from), expected, "Sec-Fetch-Site {sites:?}, Origin {from:?}");
        }
    }
}
