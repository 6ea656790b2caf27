use std::{ffi::OsString, os::unix::ffi::OsStringExt as _};

use proptest::prelude::*;

use super::{
    super::{Purpose, check_routes, keys::KEYS, route::keys::ROUTE_KEYS},
    Setup,
};

const ADDRESS: &str = "an IP address and a port, such as 127.0.0.1:8000";
const URL: &str = "an http or https URL, such as https://auth.example.com";
const ORIGIN: &str = "a scheme, a host and maybe a port, such as https://app.example.com";
const STORES: &str = "allowed: memory:, redis://host:port, redis-cluster://host:port,host:port, \
                      redis-sentinel://host:port,host:port/name (each with TLS as rediss), or redis+unix:///path";
const YEAR: &str = "a duration from 1ms to 365d, written like 500ms, 2m or 1h30m";

/// Bad values, each with the sentence that it earns.
fn bad_values() -> Vec<(&'static str, &'static str, String)> {
    vec![
        ("listen", "localhost:8000", format!("\"localhost:8000\" is not an IP address and a port; allowed: {ADDRESS}")),
        ("listen", "8000", format!("\"8000\" is not an IP address and a port; allowed: {ADDRESS}")),
        ("listen", "", format!("the value is empty; allowed: {ADDRESS}")),
        ("admin.listen", "on", format!("\"on\" is not an IP address and a port; allowed: off, or {ADDRESS}")),
        (
            "auth_url",
            "auth.example.com",
            format!("\"auth.example.com\" does not begin with http:// or https://; allowed: {URL}"),
        ),
        ("auth_url", "https://u:p@example.com", format!("the value has a user name or a password; allowed: {URL}")),
        ("auth_url", "https://example.com/?k=v", format!("the value has a query; allowed: {URL}")),
        ("public_url", "https://example.com/app", format!("\"https://example.com/app\" has a path; allowed: {ORIGIN}")),
        ("allow_insecure_http", "yes", "\"yes\" is neither true nor false; allowed: true or false".into()),
        (
            "allowed_origins",
            "https://a.example.com,*",
            "\"*\" would let every page in; allowed: a list of origins, such as https://app.example.com".into(),
        ),
        ("token_delivery", "Body", "\"Body\" is none of the known words; allowed: auto, body or cookie".into()),
        ("tokens.access_ttl", "120", format!("\"120\" has a number without a unit; allowed: {YEAR}")),
        ("tokens.access_ttl", "0s", format!("\"0s\" is out of range; allowed: {YEAR}")),
        ("tokens.refresh_ttl", "366d", format!("\"366d\" is out of range; allowed: {YEAR}")),
        ("tokens.refresh_ttl", "off", format!("\"off\" is not a duration; allowed: {YEAR}")),
        (
            "session.max_lifetime",
            "off",
            "\"off\" is not a duration; allowed: a duration from 1s to 365d, written like 500ms, 2m or 1h30m".into(),
        ),
        (
            "session.idle_timeout",
            "1ms",
            "\"1ms\" is out of range; allowed: off, or a duration from 1s to 365d, written like 500ms, 2m or 1h30m"
                .into(),
        ),
        (
            "store.url",
            "postgres://x",
            format!(
                "the value is not usable: the scheme is none of redis, rediss, redis+unix, unix, redis-cluster, \
                 rediss-cluster, redis-sentinel and rediss-sentinel; {STORES}"
            ),
        ),
        ("store.url", "redis://", format!("the value is not usable: a host is missing or malformed; {STORES}")),
        (
            "store.url",
            "redis://h:99999",
            format!("the value is not usable: a port is not a number from 1 to 65535; {STORES}"),
        ),
        (
            "store.url",
            "redis-sentinel://h:26379",
            format!(
                "the value is not usable: the name that the Sentinels know the primary by is missing: \
                 redis-sentinel://host:port/NAME; {STORES}"
            ),
        ),
        ("store.wait", "1ms", "\"1ms\" is out of range; allowed: off, or a duration from 1s to 1d, written like 500ms, 2m or 1h30m".into()),
        ("store.capacity", "0", "\"0\" is out of range; allowed: a whole number from 1 to 100000000".into()),
        ("store.capacity", "-1", "\"-1\" is out of range; allowed: a whole number from 1 to 100000000".into()),
        ("store.capacity", "1e6", "\"1e6\" is not a whole number; allowed: a whole number from 1 to 100000000".into()),
        ("store.durability", "sync", "\"sync\" is none of the known words; allowed: async or replica".into()),
        (
            "backend.rotation",
            "lenient",
            "\"lenient\" is no rotation contract; allowed: strict, grace:<duration up to 1h>, reusable or idempotent"
                .into(),
        ),
        (
            "backend.rotation",
            "grace:0s",
            "\"grace:0s\" is out of range; allowed: strict, grace:<duration up to 1h>, reusable or idempotent".into(),
        ),
        (
            "limits.connections",
            "many",
            "\"many\" is not a whole number; allowed: a whole number from 1 to 1000000".into(),
        ),
        (
            "log.level",
            "verbose",
            "\"verbose\" is none of the known words; allowed: error, warn, info, debug or trace".into(),
        ),
        (
            "trusted_proxies",
            "127.0.0.1,10.0.0.1/8",
            "\"10.0.0.1/8\" is an address inside of 10.0.0.0/8; allowed: a list of IP addresses and networks, such as \
             127.0.0.1 and 10.0.0.0/8"
                .into(),
        ),
        (
            "verify.login_page",
            "//login",
            "\"//login\" begins with two slashes, which browsers read as the name of another host; allowed: a path such \
             as /login, or an http or https URL"
                .into(),
        ),
        ("tls.cert", "", "the value is empty; allowed: the path of a file".into()),
        ("route", "x", "the value can only be written in the configuration file; allowed: [[route]] tables".into()),
    ]
}

#[test]
fn a_bad_value_is_named_with_its_key_its_source_and_what_is_allowed() {
    for (key, value, sentence) in bad_values() {
        let variable = KEYS.iter().find(|known| known.name == key).unwrap().env_name();
        let from_env = Setup::serve().env(&variable, value).mistakes();
        assert_eq!(from_env, [format!("{variable}: {key}: {sentence}")]);
        let from_flag = Setup::serve().set(key, value).mistakes();
        assert_eq!(from_flag, [format!("--set: {key}: {sentence}")]);
        // In the file these are of another type, which has its own sentence.
        let typed = [
            "allowed_origins",
            "allow_insecure_http",
            "store.capacity",
            "limits.connections",
            "trusted_proxies",
            "route",
        ];
        if !typed.contains(&key) {
            let from_file = Setup::serve().file(&format!("# a comment\n{key} = \"{value}\"")).mistakes();
            assert_eq!(from_file, [format!("a.toml:2: {key}: {sentence}")]);
        }
    }
}

#[test]
fn a_value_of_another_type_is_named_by_its_type() {
    for (text, start) in [
        ("listen = 8000", "a.toml:1: listen: the value is a number; allowed: an IP"),
        ("tokens.access_ttl = 120", "a.toml:1: tokens.access_ttl: the value is a number; allowed: a duration"),
        ("tokens.access_ttl = 1.5", "a.toml:1: tokens.access_ttl: the value is a number with a fraction; allowed: a"),
        (
            "allow_insecure_http = 'true'",
            "a.toml:1: allow_insecure_http: the value is a string; allowed: true or false",
        ),
        ("store.capacity = '5'", "a.toml:1: store.capacity: the value is a string; allowed: a whole number"),
        ("store.capacity = 99999999999999999999", "a.toml:1: store.capacity: the value is a number that is too large;"),
        (
            "allowed_origins = 'https://a.example.com'",
            "a.toml:1: allowed_origins: the value is a string; allowed: a list",
        ),
        ("allowed_origins = [1]", "a.toml:1: allowed_origins: the value is a list of something other than strings;"),
        ("listen = ['127.0.0.1:1']", "a.toml:1: listen: the value is a list; allowed"),
        ("listen = 2026-01-01", "a.toml:1: listen: the value is a date; allowed"),
        ("[listen]\na = 1", "a.toml:1: listen: the value is a table; allowed"),
        ("log = 'json'", "a.toml:1: log: is a group of keys, not a value; write it as [log]"),
        ("route = 'x'", "a.toml:1: route: the value is not a list; allowed: [[route]] tables"),
    ] {
        let mistakes = Setup::serve().file(text).mistakes();
        assert!(mistakes.len() == 1 && mistakes[0].starts_with(start), "{text}: {mistakes:?}");
    }
}

#[test]
fn an_unknown_key_gets_the_nearest_known_one() {
    for (text, problem) in [
        ("lisen = 1", "a.toml:1: lisen: unknown key; did you mean listen?"),
        ("\n[token]\naccess_ttl = 1", "a.toml:3: token.access_ttl: unknown key; did you mean tokens.access_ttl?"),
        ("[tokens]\nacces_ttl = 1", "a.toml:2: tokens.acces_ttl: unknown key; did you mean tokens.access_ttl?"),
        ("access_ttl = '2m'", "a.toml:1: access_ttl: unknown key; did you mean tokens.access_ttl?"),
        ("\"tokens.access_ttl\" = '2m'", "a.toml:1: tokens.access_ttl: unknown key; did you mean tokens.access_ttl?"),
        ("[[routes]]\nprefix = '/'", "a.toml:1: routes: unknown key; did you mean route?"),
        ("colour = 1", "a.toml:1: colour: unknown key; `authproxy print-config` shows every key"),
        ("[colour]", "a.toml:1: colour: unknown key; `authproxy print-config` shows every key"),
    ] {
        assert_eq!(Setup::serve().file(text).mistakes(), [problem], "{text}");
    }
    for (name, problem) in [
        ("AUTHPROXY_LISEN", "AUTHPROXY_LISEN: unknown variable; did you mean AUTHPROXY_LISTEN?"),
        (
            "AUTHPROXY_TOKENS_ACCESS_TTL",
            "AUTHPROXY_TOKENS_ACCESS_TTL: unknown variable; did you mean AUTHPROXY_TOKENS__ACCESS_TTL?",
        ),
        ("AUTHPROXY_listen", "AUTHPROXY_listen: unknown variable; did you mean AUTHPROXY_LISTEN?"),
        (
            "AUTHPROXY_CONFIG_FILE",
            "AUTHPROXY_CONFIG_FILE: unknown variable; those of authproxy are AUTHPROXY_<KEY>, with __ for a dot",
        ),
        ("AUTHPROXY_", "AUTHPROXY_: unknown variable; those of authproxy are AUTHPROXY_<KEY>, with __ for a dot"),
    ] {
        assert_eq!(Setup::serve().env(name, "x").mistakes(), [problem], "{name}");
    }
    assert_eq!(Setup::serve().set("lisen", "x").mistakes(), ["--set: lisen: unknown key; did you mean listen?"]);
}

#[test]
fn everything_is_said_at_once_and_in_order() {
    let setup = Setup::of(Purpose::Serve)
        .file("[tokens]\nrefresh_ttl = 'x'\naccess_ttl = 'y'\n[lgo]\nlevel = 'info'\n[[route]]\nprefix = '/api'\n")
        .env("AUTHPROXY_TOKEN_DELIVERY", "z")
        .env("AUTHPROXY_ADMIN__LISTEN", "127.0.0.1:8000")
        .set("log.levle", "info")
        .set("log.format", "xml");
    let starts = [
        "a.toml:2: tokens.refresh_ttl: \"x\" is not a duration",
        "a.toml:3: tokens.access_ttl: \"y\" is not a duration",
        "a.toml:5: lgo.level: unknown key; did you mean log.level?",
        "a.toml:6: route.upstream: is required",
        "AUTHPROXY_TOKEN_DELIVERY: token_delivery: \"z\" is none of the known words",
        "--set: log.levle: unknown key; did you mean log.level?",
        "--set: log.format: \"xml\" is none of the known words",
        "AUTHPROXY_ADMIN__LISTEN: admin.listen: is the same address as listen",
        "AUTHPROXY_ADMIN__LISTEN: admin.listen: the admin listener is not available in this version",
        "auth_url: is required by `authproxy serve`",
    ];
    let mistakes = setup.mistakes();
    assert_eq!(mistakes.len(), starts.len(), "{mistakes:#?}");
    for (mistake, start) in mistakes.iter().zip(starts) {
        assert!(mistake.starts_with(start), "{start} in {mistakes:#?}");
    }
    let all = setup.load().expect_err("mistakes").to_string();
    assert!(all.starts_with("the configuration has 10 mistakes\n  a.toml:2: "), "{all}");
}

#[test]
fn a_value_that_is_overridden_must_be_right_as_well() {
    let mistakes = Setup::serve().file("listen = 'x'").set("listen", "127.0.0.1:1").mistakes();
    assert!(mistakes.len() == 1 && mistakes[0].starts_with("a.toml:1: listen: "), "{mistakes:?}");
}

#[test]
fn a_value_that_overrides_a_bad_one_is_compared_with_the_rest() {
    let mistakes = Setup::serve().file("listen = 'x'").set("listen", "0.0.0.0:1").mistakes();
    assert!(mistakes.len() == 2 && mistakes[1].starts_with("public_url: is required when listen"), "{mistakes:?}");
}

#[test]
fn one_source_says_a_thing_once() {
    let mistakes = Setup::serve().set("listen", "127.0.0.1:1").set("listen", "127.0.0.1:2").mistakes();
    assert_eq!(mistakes, ["--set: listen: was already set by --set; set it once"]);
}

#[test]
fn a_file_that_is_not_toml_is_shown_by_line_and_hides_what_it_would_say() {
    let mistakes =
        Setup::of(Purpose::Serve).file("listen = '127.0.0.1:1'\nauth_url = https://x\nlisten = 'y'\n").mistakes();
    assert!(mistakes[0].starts_with("a.toml:2: not TOML: "), "{mistakes:?}");
    assert!(mistakes.iter().all(|mistake| mistake.contains(": not TOML: ")), "{mistakes:?}");
    assert_eq!(Setup::serve().file(&"=\n".repeat(1000)).mistakes().len(), 5);
    assert_eq!(Setup::serve().file(&"=".repeat(1000)).mistakes().len(), 1);
}

#[test]
fn a_file_that_cannot_be_read_is_named_and_the_rest_is_still_checked() {
    let mistakes = Setup::of(Purpose::Serve)
        .env("AUTHPROXY_CONFIG", "no.toml")
        .env("AUTHPROXY_LISTEN", "x")
        .set("store.url", "redis://h")
        .mistakes();
    assert_eq!(mistakes[0], "AUTHPROXY_CONFIG: cannot read the configuration file \"no.toml\": entity not found");
    assert!(mistakes[1].starts_with("AUTHPROXY_LISTEN: listen: \"x\""), "{mistakes:?}");
    assert_eq!(mistakes.len(), 2, "{mistakes:?}");
}

#[test]
fn a_variable_that_is_not_utf8_is_refused() {
    let mistakes = Setup::serve().env_os("AUTHPROXY_LISTEN".into(), OsString::from_vec(vec![0xff])).mistakes();
    assert_eq!(mistakes, [format!("AUTHPROXY_LISTEN: listen: the value is not UTF-8; allowed: {ADDRESS}")]);
}

#[test]
fn a_mistake_is_one_line_whatever_was_written() {
    let long = "x\n\u{1b}[2J".repeat(100_000);
    let setup = Setup::serve().set(&long, "1").set("listen", &long).env(&format!("AUTHPROXY_{long}"), "1");
    let setup = setup.file("\"a\\nb\" = 1\n\"\\u001b[2J\" = 1");
    for mistake in setup.mistakes() {
        assert!(mistake.len() < 800 && !mistake.contains(char::is_control), "{mistake:?}");
    }
}

fn toml_like() -> impl Strategy<Value = String> {
    let word = prop_oneof![
        (0..KEYS.len()).prop_map(|n| KEYS[n].name.to_owned()),
        "[a-z_.\"]{1,12}",
        (0..ROUTE_KEYS.len()).prop_map(|n| ROUTE_KEYS[n].name.to_owned()),
        Just("store.secrets_file".to_owned()),
    ];
    let value = prop_oneof![
        "[0-9]{1,22}|true|false|\\[\\]|\\{\\}|1.5|2026-01-01|inf",
        "\"[a-z0-9:/.@%,-]{0,40}\"",
        "\\[\"[a-z0-9:/.]{0,20}\", \"[a-z]{0,40}\"\\]",
        "\\PC{0,20}",
    ];
    let line = prop_oneof![
        (word.clone(), value).prop_map(|(word, value)| format!("{word} = {value}")),
        word.clone().prop_map(|word| format!("[{word}]")),
        word.prop_map(|word| format!("[[{word}]]")),
        "\\PC{0,20}".prop_map(|text| text),
    ];
    prop::collection::vec(line, 0..12).prop_map(|lines| lines.join("\n"))
}

/// A route with a prefix, an upstream and some more keys, whose values are often right.
fn route_like() -> impl Strategy<Value = String> {
    let value = || {
        prop_oneof![
            "'/[a-z/]{0,8}'|'https?://[a-z.:0-9]{1,12}(/[a-z]{0,4})?'|'[0-9]{1,6}(ms|s|m|h|KiB|MiB|GiB)?'",
            "true|false|0|[1-9][0-9]{0,6}|'(session|bearer|public)'|\\['(GET|POST|TRACE)', '[A-Z]{3,5}'\\]",
            "'[A-Za-z_-]{1,12}'|\\['[A-Za-z_-]{1,12}', '(Cookie|Host|Authorization|X-A)'\\]",
            "\\{ (X-A|X_A|Cookie|Authorization|Te) = '[ -&(-~]{0,8}', X-B = '[ -&(-~]{0,4}' \\}",
        ]
    };
    let optional = ROUTE_KEYS.iter().map(|key| key.name).filter(|key| !["prefix", "upstream"].contains(key));
    let keys = prop::sample::subsequence(optional.collect::<Vec<_>>(), 0..4);
    let more = keys.prop_flat_map(move |keys| {
        let lines: Vec<_> =
            keys.into_iter().map(|key| value().prop_map(move |value| format!("{key} = {value}\n"))).collect();
        lines.prop_map(|lines| lines.concat())
    });
    let prefix = "/(api|API|a|docs|login|auth)?(/[a-z]{1,2})?/?";
    let upstream = "http://127\\.0\\.0\\.1:(8000|9000)|https://u|unix:/run/s";
    (prefix, upstream, more)
        .prop_map(|(prefix, upstream, more)| format!("[[route]]\nprefix = '{prefix}'\nupstream = '{upstream}'\n{more}"))
}

proptest! {
    #[test]
    fn any_file_is_loaded_or_refused(text in prop_oneof![toml_like(), "\\PC{0,200}", any::<String>()]) {
        if let Err(mistakes) = Setup::serve().file(&text).load() {
            prop_assert!(mistakes.iter().all(|mistake| !mistake.to_string().contains('\n')), "{}", mistakes);
        }
    }

    #[test]
    fn any_routes_are_loaded_and_pass_the_check_or_refused(routes in prop::collection::vec(route_like(), 0..5)) {
        match Setup::serve().file(&routes.concat()).load() {
            Ok(loaded) => {
                prop_assert_eq!(loaded.config.route.len(), routes.len());
                prop_assert_eq!(check_routes(&loaded.config.route, Some(loaded.config.listen)), Ok(()));
            }
            Err(mistakes) => {
                for mistake in mistakes.iter() {
                    let line = mistake.to_string();
                    prop_assert!(line.starts_with("a.toml:") && line.contains(": route.") && !line.contains('\n'), "{}", line);
                }
            }
        }
    }

    #[test]
    fn any_value_of_any_key_is_loaded_or_refused(n in 0..KEYS.len(), value in any::<String>()) {
        let key = &KEYS[n];
        let _ = Setup::serve().set(key.name, &value).env(&key.env_name(), &value).load();
    }
}
