//! `GET /protected`: the auth service's protected resource, with the client's own token.

use authproxy_core::token::AccessToken;
use http::{HeaderMap, header::AUTHORIZATION};

use crate::{
    problem::{self, Problem},
    response::{self, Response},
    service::{App, Request},
};

/// Forwards the bearer token. What the service says of a success comes back as it is, a refusal under `detail`.
#[utoipa::path(
    get,
    path = "/protected",
    tag = "Tokens by hand",
    summary = "The protected resource, with your own token",
    security(("bearer" = [])),
    responses(
        (status = 200, description = "The auth service's answer", body = serde_json::Value),
        (status = 401, description = "No bearer token, or one that the auth service refuses", body = crate::openapi::Detail),
        (status = 502, description = "The auth service cannot be reached, or talks nonsense", body = crate::openapi::Detail),
        (status = 503, description = "The auth service is overloaded; see `Retry-After`", body = crate::openapi::Detail),
        (status = 504, description = "The auth service is slow", body = crate::openapi::Detail),
    )
)]
pub(crate) async fn handle(app: &App, request: &Request) -> Result<Response, Problem> {
    let token = bearer(&request.headers).ok_or(Problem::NoBearer)?;
    let reply = app.backend.protected(&token).await?;
    response::pass_on(reply, problem::BEARER_REFUSED)
}

/// The one bearer token of a request (RFC 6750, section 2.1); the scheme's case does not matter (RFC 9110, section 11.1).
fn bearer(headers: &HeaderMap) -> Option<AccessToken> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let (value, None) = (values.next()?, values.next()) else { return None };
    let (scheme, token) = value.to_str().ok()?.split_once(' ')?;
    if !scheme.eq_ignore_ascii_case("bearer") {
        return None;
    }
    let token = token.trim_matches(' ');
    if token.contains(' ') { None } else { AccessToken::new(token).ok() }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn only_one_well_formed_bearer_token_is_taken() {
        let table: [(&[&str], Option<&str>); 12] = [
            (&["Bearer abc.def-123"], Some("abc.def-123")),
            (&["bearer abc"], Some("abc")),
            (&["BEARER  abc "], Some("abc")),
            (&[], None),
            (&["Bearer"], None),
            (&["Bearer "], None),
            (&["abc"], None),
            (&["Basic YTpi"], None),
            (&["Bearer abc def"], None),
            (&["Bearer abc", "Bearer def"], None),
            (&["Bearer a\tb"], None),
            (&["Bearer \u{e9}"], None),
        ];
        for (values, expected) in table {
            let mut headers = HeaderMap::new();
            for value in values {
                headers.append(AUTHORIZATION, HeaderValue::from_bytes(value.as_bytes()).expect("a header value"));
            }
            assert_eq!(bearer(&headers).as_ref().map(AccessToken::expose_secret), expected, "{values:?}");
        }
    }
}
