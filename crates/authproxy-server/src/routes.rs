//! The route table: which request is which [`Route`], and everything that is fixed per route.
//!
//! [`TABLE`] is data only and [`resolve`] is pure. The `OpenAPI` document, the endpoint table in the
//! README and the tests are held against this table. `[[route]]` prefixes are asked after the table, which therefore
//! always wins over them.

use http::Method;

/// One endpoint: the key for its name in logs and metrics, its body limit, its credential and its CSRF rule.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Route {
    /// `POST /register`
    Register,
    /// `POST /login`
    Login,
    /// `POST /refresh`
    Refresh,
    /// `GET /protected`
    Protected,
    /// `GET /protected-auto`
    ProtectedAuto,
    /// `POST /logout`
    Logout,
    /// `GET /session`
    Session,
    /// `/auth/verify` and every path below it, with every method.
    Verify,
    /// `GET /openapi.json`
    OpenApi,
    /// `GET /docs`
    Docs,
    /// A script, a style sheet or an image of the docs page.
    DocsAsset,
}

/// A row of the table.
#[derive(Debug)]
pub struct Row {
    /// The method that the row answers.
    pub method: Method,
    /// The exact path, without a query.
    pub path: &'static str,
    /// What answers.
    pub route: Route,
    /// Which other requests it answers.
    pub reach: Reach,
}

/// How far a row reaches.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Its method and its path, nothing else.
    Exact,
    /// Every method, its path and every path below it. The row's own method is the one that documents it.
    Below,
}

/// Every endpoint of the public listener.
pub static TABLE: [Row; 15] = [
    row(Method::POST, "/register", Route::Register),
    row(Method::POST, "/login", Route::Login),
    row(Method::POST, "/refresh", Route::Refresh),
    row(Method::GET, "/protected", Route::Protected),
    row(Method::GET, "/protected-auto", Route::ProtectedAuto),
    row(Method::POST, "/logout", Route::Logout),
    row(Method::GET, "/session", Route::Session),
    Row { method: Method::GET, path: "/auth/verify", route: Route::Verify, reach: Reach::Below },
    row(Method::GET, "/openapi.json", Route::OpenApi),
    row(Method::GET, "/docs", Route::Docs),
    row(Method::GET, "/docs/", Route::Docs),
    row(Method::GET, "/docs/authproxy.js", Route::DocsAsset),
    row(Method::GET, "/docs/swagger-ui-bundle.js", Route::DocsAsset),
    row(Method::GET, "/docs/swagger-ui.css", Route::DocsAsset),
    row(Method::GET, "/docs/favicon-32x32.png", Route::DocsAsset),
];

const fn row(method: Method, path: &'static str, route: Route) -> Row {
    Row { method, path, route, reach: Reach::Exact }
}

/// What a request's credential is, where it has one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Credential {
    /// None: the answer is the same for everyone, and caches may keep it.
    Public,
    /// It stands in the body: a password or a refresh token.
    Body,
    /// `Authorization: Bearer` (RFC 6750, section 2.1).
    Bearer,
    /// The session cookie.
    Session,
}

/// Which requests of a page are let through; see `csrf.rs`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CsrfRule {
    /// A safe method: it changes nothing.
    Safe,
    /// Only from our own and the allow-listed origins; a client that is no browser sends no origin and passes.
    OurPages,
    /// It is about another request, whose method decides; the handler asks.
    OfTheOriginal,
}

impl Route {
    /// The name in logs and metrics.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Login => "login",
            Self::Refresh => "refresh",
            Self::Protected => "protected",
            Self::ProtectedAuto => "protected_auto",
            Self::Logout => "logout",
            Self::Session => "session",
            Self::Verify => "verify",
            Self::OpenApi => "openapi",
            Self::Docs => "docs",
            Self::DocsAsset => "docs_asset",
        }
    }

    /// The most bytes that a request's body may have; `None` where a body is not looked at.
    pub const fn body_limit(self) -> Option<usize> {
        match self {
            Self::Register | Self::Login | Self::Refresh | Self::Logout => Some(16 * 1024),
            Self::Protected
            | Self::ProtectedAuto
            | Self::Session
            | Self::Verify
            | Self::OpenApi
            | Self::Docs
            | Self::DocsAsset => None,
        }
    }

    /// What authenticates a request.
    pub const fn credential(self) -> Credential {
        match self {
            Self::Register | Self::Login | Self::Refresh => Credential::Body,
            Self::Protected => Credential::Bearer,
            Self::ProtectedAuto | Self::Logout | Self::Session | Self::Verify => Credential::Session,
            Self::OpenApi | Self::Docs | Self::DocsAsset => Credential::Public,
        }
    }

    /// What protects it from other sites' pages.
    pub const fn csrf(self) -> CsrfRule {
        match self {
            Self::Register | Self::Login | Self::Refresh | Self::Logout => CsrfRule::OurPages,
            Self::Protected | Self::ProtectedAuto | Self::Session | Self::OpenApi | Self::Docs | Self::DocsAsset => {
                CsrfRule::Safe
            }
            Self::Verify => CsrfRule::OfTheOriginal,
        }
    }
}

/// What [`resolve`] found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Resolved {
    /// The route that answers.
    Route(Route),
    /// An `OPTIONS` request: the value of `Allow` is the answer (RFC 9110, section 9.3.7).
    Options(String),
    /// The path is known, the method is not (RFC 9110, section 15.5.6): 405 with this `Allow`.
    MethodNotAllowed(String),
    /// No row has this path.
    NotFound,
}

impl Row {
    fn reaches(&self, method: &Method, path: &str) -> bool {
        match self.reach {
            Reach::Exact => self.path == path && self.method == *method,
            Reach::Below => path.strip_prefix(self.path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')),
        }
    }
}

/// Finds what answers a request. `HEAD` is answered as `GET`; `OPTIONS *` asks about the whole server.
///
/// The path is compared byte by byte: no decoding, no dot segments, no case folding, so there is one spelling only.
pub fn resolve(method: &Method, path: &str) -> Resolved {
    if !may_be_ours(path) && path != "*" {
        return Resolved::NotFound;
    }
    let wanted = if method == Method::HEAD { &Method::GET } else { method };
    if let Some(row) = TABLE.iter().find(|row| row.reaches(wanted, path)) {
        return Resolved::Route(row.route);
    }
    let allow = allow(path);
    match (allow.is_empty(), method) {
        (true, &Method::OPTIONS) if path == "*" => Resolved::Options("GET, HEAD, POST, OPTIONS".into()),
        (true, _) => Resolved::NotFound,
        (false, &Method::OPTIONS) => Resolved::Options(allow),
        (false, _) => Resolved::MethodNotAllowed(allow),
    }
}

/// Whether a path is one of ours, for any method.
pub fn is_ours(path: &str) -> bool {
    may_be_ours(path) && TABLE.iter().any(|row| row.reaches(&row.method, path))
}

/// Whether some row has a path with this second letter and this length; most forwarded requests are seen off here.
fn may_be_ours(path: &str) -> bool {
    /// The lengths below 64 of all paths with a second letter, by the letter's last five bits; a bit each.
    static LENGTHS: [u64; 32] = {
        let (mut lengths, mut at) = ([0; 32], 0);
        while at < TABLE.len() {
            let path = TABLE[at].path.as_bytes();
            lengths[(path[2] & 31) as usize] |= match TABLE[at].reach {
                Reach::Exact => 1 << path.len(),
                Reach::Below => u64::MAX << path.len(),
            };
            at += 1;
        }
        lengths
    };
    // All paths that are longer count as 63 bytes: only rows that reach below theirs have those.
    let length = path.len().min(63);
    path.as_bytes().get(2).is_some_and(|letter| LENGTHS[usize::from(letter & 31)] >> length & 1 == 1)
}

/// The value of `Allow` for a path; empty where no row has it.
fn allow(path: &str) -> String {
    let mut methods = Vec::new();
    for row in TABLE.iter().filter(|row| row.path == path) {
        methods.push(row.method.as_str());
        if row.method == Method::GET {
            methods.push("HEAD");
        }
    }
    if !methods.is_empty() {
        methods.push("OPTIONS");
    }
    methods.join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_resolves_to_its_own_route() {
        for row in &TABLE {
            assert_eq!(resolve(&row.method, row.path), Resolved::Route(row.route), "{} {}", row.method, row.path);
        }
    }

    #[test]
    fn no_path_has_two_rows_of_one_method() {
        for (index, row) in TABLE.iter().enumerate() {
            assert!(!TABLE[..index].iter().any(|other| (&other.method, other.path) == (&row.method, row.path)));
        }
    }

    #[test]
    fn unsafe_methods_are_guarded_and_safe_ones_change_nothing() {
        for row in TABLE.iter().filter(|row| row.reach == Reach::Exact) {
            assert_eq!(row.route.csrf() == CsrfRule::Safe, row.method.is_safe(), "{}", row.path);
        }
    }

    #[test]
    fn a_gateway_may_ask_with_any_method_and_below_the_path() {
        for method in [Method::GET, Method::HEAD, Method::POST, Method::OPTIONS, Method::DELETE, Method::TRACE] {
            for path in ["/auth/verify", "/auth/verify/", "/auth/verify/api/x", "/auth/verify//x", "/auth/verify/../x"]
            {
                assert_eq!(resolve(&method, path), Resolved::Route(Route::Verify), "{method} {path}");
            }
            for path in ["/auth/verifyx", "/auth/Verify", "/auth", "/auth/", "/x/auth/verify", "/auth/verify%2Fx"] {
                assert_eq!(resolve(&method, path), Resolved::NotFound, "{method} {path}");
            }
        }
    }

    #[test]
    fn other_requests_are_answered_by_the_book() {
        let options = |allow: &str| Resolved::Options(allow.into());
        let not_allowed = |allow: &str| Resolved::MethodNotAllowed(allow.into());
        for (method, path, expected) in [
            (Method::HEAD, "/session", Resolved::Route(Route::Session)),
            (Method::HEAD, "/login", not_allowed("POST, OPTIONS")),
            (Method::GET, "/logout", not_allowed("POST, OPTIONS")),
            (Method::DELETE, "/protected", not_allowed("GET, HEAD, OPTIONS")),
            (Method::TRACE, "/protected", not_allowed("GET, HEAD, OPTIONS")),
            (Method::OPTIONS, "/login", options("POST, OPTIONS")),
            (Method::OPTIONS, "/docs", options("GET, HEAD, OPTIONS")),
            (Method::OPTIONS, "*", options("GET, HEAD, POST, OPTIONS")),
            (Method::OPTIONS, "/nowhere", Resolved::NotFound),
            (Method::GET, "*", Resolved::NotFound),
            (Method::GET, "/", Resolved::NotFound),
            (Method::POST, "/login/", Resolved::NotFound),
            (Method::POST, "/LOGIN", Resolved::NotFound),
            (Method::POST, "//login", Resolved::NotFound),
            (Method::POST, "/%6cogin", Resolved::NotFound),
            (Method::GET, "/docs/../session", Resolved::NotFound),
        ] {
            assert_eq!(resolve(&method, path), expected, "{method} {path}");
        }
    }
}
