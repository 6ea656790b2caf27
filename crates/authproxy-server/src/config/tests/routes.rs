use std::time::Duration;

use toml::de::DeTable;

use super::{
    super::{RouteAccess, RouteConfig, Source, mistake::Mistake, route::read},
    Setup,
};

fn parse(text: &str) -> (Option<RouteConfig>, Vec<String>) {
    let text = format!("[[route]]\n{text}");
    let table = DeTable::parse(&text).unwrap();
    let line = |offset| Source::File { path: "a".into(), line: 1 + text[..offset].matches('\n').count() };
    let mut mistakes = Vec::new();
    let route = read(&table.get_ref()["route"].get_ref().as_array().unwrap()[0], &line, &mut mistakes);
    (route, mistakes.iter().map(Mistake::to_string).collect())
}

#[test]
fn a_route_is_read_with_its_defaults() {
    let (route, mistakes) = parse("prefix = '/api/'\nupstream = 'HTTP://Upstream:80/v1/'");
    assert!(mistakes.is_empty(), "{mistakes:?}");
    let expected = RouteConfig {
        prefix: "/api".into(),
        host: None,
        upstream: "http://upstream/v1".into(),
        strip_prefix: false,
        rewrite_prefix: None,
        access: RouteAccess::Session,
        methods: vec![],
        connect_timeout: None,
        timeout: None,
    };
    assert_eq!(route, Some(expected));
}

#[test]
fn a_route_is_read_with_every_key() {
    let (route, mistakes) = parse(
        "prefix = '/'\nhost = 'Api.Example.com'\nupstream = 'http://127.0.0.1:9000'\nrewrite_prefix = '/v2'\naccess = \
         'bearer'\nmethods = ['GET', 'POST']\nconnect_timeout = '1s'\ntimeout = '1m'\nstrip_prefix = false",
    );
    assert!(mistakes.is_empty(), "{mistakes:?}");
    let expected = RouteConfig {
        prefix: "/".into(),
        host: Some("api.example.com".into()),
        upstream: "http://127.0.0.1:9000".into(),
        strip_prefix: false,
        rewrite_prefix: Some("/v2".into()),
        access: RouteAccess::Bearer,
        methods: vec!["GET".into(), "POST".into()],
        connect_timeout: Some(Duration::from_secs(1)),
        timeout: Some(Duration::from_mins(1)),
    };
    assert_eq!(route, Some(expected));
}

#[test]
fn a_bad_route_is_explained() {
    let good = "prefix = '/a'\nupstream = 'http://127.0.0.1:9000'";
    for (text, line) in [
        ("prefix = '/a'", "a:1: route.upstream: is required"),
        ("upstream = 'http://u'", "a:1: route.prefix: is required"),
        (&format!("{good}\nprefx = 1"), "a:4: route.prefx: unknown key; did you mean route.prefix?"),
        (
            &format!("{good}\naccess = 'all'"),
            "a:4: route.access: \"all\" is none of the known words; allowed: session, bearer or public",
        ),
        (
            &format!("{good}\nmethods = ['get']"),
            "a:4: route.methods: \"get\" is no method that is forwarded; allowed: GET, HEAD,",
        ),
        (&format!("{good}\nmethods = ['CONNECT']"), "a:4: route.methods: \"CONNECT\" is no method that is forwarded;"),
        (&format!("{good}\nmethods = []"), "a:4: route.methods: the value is empty; allowed:"),
        (&format!("{good}\nhost = 'a:80'"), "a:4: route.host: \"a:80\" is not a host name; allowed"),
        (&format!("{good}\nhost = 'a/b'"), "a:4: route.host: \"a/b\" is not a host name; allowed"),
        (
            &format!("{good}\ntimeout = '0s'"),
            "a:4: route.timeout: \"0s\" is out of range; allowed: a duration from 1ms to 1h",
        ),
        (
            &format!("{good}\nstrip_prefix = 'yes'"),
            "a:4: route.strip_prefix: the value is a string; allowed: true or false",
        ),
        (
            &format!("{good}\nstrip_prefix = true\nrewrite_prefix = '/b'"),
            "a:1: route.rewrite_prefix: cannot be set together with route.strip_prefix",
        ),
        (
            &format!("{good}\nrewrite_prefix = 'b'"),
            "a:4: route.rewrite_prefix: \"b\" does not begin with a slash; allowed:",
        ),
    ] {
        let (route, mistakes) = parse(text);
        assert!(route.is_none(), "{text}");
        assert!(mistakes.len() == 1 && mistakes[0].starts_with(line), "{text}: {mistakes:?}");
    }
    for prefix in ["api", "/a/../b", "/a//b", "/a%2fb", "/a?b", "/a;b", "/a\\\\b", "/./a", "/ü"] {
        let (_, mistakes) = parse(&format!("prefix = \"{prefix}\"\nupstream = 'http://u'"));
        assert!(mistakes.len() == 1 && mistakes[0].starts_with("a:2: route.prefix: "), "{prefix}: {mistakes:?}");
    }
}

#[test]
fn a_configured_route_is_refused_in_this_version() {
    let route = "[[route]]\nprefix = '/a'\nupstream = 'http://127.0.0.1:9000'\n";
    let mistakes = Setup::serve().file(&format!("{route}{route}")).mistakes();
    let problem = "route: routes are not available in this version; remove it";
    assert_eq!(mistakes, [format!("a.toml:1: {problem}"), format!("a.toml:4: {problem}")]);
    assert!(Setup::serve().file("route = []").loaded().config.route.is_empty());
}
