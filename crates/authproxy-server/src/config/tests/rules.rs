use http::{HeaderName, Method};

use super::{
    super::{RouteAccess, RouteConfig, UpstreamUrl, check_routes},
    Setup,
};

/// A route on four lines: its heading, `prefix`, `upstream`, and this one.
fn route(prefix: &str, line: &str) -> String {
    format!("[[route]]\nprefix = '{prefix}'\nupstream = 'http://127.0.0.1:9000'\n{line}\n")
}

fn files(cases: &[(String, &[&str])]) {
    for (text, expected) in cases {
        let expected: Vec<_> = expected.iter().map(|line| format!("a.toml:{line}")).collect();
        assert_eq!(Setup::serve().file(text).mistakes(), expected, "{text}");
    }
}

#[test]
fn what_a_route_says_must_fit_together() {
    let session = "needs a session, which this route does not ask for; allowed: access = \"session\"";
    let two = |line: &str| route("/api", line);
    files(&[
        (
            two("strip_prefix = true\nrewrite_prefix = '/v2'"),
            &["5: route.rewrite_prefix: is set together with strip_prefix; allowed: one of the two"],
        ),
        (
            two("upstream_ca = 'ca.pem'"),
            &["4: route.upstream_ca: would not be used; allowed: an https upstream, or no upstream_ca"],
        ),
        (two("access = 'bearer'\nlogin_page = '/login'"), &[&format!("5: route.login_page: {session}")]),
        (two("access = 'public'\ntoken_header = 'X-T'"), &[&format!("5: route.token_header: {session}")]),
        (two("user_header = 'X-U'\naccess = 'public'"), &[&format!("4: route.user_header: {session}")]),
        (two("access = 'bearer'\nclaim_headers = { X-E = 'email' }"), &[&format!("5: route.claim_headers: {session}")]),
    ]);
    Setup::serve().file(&two("strip_prefix = false\nrewrite_prefix = '/'\naccess = 'session'")).loaded();
}

#[test]
fn a_request_header_has_one_author() {
    let taken = "allowed: a header that this route does not set yet";
    let one = |line: &str| route("/api", line);
    files(&[
        (
            one("add_request_headers = { Authorization = 'Basic x' }"),
            &[&format!("4: route.add_request_headers: \"authorization\" carries the token of this route; {taken}")],
        ),
        (
            one("access = 'bearer'\nremove_request_headers = ['Authorization']"),
            &[&format!("5: route.remove_request_headers: \"authorization\" carries the token of this route; {taken}")],
        ),
        (
            one("token_header = 'X-Token'\nuser_header = 'X_Token'"),
            &[&format!("5: route.user_header: \"x_token\" carries the token of this route; {taken}")],
        ),
        (
            one("user_header = 'X-User'\nclaim_headers = { x-user = 'sub' }"),
            &[&format!("5: route.claim_headers: \"x-user\" is already set by user_header; {taken}")],
        ),
        (
            one("add_request_headers = { X-A = '1', x-a = '2' }"),
            &[&format!("4: route.add_request_headers: \"x-a\" is already set by add_request_headers; {taken}")],
        ),
        (
            one("claim_headers = { X-A = 'a' }\nremove_request_headers = ['x-a']"),
            &[&format!("5: route.remove_request_headers: \"x-a\" is already set by claim_headers; {taken}")],
        ),
    ]);
    for line in [
        "token_header = 'authorization'",
        "token_header = 'X-Token'\nadd_request_headers = { Authorization = 'Basic x' }",
        "token_header = 'X-Token'\nremove_request_headers = ['Authorization']",
        "access = 'public'\nadd_request_headers = { Authorization = 'Basic x' }\nremove_request_headers = ['Cookie']",
    ] {
        Setup::serve().file(&one(line)).loaded();
    }
}

#[test]
fn what_is_let_through_with_an_underscore_is_nobody_elses_header() {
    let asking = "would say who is asking, to servers that read _ as -; allowed: another header";
    for (name, problem) in [
        ("x-api-key", "has no underscore, and needs no permission; allowed: another header"),
        ("x_forwarded_for", asking),
        ("x-auth_request-user", asking),
        ("remote_user", asking),
        ("transfer_encoding", "belongs to one connection, which is authproxy's own; allowed: another header"),
    ] {
        let file = route("/api", &format!("underscore_headers = ['{name}']"));
        let mistakes = Setup::serve().file(&file).mistakes();
        assert_eq!(mistakes, [format!("a.toml:4: route.underscore_headers: \"{name}\" {problem}")]);
    }
    let taken = "allowed: a header that this route does not set";
    files(&[
        (
            route("/api", "user_header = 'X-Whoami'\nunderscore_headers = ['x_whoami']"),
            &[&format!("5: route.underscore_headers: \"x_whoami\" is already set by user_header; {taken}")],
        ),
        (
            route("/api", "token_header = 'X-Token'\nunderscore_headers = ['x_token']"),
            &[&format!("5: route.underscore_headers: \"x_token\" carries the token of this route; {taken}")],
        ),
    ]);
    Setup::serve().file(&route("/api", "underscore_headers = ['api_key', 'X_Debug']")).loaded();
}

#[test]
fn a_response_header_is_set_or_removed() {
    files(&[
        (
            route("/api", "add_response_headers = { X-A = '1', X_A = '2' }"),
            &["4: route.add_response_headers: \"x_a\" is there twice; allowed: each header once"],
        ),
        (
            route("/api", "add_response_headers = { Server = 'x' }\nremove_response_headers = ['server']"),
            &[
                "5: route.remove_response_headers: \"server\" is set by add_response_headers, which replaces it; allowed: a \
               header that add_response_headers does not set",
            ],
        ),
    ]);
    Setup::serve().file(&route("/api", "remove_response_headers = ['Set-Cookie', 'Server']")).loaded();
}

#[test]
fn no_route_touches_the_connection_the_framing_or_the_cookies_of_the_session() {
    let connection = [
        "Connection",
        "Keep-Alive",
        "Proxy-Authorization",
        "Proxy-Connection",
        "proxy_x",
        "TE",
        "Trailer",
        "Transfer-Encoding",
        "transfer_encoding",
        "Upgrade",
        "HTTP2-Settings",
    ]
    .map(|name| (name, "belongs to one connection, which is authproxy's own"));
    let framing = [
        ("Content-Length", "says where the body ends, which only its sender knows"),
        ("Host", "is decided by preserve_host"),
    ];
    for (name, reason) in connection.into_iter().chain(framing) {
        let shown = name.to_ascii_lowercase();
        for (key, value) in [
            ("token_header", format!("'{name}'")),
            ("user_header", format!("'{name}'")),
            ("claim_headers", format!("{{ {name} = 'sub' }}")),
            ("add_request_headers", format!("{{ {name} = 'x' }}")),
            ("remove_request_headers", format!("['{name}']")),
            ("add_response_headers", format!("{{ {name} = 'x' }}")),
            ("remove_response_headers", format!("['{name}']")),
        ] {
            let mistakes = Setup::serve().file(&route("/api", &format!("{key} = {value}"))).mistakes();
            assert_eq!(mistakes, [format!("a.toml:4: route.{key}: \"{shown}\" {reason}; allowed: another header")]);
        }
    }
    files(&[
        (
            route("/api", "add_request_headers = { Cookie = 'a=b' }"),
            &["4: route.add_request_headers: \"cookie\" would replace the browser's cookies; allowed: another header"],
        ),
        (
            route("/api", "token_header = 'Cookie'"),
            &["4: route.token_header: \"cookie\" would replace the browser's cookies; allowed: another header"],
        ),
        (
            route("/api", "add_response_headers = { Set-Cookie = 'session_id=x' }"),
            &[
                "4: route.add_response_headers: \"set-cookie\" would give every browser the same cookie; allowed: another \
               header",
            ],
        ),
    ]);
}

#[test]
fn ambiguous_prefixes_are_refused() {
    let same =
        "is the prefix of another route for the same host (a.toml:2); allowed: one route for each host and prefix";
    let case = "differs only in letter case from the prefix of another route (a.toml:2); allowed: prefixes that differ in \
                more";
    let two = |a: (&str, &str), b: (&str, &str)| route(a.0, a.1) + &route(b.0, b.1);
    let (host, other) = ("host = 'a.example'", "host = 'b.example'");
    files(&[
        (two(("/api", ""), ("/api/", "")), &[&format!("6: route.prefix: \"/api\" {same}")]),
        (two(("/", host), ("/", "host = 'A.Example'")), &[&format!("6: route.prefix: \"/\" {same}")]),
        (two(("/api", ""), ("/API", "")), &[&format!("6: route.prefix: \"/API\" {case}")]),
        (two(("/api", host), ("/Api", "")), &[&format!("6: route.prefix: \"/Api\" {case}")]),
        (two(("/api", host), ("/Api", host)), &[&format!("6: route.prefix: \"/Api\" {case}")]),
    ]);
    for fine in [
        two(("/api", host), ("/api", "")),
        two(("/api", host), ("/api", other)),
        two(("/api", host), ("/API", other)),
        two(("/api", ""), ("/api/v2", "")),
        two(("/api", ""), ("/apis", "")),
        two(("/", ""), ("/api", host)),
    ] {
        assert_eq!(Setup::serve().file(&fine).loaded().config.route.len(), 2);
    }
}

#[test]
fn a_route_at_or_below_an_endpoint_would_be_dead() {
    for (prefix, problem) in [
        ("/login", "is an endpoint of authproxy's own (/login)"),
        ("/Login", "is an endpoint of authproxy's own (/login)"),
        ("/session/x", "is below an endpoint of authproxy's own (/session)"),
        ("/docs/", "is an endpoint of authproxy's own (/docs)"),
        ("/docs/mine", "is below an endpoint of authproxy's own (/docs)"),
        ("/auth/verify", "is an endpoint of authproxy's own (/auth/verify)"),
        ("/auth/verify/x", "is below an endpoint of authproxy's own (/auth/verify)"),
        ("/openapi.json", "is an endpoint of authproxy's own (/openapi.json)"),
    ] {
        let mistakes = Setup::serve().file(&route(prefix, "")).mistakes();
        let shown = prefix.trim_end_matches('/');
        let allowed = "allowed: another prefix, or a shorter one, such as /";
        assert_eq!(mistakes, [format!("a.toml:2: route.prefix: \"{shown}\" {problem}; {allowed}")]);
    }
    for row in &crate::routes::TABLE {
        assert_eq!(Setup::serve().file(&route(row.path, "")).mistakes().len(), 1, "{}", row.path);
    }
    for prefix in ["/", "/auth", "/auth/verifyx", "/loginx", "/api/login", "/docs.html"] {
        Setup::serve().file(&route(prefix, "")).loaded();
    }
}

#[test]
fn a_route_never_leads_back_to_ourselves() {
    let own = "route.upstream: is the address that authproxy itself listens on; allowed: the resource server's address";
    for (listen, upstream, is_own) in [
        ("127.0.0.1:8000", "http://127.0.0.1:8000/v1", true),
        ("127.0.0.1:8000", "http://localhost:8000", true),
        ("127.0.0.1:8000", "https://127.0.0.1:8000", true),
        ("127.0.0.1:8000", "http://0.0.0.0:8000", true),
        ("127.0.0.1:8000", "http://127.0.0.1:8001", false),
        ("127.0.0.1:0", "http://127.0.0.1:8000", false),
        ("127.0.0.1:80", "http://127.0.0.1", true),
        ("0.0.0.0:8000", "http://127.0.0.9:8000", true),
        ("[::]:8000", "http://[::1]:8000", true),
        ("127.0.0.1:8000", "unix:/run/authproxy.sock", false),
    ] {
        let text = format!("[[route]]\nprefix = '/api'\nupstream = '{upstream}'");
        let setup = Setup::serve().file(&text).set("listen", listen).set("public_url", "https://app.example.com");
        match setup.load() {
            Ok(_) => assert!(!is_own, "{listen} {upstream}"),
            Err(mistakes) => assert!(is_own && mistakes.to_string().ends_with(own), "{listen} {upstream}: {mistakes}"),
        }
    }
    let broken = Setup::serve().file(&(String::from("listen = 'x'\n") + &route("/api", ""))).mistakes();
    assert_eq!(broken.len(), 1, "{broken:?}");
}

#[test]
fn a_login_page_can_be_seen_without_a_session() {
    let page = "login_page = '/pages/login?next=1'";
    let closed = |line, place: &str| {
        format!(
            "{line}: route.login_page: \"/pages/login\" is served by the route {place}, which asks for a login itself \
             ({}); allowed: a page of a route with access = \"public\"",
            if place == "/" { "a.toml:4" } else { "a.toml:5" }
        )
    };
    let all = |access: &str| route("/", page) + &route("/pages", &format!("access = '{access}'"));
    let own = Setup::serve().file(&route("/", page)).mistakes();
    assert_eq!(own, [format!("a.toml:{}", closed(4, "/"))]);
    let bearer = Setup::serve().file(&all("bearer")).mistakes();
    assert_eq!(bearer, [format!("a.toml:{}", closed(4, "/pages"))]);
    for fine in [
        all("public"),
        route("/api", page),
        route("/", "login_page = 'https://id.example.com/pages/login'"),
        route("/", "login_page = '/docs'"),
        route("/", page)
            + &route("/pages", "access = 'public'\nhost = 'a.example'")
            + &route("/pages/login", "access = 'public'"),
        route("/", "host = 'a.example'\nlogin_page = '/in'")
            + &route("/in", "access = 'public'")
            + &route("/in", "host = 'b.example'"),
    ] {
        Setup::serve().file(&fine).loaded();
    }
    // What could not be read decides nothing: the page's route may well be public.
    assert_eq!(Setup::serve().file(&all("pubic")).mistakes().len(), 1);
}

#[test]
fn routes_that_a_program_made_are_checked_as_well() {
    let upstream: UpstreamUrl = "http://127.0.0.1:9000".parse().unwrap();
    let good = RouteConfig::new("/api", upstream.clone());
    assert_eq!(check_routes(&[good.clone(), RouteConfig::new("/", upstream)], None), Ok(()));
    let with = |change: &dyn Fn(&mut RouteConfig)| {
        let mut route = good.clone();
        change(&mut route);
        route
    };
    let routes = [
        with(&|r| r.prefix = "/a/".into()),
        with(&|r| r.prefix = "b".into()),
        with(&|r| (r.prefix, r.host) = ("/c".into(), Some("A.Example:80".into()))),
        with(&|r| (r.prefix, r.rewrite_prefix) = ("/d".into(), Some("/../x".into()))),
        with(&|r| (r.prefix, r.methods) = ("/e".into(), vec![Method::CONNECT])),
        with(&|r| (r.prefix, r.max_connections) = ("/f".into(), 0)),
        with(&|r| (r.prefix, r.idle_timeout) = ("/g".into(), std::time::Duration::ZERO)),
        with(&|r| (r.prefix, r.login_page) = ("/h".into(), Some("//evil.example".into()))),
        with(&|r| {
            (r.prefix, r.access) = ("/i".into(), RouteAccess::Public);
            r.user_header = Some(HeaderName::from_static("x-user"));
        }),
        good.clone(),
        good.clone(),
    ];
    let mistakes = check_routes(&routes, Some("127.0.0.1:9000".parse().unwrap())).unwrap_err();
    let lines: Vec<_> = mistakes.to_string().lines().map(str::to_owned).collect();
    let starts = [
        "route 1: prefix: \"/a/\" is not written as /a; allowed: a path in its canonical form, such as /api",
        "route 2: prefix: \"b\" does not begin with a slash;",
        "route 3: host: \"A.Example:80\" is not a host name; allowed: a host name in lower case, without a port",
        "route 4: rewrite_prefix: \"/../x\" has a dot segment in its path;",
        "route 5: methods: \"CONNECT\" is no method that is forwarded; allowed: GET, HEAD,",
        "route 6: max_connections: is zero; allowed: at least 1",
        "route 7: idle_timeout: is zero; allowed: at least 1ms",
        "route 8: login_page: \"//evil.example\" begins with two slashes, which",
        "route 9: user_header: needs a session, which this route does not ask for; allowed: access = \"session\"",
        "route 11: prefix: \"/api\" is the prefix of another route for the same host (route 10); allowed: one route",
    ];
    for (line, start) in lines.iter().zip(starts) {
        assert!(line.starts_with(start), "{start} in {lines:#?}");
    }
    let own: Vec<_> = lines[starts.len()..].iter().map(String::as_str).collect();
    assert_eq!(own.len(), routes.len());
    assert!(
        own.iter().all(|line| line.contains(": upstream: is the address that authproxy itself listens on")),
        "{own:?}"
    );
}
