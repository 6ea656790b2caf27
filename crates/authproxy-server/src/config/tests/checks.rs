use std::time::Duration;

use super::{
    super::{Purpose, Source, load::Shown},
    Setup,
};

type Settings = &'static [(&'static str, &'static str)];

/// Configurations that do not fit together: keys and values, and the lines that they earn.
#[test]
fn what_does_not_fit_together_is_refused() {
    let exposed = "is plain HTTP to another machine, where the session cookie can be read on its way; allowed: https, or a \
                   loopback host, or anything with allow_insecure_http = true";
    let no_secret = "store.secrets: is required with a store in Redis; allowed: one or more secrets of at least 32 \
                     characters each, best in a file that store.secrets_file or AUTHPROXY_STORE__SECRETS_FILE names";
    let no_public = "is required when listen (0.0.0.0:8000) is not a loopback address; allowed: the origin under which \
                     browsers reach it, such as https://app.example.com";
    let own = "--set: auth_url: is the address that authproxy itself listens on; allowed: the auth service's address";
    let cases: Vec<(Settings, Vec<String>)> = vec![
        (&[("public_url", "http://app.example.com")], vec![format!("--set: public_url: {exposed}")]),
        (&[("public_url", "http://192.168.1.5:8000")], vec![format!("--set: public_url: {exposed}")]),
        (&[("listen", "0.0.0.0:8000")], vec![format!("public_url: {no_public}")]),
        (&[("listen", "0.0.0.0:8000"), ("allow_insecure_http", "true")], vec![format!("public_url: {no_public}")]),
        (
            &[("allowed_origins", "https://a.example.com,http://b.example.com")],
            vec![
                "--set: allowed_origins: \"http://b.example.com\" is plain HTTP to another machine, whose pages anyone on \
                 the way can replace; allowed: https, or a loopback host, or anything with allow_insecure_http = true"
                    .into(),
            ],
        ),
        (&[("store.url", "redis://h")], vec![no_secret.into()]),
        (&[("store.url", "redis-cluster://a,b:7001")], vec![no_secret.into()]),
        (
            &[("store.durability", "replica")],
            vec!["--set: store.durability: \"replica\" needs a store in Redis; allowed with memory: async".into()],
        ),
        (
            &[("store.near_ttl", "2m")],
            vec![
                "--set: store.near_ttl: 2m is longer than store.stale_max (1m): a copy would outlive its limit; allowed: at \
                 most 1m"
                    .into(),
            ],
        ),
        (
            &[("backend.connect_timeout", "11s")],
            vec![
                "--set: backend.connect_timeout: 11s is longer than backend.timeout (10s): connecting is part of the call; \
                 allowed: at most 10s"
                    .into(),
            ],
        ),
        (
            &[("backend.timeout", "1s"), ("backend.connect_timeout", "2s")],
            vec![
                "--set: backend.connect_timeout: 2s is longer than backend.timeout (1s): connecting is part of the call; \
                 allowed: at most 1s"
                    .into(),
            ],
        ),
        (
            &[("limits.request_timeout", "5s"), ("backend.timeout", "6s")],
            vec![
                "--set: backend.timeout: 6s is longer than limits.request_timeout (5s): a login could be answered as \
                 failed after the auth service accepted it; allowed: at most 5s"
                    .into(),
            ],
        ),
        (
            &[("limits.request_timeout", "1s"), ("backend.connect_timeout", "2s")],
            vec![
                "--set: backend.connect_timeout: 2s is longer than backend.timeout (1s): connecting is part of the call; \
                 allowed: at most 1s"
                    .into(),
            ],
        ),
        (
            &[("session.idle_timeout", "13h")],
            vec![
                "--set: session.idle_timeout: 13h is longer than session.max_lifetime (12h): it would never apply; allowed: \
                 at most 12h"
                    .into(),
            ],
        ),
        (
            &[("admin.listen", "127.0.0.1:8001")],
            vec!["--set: admin.listen: the admin listener is not available in this version; allowed: off".into()],
        ),
        (
            &[("admin.listen", "0.0.0.0:8000")],
            vec![
                "--set: admin.listen: is the same address as listen; allowed: another address or port".into(),
                "--set: admin.listen: the admin listener is not available in this version; allowed: off".into(),
            ],
        ),
        (&[("auth_url", "http://127.0.0.1:8000/auth")], vec![own.into()]),
        (&[("auth_url", "http://0.0.0.0:8000")], vec![own.into()]),
        (&[("auth_url", "http://localhost:8000")], vec![own.into()]),
        (
            &[("auth_url", "http://127.0.0.1:8000"), ("listen", "0.0.0.0:8000"), ("public_url", "https://a.example.com")],
            vec![own.into()],
        ),
    ];
    for (settings, lines) in cases {
        let setup = Setup::serve().other_file("good", "12345678901234567890123456789012");
        let setup = settings.iter().fold(setup, |setup, (key, value)| setup.set(key, value));
        assert_eq!(setup.mistakes(), lines, "{settings:?}");
    }
}

#[test]
fn tls_needs_both_files_and_an_https_origin() {
    let both = "allowed: both, or none for plain HTTP";
    let set =
        |settings: &[(&str, &str)]| settings.iter().fold(Setup::serve(), |setup, (key, value)| setup.set(key, value));
    let one = |key, other| vec![format!("--set: {key}: is set without {other}; {both}")];
    assert_eq!(set(&[("tls.cert", "c")]).mistakes(), one("tls.cert", "tls.key"));
    assert_eq!(set(&[("tls.key", "k")]).mistakes(), one("tls.key", "tls.cert"));
    let tls = |key, value| set(&[("tls.cert", "c"), ("tls.key", "k"), (key, value)]);
    let plain = "--set: public_url: is plain HTTP, and tls.cert is set; allowed: an https origin";
    assert_eq!(tls("public_url", "http://localhost:8000").mistakes(), [plain]);
    let unspecified = tls("listen", "0.0.0.0:8000").mistakes();
    assert!(unspecified.len() == 1 && unspecified[0].starts_with("public_url: is required"), "{unspecified:?}");
    let file = "tls.cert = ''\ntls.key = 'k'";
    assert_eq!(Setup::serve().file(file).mistakes().len(), 1, "a value that could not be read is not called missing");
}

#[test]
fn certificates_for_redis_need_a_url_with_tls_and_come_in_pairs() {
    let of = |url: &str, settings: &[(&str, &str)]| {
        let setup = Setup::serve().set("store.url", url).set("store.secrets", "12345678901234567890123456789012");
        settings.iter().fold(setup, |setup, (key, value)| setup.set(key, value))
    };
    let all = [("store.tls.ca", "a"), ("store.tls.cert", "c"), ("store.tls.key", "k")];
    for url in ["rediss://h", "rediss-cluster://h", "rediss-sentinel://h/name"] {
        let tls = of(url, &all).loaded().config.store.tls;
        assert_eq!([tls.ca, tls.cert, tls.key], ["a", "c", "k"].map(|path| Some(path.into())), "{url}");
        of(url, &all[..1]).loaded();
        let one = of(url, &all[1..2]).mistakes();
        assert_eq!(one, ["--set: store.tls.cert: is set without store.tls.key; allowed: both, or none"], "{url}");
        let other = of(url, &all[2..]).mistakes();
        assert_eq!(other, ["--set: store.tls.key: is set without store.tls.cert; allowed: both, or none"], "{url}");
    }
    for url in ["memory:", "redis://h", "redis+unix:///run/redis", "redis-sentinel://h/name"] {
        let line = |key| {
            format!(
                "--set: {key}: has no use with this store.url, which asks for no TLS; allowed with rediss://, \
                 rediss-cluster:// or rediss-sentinel://"
            )
        };
        assert_eq!(of(url, &all).mistakes(), ["store.tls.ca", "store.tls.cert", "store.tls.key"].map(line), "{url}");
    }
    let file = "store.url = 'rediss://h'\nstore.secrets = ['12345678901234567890123456789012']\n[store.tls]\nca = 'a'";
    assert!(Setup::serve().file(file).loaded().config.store.tls.ca.is_some());
}

#[test]
fn the_store_of_a_fleet_is_configured() {
    for url in [
        "redis://h",
        "rediss://user:pw@h:6380/3",
        "redis+unix:///run/redis.sock?db=1",
        "redis-cluster://a:7000,b:7001,c",
        "rediss-cluster://a",
        "redis-sentinel://a,b:26380/mymaster",
        "rediss-sentinel://a/mymaster/2",
    ] {
        let setup = Setup::serve().set("store.url", url).set("store.secrets_file", "two");
        let setup = setup.set("store.near_ttl", "0s").set("store.durability", "replica").set("store.wait", "1m");
        let two = "12345678901234567890123456789012\nabcdefghijabcdefghijabcdefghijab\n";
        let store = setup.other_file("two", two).loaded().config.store;
        assert_eq!(store.url, url);
        assert_eq!(store.secrets.len(), 2);
        assert!(store.secrets[0].starts_with('1'), "the first seals");
        assert_eq!((store.near_ttl, store.wait), (Duration::ZERO, Some(Duration::from_secs(60))));
    }
}

#[test]
fn what_is_unusual_but_sound_is_accepted() {
    let cases: [Settings; 12] = [
        &[("public_url", "http://localhost:3000"), ("listen", "0.0.0.0:8000")],
        &[("public_url", "https://app.example.com"), ("listen", "[::]:8000")],
        &[("public_url", "http://app.example.com"), ("allow_insecure_http", "true")],
        &[("listen", "192.168.1.5:8000"), ("allow_insecure_http", "true")],
        &[("allowed_origins", "http://localhost:5173")],
        &[("backend.timeout", "1s"), ("backend.connect_timeout", "1s")],
        &[("limits.request_timeout", "10s")],
        &[("listen", "127.0.0.1:0")],
        &[("auth_url", "http://127.0.0.2:8000")],
        &[("store.capacity", "1")],
        &[("tls.cert", "c"), ("tls.key", "k"), ("listen", "192.168.1.5:8443")],
        &[("tls.cert", "c"), ("tls.key", "k"), ("listen", "0.0.0.0:443"), ("public_url", "https://app.example.com")],
    ];
    for settings in cases {
        settings.iter().fold(Setup::serve(), |setup, (key, value)| setup.set(key, value)).loaded();
    }
}

/// A key that is set, and a key whose default is longer than the first one allows.
#[test]
fn a_default_gives_way_to_a_shorter_limit_that_was_set() {
    let cases: [(&str, &str, &str, &str); 5] = [
        ("backend.timeout", "500ms", "backend.connect_timeout", "\"500ms\""),
        ("limits.request_timeout", "5s", "backend.timeout", "\"5s\""),
        ("limits.request_timeout", "5s", "backend.connect_timeout", "\"2s\""),
        ("limits.request_timeout", "1s500ms", "backend.connect_timeout", "\"1s500ms\""),
        ("store.stale_max", "3s", "store.near_ttl", "\"3s\""),
    ];
    for (key, value, yielding, expected) in cases {
        let loaded = Setup::serve().set(key, value).loaded();
        let setting = loaded.settings.iter().find(|setting| setting.key == yielding).unwrap();
        assert_eq!(setting.value, Shown::Toml(expected.into()), "{key} = {value}: {yielding}");
        assert_eq!(setting.source, Source::Default, "{key} = {value}: {yielding}");
    }
    let config = Setup::serve().set("backend.timeout", "500ms").loaded().config;
    assert_eq!(config.backend.connect_timeout, Duration::from_millis(500));
}

#[test]
fn two_listeners_may_both_take_any_port() {
    let mistakes = Setup::serve().set("listen", "127.0.0.1:0").set("admin.listen", "127.0.0.1:0").mistakes();
    assert_eq!(mistakes, ["--set: admin.listen: the admin listener is not available in this version; allowed: off"]);
}

#[test]
fn dev_issues_no_lifetime_below_a_second() {
    let setup = |purpose| Setup::of(purpose).env("AUTH_URL", "https://a.example.com").set("tokens.access_ttl", "999ms");
    setup(Purpose::Serve).loaded();
    let line = "--set: tokens.access_ttl: is less than `authproxy dev` can issue; allowed: at least 1s";
    assert_eq!(setup(Purpose::Dev).mistakes(), [line]);
}

/// Where it would be another machine's, and nobody said for dev that it is not.
#[test]
fn dev_does_not_use_the_public_url_of_serve() {
    let app = "https://app.example.com";
    let of = |purpose| Setup::of(purpose).env("AUTH_URL", "https://auth.example.com");
    let public_url = |setup: Setup| setup.loaded().config.public_url;
    assert_eq!(public_url(of(Purpose::Dev).env("AUTHPROXY_PUBLIC_URL", app)), None);
    assert_eq!(public_url(of(Purpose::Dev).env("AUTHPROXY_PUBLIC_URL", "http://app.example.com")), None);
    for used in [
        of(Purpose::Serve).env("AUTHPROXY_PUBLIC_URL", app),
        of(Purpose::Dev).set("public_url", app),
        of(Purpose::Dev).env("AUTHPROXY_PUBLIC_URL", "http://localhost:3000"),
        of(Purpose::Dev).env("AUTHPROXY_PUBLIC_URL", app).set("listen", "192.168.1.5:8000"),
    ] {
        assert!(public_url(used).is_some());
    }
}

#[test]
fn only_serve_needs_an_auth_service() {
    let line = "auth_url: is required by `authproxy serve`; set AUTH_URL, or --auth-url, or auth_url in the file (`authproxy \
                dev` needs none)";
    assert_eq!(Setup::of(Purpose::Serve).mistakes(), [line]);
    Setup::of(Purpose::Dev).loaded();
    Setup::of(Purpose::Inspect).set("listen", "0.0.0.0:8000").loaded();
}

#[test]
fn a_value_that_could_not_be_read_is_not_called_missing_or_compared() {
    let mistakes =
        Setup::of(Purpose::Serve).env("AUTH_URL", "x").set("listen", "0.0.0.0").set("store.secrets", "x").mistakes();
    assert_eq!(mistakes.len(), 3, "{mistakes:?}");
}

#[test]
fn what_may_not_be_meant_earns_a_note() {
    for (setup, note) in [
        (
            Setup::of(Purpose::Dev).env("AUTH_URL", "https://auth.example.com"),
            "auth_url (from AUTH_URL) is not used by dev: use serve",
        ),
        (
            Setup::of(Purpose::Dev).file("public_url = 'https://app.example.com'"),
            "public_url (from a.toml:1) is not used by dev, which is reached at the address of listen: --public-url sets \
             another",
        ),
        (
            Setup::of(Purpose::Serve).env("AUTH_URL", "http://auth:9000"),
            "auth_url is plain HTTP to another machine: passwords and tokens can be read on their way",
        ),
        (
            Setup::serve().set("trusted_proxies", "10.0.0.0/8,0.0.0.0/0"),
            "trusted_proxies holds every address: anyone who connects is believed",
        ),
        (
            Setup::serve().file("[[route]]\nprefix = '/api'\nupstream = 'http://api.example.com'"),
            "route.upstream (a.toml:3) is plain HTTP to another machine: tokens can be read on their way",
        ),
        (
            Setup::serve().set("allowed_origins", "http://localhost:5173"),
            "allowed_origins: http://localhost:5173 is another site than public_url (http://127.0.0.1:8000), so browsers \
             send no cookie from its pages: use one host for both",
        ),
        (
            Setup::serve().set("allowed_origins", "http://127.0.0.1:5173").set("public_url", "http://[::1]:8000"),
            "allowed_origins: http://127.0.0.1:5173 is another site than public_url (http://[::1]:8000), so browsers send \
             no cookie from its pages: use one host for both",
        ),
        (
            Setup::of(Purpose::Dev).set("tokens.access_ttl", "1h"),
            "tokens.refresh_ttl is shorter than tokens.access_ttl: sessions end before their first refresh",
        ),
    ] {
        assert_eq!(setup.loaded().notes, [note]);
    }
    assert!(Setup::serve().loaded().notes.is_empty());
    for (public_url, origins) in [
        ("http://localhost:8000", "http://localhost:5173"),
        ("http://app.localhost:8000", "http://localhost:5173"),
        ("http://127.0.0.1:8000", "http://127.0.0.1:5173,https://app.example.com"),
        ("https://app.example.com", "http://localhost:5173"),
    ] {
        let setup = Setup::serve().set("public_url", public_url).set("allowed_origins", origins);
        assert!(setup.loaded().notes.is_empty(), "{public_url} {origins}");
    }
}
