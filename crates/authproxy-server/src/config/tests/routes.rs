use std::time::Duration;

use http::{HeaderName, HeaderValue, Method};

use super::{
    super::{Purpose, RouteAccess, RouteConfig, Source, UpstreamUrl, load::Shown, route::keys::ROUTE_KEYS},
    Setup,
};

/// What a route needs, on lines 2 and 3 of a file that begins with it.
const GOOD: &str = "[[route]]\nprefix = '/api'\nupstream = 'http://127.0.0.1:9000'\n";

/// A value for every key, which can stand together.
const EVERY_KEY: &str = "
[[route]]
prefix = '/api/'
host = 'Api.Example.com'
upstream = 'HTTPS://Upstream:443/v1/'
upstream_ca = 'ca.pem'
strip_prefix = false
rewrite_prefix = '/v2'
access = 'session'
methods = ['GET', 'POST']
preserve_host = true
login_page = 'https://id.example.com/login?app=1'
token_header = 'X-Token'
user_header = 'X-User'
claim_headers = { X-Email = 'email', X-Roles = 'https://example.com/roles' }
add_request_headers = { Authorization = 'Basic canary', Accept-Encoding = '' }
remove_request_headers = ['Cookie']
underscore_headers = ['Api_Key']
add_response_headers = { X-Frame-Options = ' DENY ' }
remove_response_headers = ['Server', 'Set-Cookie']
connect_timeout = '1s'
first_byte_timeout = '1m'
idle_timeout = '1h30m'
body_limit = '1GiB'
max_connections = 7
";

fn only(text: &str) -> RouteConfig {
    let mut routes = Setup::serve().file(text).loaded().config.route;
    assert_eq!(routes.len(), 1, "{text}");
    routes.remove(0)
}

fn upstream(text: &str) -> UpstreamUrl {
    text.parse().unwrap()
}

#[test]
fn a_route_is_read_with_its_defaults() {
    assert_eq!(only(GOOD), RouteConfig::new("/api", upstream("http://127.0.0.1:9000")));
    let root = only("[[route]]\nprefix = '/'\nupstream = 'unix:/run/api.sock:/v1'");
    assert_eq!(root, RouteConfig::new("/", upstream("unix:/run/api.sock:/v1")));
}

#[test]
fn a_route_is_read_with_every_key() {
    for key in ROUTE_KEYS {
        assert!(EVERY_KEY.contains(&format!("\n{} = ", key.name)), "{}", key.name);
    }
    let name = HeaderName::from_static;
    let value = HeaderValue::from_static;
    let mut expected = RouteConfig::new("/api", upstream("https://upstream/v1"));
    expected.host = Some("api.example.com".into());
    expected.upstream_ca = Some("ca.pem".into());
    expected.rewrite_prefix = Some("/v2".into());
    expected.access = RouteAccess::Session;
    expected.methods = vec![Method::GET, Method::POST];
    expected.preserve_host = true;
    expected.login_page = Some("https://id.example.com/login?app=1".into());
    expected.token_header = Some(name("x-token"));
    expected.user_header = Some(name("x-user"));
    expected.claim_headers =
        vec![(name("x-email"), "email".into()), (name("x-roles"), "https://example.com/roles".into())];
    expected.add_request_headers =
        vec![(name("accept-encoding"), value("")), (name("authorization"), value("Basic canary"))];
    expected.remove_request_headers = vec![name("cookie")];
    expected.underscore_headers = vec![name("api_key")];
    expected.add_response_headers = vec![(name("x-frame-options"), value("DENY"))];
    expected.remove_response_headers = vec![name("server"), name("set-cookie")];
    expected.connect_timeout = Duration::from_secs(1);
    expected.first_byte_timeout = Duration::from_mins(1);
    expected.idle_timeout = Duration::from_mins(90);
    expected.body_limit = 1 << 30;
    expected.max_connections = 7;
    let read = only(EVERY_KEY);
    assert_eq!(read, expected);
    assert!(!format!("{read:?}").contains("canary"), "{read:?}");
}

#[test]
fn what_can_be_written_in_two_ways_is_read_in_both() {
    assert!(only(&format!("{GOOD}strip_prefix = true")).strip_prefix);
    for (text, access) in
        [("session", RouteAccess::Session), ("bearer", RouteAccess::Bearer), ("public", RouteAccess::Public)]
    {
        assert_eq!(only(&format!("{GOOD}access = '{text}'")).access, access);
    }
    for (text, bytes) in [("0", 0), ("'0'", 0), ("1048576", 1 << 20), ("'512KiB'", 1 << 19), ("'1024GiB'", 1 << 40)] {
        assert_eq!(only(&format!("{GOOD}body_limit = {text}")).body_limit, bytes, "{text}");
    }
    assert!(Setup::serve().file("route = []").loaded().config.route.is_empty());
    let inline = "route = [{ prefix = '/api', upstream = 'http://127.0.0.1:9000' }]";
    assert_eq!(only(inline), only(GOOD));
}

/// A line behind a good route, or a whole file, and what is said of it.
#[test]
fn a_bad_value_of_a_route_is_named_with_its_line_its_key_and_what_is_allowed() {
    let path = "allowed: a path such as /api, without escapes, dots and empty segments";
    let page = "allowed: a path such as /login, or an http or https URL";
    let size = "allowed: a size from 0 to 1024GiB, written like 10MiB, 512KiB or 1000";
    let methods = "allowed: a list of GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS";
    let values = "allowed: a table of header names and texts, such as { X-Api = \"2\" }";
    for (line, expected) in [
        ("prefx = 1", "prefx: unknown key; did you mean route.prefix?".to_owned()),
        ("idle_timout = '1s'", "idle_timout: unknown key; did you mean route.idle_timeout?".to_owned()),
        ("host = 'a:80'", "host: \"a:80\" is not a host name; allowed: a host name without a port".to_owned()),
        ("host = 'a/b'", "host: \"a/b\" is not a host name; allowed: a host name without a port".to_owned()),
        ("upstream_ca = ''", "upstream_ca: the value is empty; allowed: the path of a file".to_owned()),
        ("strip_prefix = 'yes'", "strip_prefix: the value is a string; allowed: true or false".to_owned()),
        ("rewrite_prefix = 'b'", format!("rewrite_prefix: \"b\" does not begin with a slash; {path}")),
        (
            "access = 'all'",
            "access: \"all\" is none of the known words; allowed: session, bearer or public".to_owned(),
        ),
        ("methods = ['get']", format!("methods: \"get\" is no method that is forwarded; {methods}")),
        ("methods = ['CONNECT']", format!("methods: \"CONNECT\" is no method that is forwarded; {methods}")),
        ("methods = []", format!("methods: the value is empty; {methods}")),
        ("methods = 'GET'", format!("methods: the value is a string; {methods}")),
        (
            "login_page = '//evil.example'",
            format!(
                "login_page: \"//evil.example\" begins with two slashes, which browsers read as the name of another \
                 host; {page}"
            ),
        ),
        (
            "login_page = 'login'",
            format!(
                "login_page: \"login\" is neither a path that begins with a slash nor an http or https URL; {page}"
            ),
        ),
        (
            "token_header = 'X Token'",
            "token_header: \"X Token\" is not a header name; allowed: a header name, such as X-Access-Token".to_owned(),
        ),
        (
            "user_header = ''",
            "user_header: the value is empty; allowed: a header name, such as X-User".to_owned(),
        ),
        (
            "claim_headers = { X-Email = '' }",
            "claim_headers: \"X-Email\" names no claim; allowed: a table of header names and claims, such as { X-Email \
             = \"email\" }"
                .to_owned(),
        ),
        ("add_request_headers = ['X-A']", format!("add_request_headers: the value is a list; {values}")),
        (
            "add_request_headers = { X-A = 1 }",
            format!("add_request_headers: \"X-A\" has a value that is not a string; {values}"),
        ),
        (
            "add_request_headers = { X-A = \"canary\\n\" , X-B = \"canary\\u0001canary\" }",
            format!("add_request_headers: \"X-B\" has a value with characters that a header cannot have; {values}"),
        ),
        (
            "add_response_headers = { ':status' = '200' }",
            format!("add_response_headers: \":status\" is not a header name; {values}"),
        ),
        (
            "remove_request_headers = ['X-A:']",
            "remove_request_headers: \"X-A:\" is not a header name; allowed: a list of header names".to_owned(),
        ),
        (
            "connect_timeout = '6m'",
            "connect_timeout: \"6m\" is out of range; allowed: a duration from 1ms to 5m, written like 500ms, 2m or \
             1h30m"
                .to_owned(),
        ),
        (
            "idle_timeout = 5",
            "idle_timeout: the value is a number; allowed: a duration from 1ms to 1d, written like 500ms, 2m or 1h30m"
                .to_owned(),
        ),
        ("body_limit = '10MB'", format!("body_limit: \"10MB\" has an unknown unit; {size}")),
        ("body_limit = 'unlimited'", format!("body_limit: \"unlimited\" is not a size; {size}")),
        ("body_limit = '1025GiB'", format!("body_limit: \"1025GiB\" is out of range; {size}")),
        ("body_limit = -1", format!("body_limit: \"-1\" is out of range; {size}")),
        ("body_limit = true", format!("body_limit: the value is a boolean; {size}")),
        (
            "max_connections = 0",
            "max_connections: \"0\" is out of range; allowed: a whole number from 1 to 100000".to_owned(),
        ),
    ] {
        let mistakes = Setup::serve().file(&format!("{GOOD}{line}")).mistakes();
        assert_eq!(mistakes, [format!("a.toml:4: route.{expected}")], "{line}");
    }
}

#[test]
fn a_route_says_what_it_serves_and_where_that_is() {
    let prefix = "allowed: a path such as /api, without escapes, dots and empty segments";
    let address = "allowed: an http or https URL, such as http://127.0.0.1:9000, or unix:/path/to/socket";
    for (text, expected) in [
        ("[[route]]\nprefix = '/a'", vec![format!("a.toml:1: route.upstream: is required; {address}")]),
        ("[[route]]\nupstream = 'http://127.0.0.1:1'", vec![format!("a.toml:1: route.prefix: is required; {prefix}")]),
        (
            "\n[[route]]",
            vec![
                format!("a.toml:2: route.prefix: is required; {prefix}"),
                format!("a.toml:2: route.upstream: is required; {address}"),
            ],
        ),
        ("route = [1]", vec!["a.toml:1: route: the value is not a table; allowed: [[route]] tables".into()]),
        (
            "[[route]]\nprefix = '/a'\nupstream = 'http://u:p@h'",
            vec![format!("a.toml:3: route.upstream: the value has a user name or a password; {address}")],
        ),
        (
            "[[route]]\nprefix = '/a'\nupstream = 'unix:api.sock'",
            vec![format!(
                "a.toml:3: route.upstream: \"unix:api.sock\" does not name a socket by its whole path; {address}"
            )],
        ),
    ] {
        assert_eq!(Setup::serve().file(text).mistakes(), expected, "{text}");
    }
    for odd in ["api", "/a/../b", "/a//b", "//a", "/a%2fb", "/a?b", "/a;b", "/a\\\\b", "/./a", "/ü", ""] {
        let text = format!("[[route]]\nprefix = \"{odd}\"\nupstream = 'http://127.0.0.1:1'");
        let mistakes = Setup::serve().file(&text).mistakes();
        assert!(mistakes.len() == 1 && mistakes[0].starts_with("a.toml:2: route.prefix: "), "{odd}: {mistakes:?}");
    }
}

#[test]
fn every_mistake_of_every_route_is_said_at_once_and_no_echo_of_them() {
    let text = "[[route]]\nprefix = 'x'\nhost = 'a:1'\naccess = 'all'\nclaim_headers = { A = 'b' }\nfoo = 1\n[[route]]\n\
                prefix = '/docs'\nupstream = 'ftp://x'\nupstream_ca = 'ca.pem'\nstrip_prefix = true\nrewrite_prefix = '/'\n\
                [[route]]\nprefix = 'x'\n";
    let starts = [
        "a.toml:1: route.upstream: is required",
        "a.toml:2: route.prefix: \"x\" does not begin with a slash",
        "a.toml:3: route.host: \"a:1\" is not a host name",
        "a.toml:4: route.access: \"all\" is none of the known words",
        "a.toml:6: route.foo: unknown key; allowed: prefix, host, upstream,",
        "a.toml:8: route.prefix: \"/docs\" is an endpoint of authproxy's own (/docs)",
        "a.toml:9: route.upstream: \"ftp://x\" does not begin with http:// or https://",
        "a.toml:12: route.rewrite_prefix: is set together with strip_prefix",
        "a.toml:13: route.upstream: is required",
        "a.toml:14: route.prefix: \"x\" does not begin with a slash",
    ];
    let mistakes = Setup::serve().file(text).mistakes();
    assert_eq!(mistakes.len(), starts.len(), "{mistakes:#?}");
    for (mistake, start) in mistakes.iter().zip(starts) {
        assert!(mistake.starts_with(start), "{start} in {mistakes:#?}");
    }
}

#[test]
fn every_purpose_takes_routes() {
    for purpose in [Purpose::Dev, Purpose::Serve, Purpose::Inspect] {
        let setup = Setup::of(purpose).set("auth_url", "https://auth.example.com").file(&format!("{GOOD}{EVERY_KEY}"));
        assert_eq!(setup.loaded().config.route.len(), 2);
    }
}

#[test]
fn routes_are_shown_with_the_line_of_each_value() {
    let loaded = Setup::serve().file(&format!("{EVERY_KEY}\n{GOOD}")).loaded();
    let setting = loaded.settings.last().unwrap();
    let line = |line| Source::File { path: "a.toml".into(), line };
    assert_eq!((setting.key, &setting.source), ("route", &line(2)));
    let Shown::Tables(tables) = &setting.value else { panic!("{setting:?}") };
    let shown = |table: usize, key: &str| {
        let setting = tables[table].1.iter().find(|setting| setting.key == key)?;
        Some((setting.value.clone(), setting.source.clone()))
    };
    let toml = |text: &str, source| Some((Shown::Toml(text.into()), source));
    assert_eq!(tables[0].1.len(), ROUTE_KEYS.len());
    assert_eq!(shown(0, "prefix"), toml("\"/api\"", line(3)));
    assert_eq!(
        shown(0, "claim_headers"),
        toml("{ \"x-email\" = \"email\", \"x-roles\" = \"https://example.com/roles\" }", line(15))
    );
    assert_eq!(shown(0, "add_request_headers"), Some((Shown::Masked, line(16))));
    assert_eq!(shown(0, "remove_response_headers"), toml("[\"server\", \"set-cookie\"]", line(20)));
    assert_eq!(shown(0, "idle_timeout"), toml("\"1h30m\"", line(23)));
    assert_eq!(tables[1].0, line(27));
    assert_eq!(shown(1, "access"), toml("\"session\"", Source::Default));
    assert_eq!(shown(1, "body_limit"), toml("\"10MiB\"", Source::Default));
    assert_eq!(shown(1, "login_page"), None);
}
