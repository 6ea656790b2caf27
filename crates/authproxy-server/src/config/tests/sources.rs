use std::{ffi::OsString, os::unix::ffi::OsStringExt as _};

use super::{
    super::{
        Config, Purpose, Source,
        keys::{self, KEYS},
        load::Shown,
    },
    Setup,
};

/// Another value than the default for every key that this version can set: as text, as TOML, and as it is shown.
const VALUES: [(&str, &str, &str); 29] = [
    ("listen", "127.0.0.1:9000", "\"127.0.0.1:9000\""),
    ("auth_url", "https://other.example.com/v1", "\"https://other.example.com/v1\""),
    ("public_url", "https://app.example.com", "\"https://app.example.com\""),
    ("allow_insecure_http", "true", "true"),
    (
        "allowed_origins",
        "https://a.example.com, https://b.example.com",
        r#"["https://a.example.com", "https://b.example.com"]"#,
    ),
    ("token_delivery", "cookie", "\"cookie\""),
    ("tokens.access_ttl", "90s", "\"90s\""),
    ("tokens.refresh_ttl", "1h30m", "\"1h30m\""),
    ("session.max_lifetime", "8h", "\"8h\""),
    ("session.idle_timeout", "30m", "\"30m\""),
    ("store.url", "memory:", "\"memory:\""),
    ("store.capacity", "5000", "5000"),
    ("store.near_ttl", "1s", "\"1s\""),
    ("store.stale_max", "30s", "\"30s\""),
    ("store.durability", "async", "\"async\""),
    ("store.wait", "1m", "\"1m\""),
    ("backend.connect_timeout", "500ms", "\"500ms\""),
    ("backend.timeout", "3s", "\"3s\""),
    ("backend.rotation", "grace:10s", "\"grace:10s\""),
    ("limits.connections", "50", "50"),
    ("limits.header_timeout", "1s", "\"1s\""),
    ("limits.body_timeout", "2s", "\"2s\""),
    ("limits.request_timeout", "20s", "\"20s\""),
    ("limits.idle_timeout", "1m", "\"1m\""),
    ("limits.drain_timeout", "0s", "\"0s\""),
    ("log.format", "json", "\"json\""),
    ("log.level", "debug", "\"debug\""),
    ("trusted_proxies", "10.0.0.0/8, ::1/128", r#"["10.0.0.0/8", "::1/128"]"#),
    ("verify.login_page", "/login", "\"/login\""),
];

fn value_of(loaded: &super::Loaded, key: &str) -> (Shown, Source) {
    let setting = loaded.settings.iter().find(|setting| setting.key == key).unwrap();
    (setting.value.clone(), setting.source.clone())
}

#[test]
fn every_key_is_in_the_table_of_values_or_has_its_own_test() {
    let others = [
        "admin.listen",
        "store.secrets",
        "store.tls.ca",
        "store.tls.cert",
        "store.tls.key",
        "tls.cert",
        "tls.key",
        "route",
    ];
    for key in KEYS.iter().filter(|key| !others.contains(&key.name)) {
        assert!(VALUES.iter().any(|(name, ..)| *name == key.name), "{}", key.name);
    }
    assert_eq!(VALUES.len() + others.len(), KEYS.len());
}

#[test]
fn every_key_is_set_by_the_file() {
    for (key, _, toml) in VALUES {
        let loaded = Setup::serve().file(&format!("\n{key} = {toml}"));
        let loaded = if key == "auth_url" { Setup { environment: vec![], ..loaded } } else { loaded }.loaded();
        let source = Source::File { path: "a.toml".into(), line: 2 };
        assert_eq!(value_of(&loaded, key), (Shown::Toml(toml.into()), source), "{key}");
    }
}

#[test]
fn every_key_is_set_by_the_environment_over_the_file() {
    for (key, text, toml) in VALUES {
        let variable = KEYS.iter().find(|known| known.name == key).unwrap().env_name();
        let default = Setup::of(Purpose::Inspect).loaded();
        let Shown::Toml(from_file) = value_of(&default, key).0 else { continue };
        let loaded = Setup::serve().file(&format!("{key} = {from_file}")).env(&variable, text).loaded();
        assert_eq!(value_of(&loaded, key), (Shown::Toml(toml.into()), Source::Env(variable)), "{key}");
    }
}

#[test]
fn every_key_is_set_by_a_flag_over_the_environment() {
    for (key, text, toml) in VALUES {
        let known = KEYS.iter().find(|known| known.name == key).unwrap();
        let mut setup = Setup::serve().set(key, text);
        if !known.default.is_empty() {
            setup = setup.env(&known.env_name(), known.default);
        }
        let expected = (Shown::Toml(toml.into()), Source::Flag("--set".into()));
        assert_eq!(value_of(&setup.loaded(), key), expected, "{key}");
    }
}

#[test]
fn every_value_reaches_its_own_field() {
    let loaded =
        VALUES.into_iter().fold(Setup::of(Purpose::Serve), |setup, (key, text, _)| setup.set(key, text)).loaded();
    let all = format!("{:?}", loaded.config);
    for (key, ..) in VALUES {
        let without = VALUES.into_iter().filter(|(other, ..)| *other != key);
        let loaded = without.fold(Setup::of(Purpose::Inspect), |setup, (key, text, _)| setup.set(key, text));
        let same_as_default = ["store.url", "store.durability"].contains(&key);
        let Ok(loaded) = loaded.load() else { panic!("{key}") };
        assert_eq!(format!("{:?}", loaded.config) == all, same_as_default, "{key}");
    }
    for piece in [
        "listen: 127.0.0.1:9000",
        "auth_url: Some(\"https://other.example.com/v1\")",
        "public_url: Some(\"https://app.example.com\")",
        "access_ttl: 90s, refresh_ttl: 5400s",
        "max_lifetime: 28800s, idle_timeout: Some(1800s)",
        "connect_timeout: 500ms, timeout: 3s, rotation: Grace(10s)",
        "connections: 50, header_timeout: 1s, body_timeout: 2s, request_timeout: 20s, idle_timeout: 60s, drain_timeout: 0ns",
        "capacity: 5000, secrets: 0, near_ttl: 1s, stale_max: 30s, durability: Async, wait: Some(60s)",
        "format: Json, level: Debug",
        "trusted_proxies: [10.0.0.0/8, ::1/128]",
        "login_page: Some(\"/login\")",
    ] {
        assert!(all.contains(piece), "{piece} in {all}");
    }
}

#[test]
fn the_table_of_keys_holds_the_defaults_of_the_code() {
    let mut config = Config::default();
    keys::apply_defaults(&mut config);
    assert_eq!(format!("{config:?}"), format!("{:?}", Config::default()));
    let loaded = Setup::of(Purpose::Inspect).loaded();
    assert_eq!(format!("{:?}", loaded.config), format!("{:?}", Config::default()));
    for (setting, key) in loaded.settings.iter().zip(KEYS) {
        assert_eq!((setting.key, &setting.source), (key.name, &Source::Default));
        assert_eq!(setting.value == Shown::Unset, key.default.is_empty(), "{}", key.name);
    }
}

#[test]
fn the_seeds_variable_gives_way_to_ours() {
    let seeds = Setup::of(Purpose::Serve)
        .env("AUTH_URL", "https://seed.example.com/")
        .file("auth_url = 'https://f.example.com'");
    assert_eq!(seeds.loaded().config.auth_url.unwrap(), "https://seed.example.com");
    let ours = seeds.env("AUTHPROXY_AUTH_URL", "https://ours.example.com");
    assert_eq!(ours.loaded().config.auth_url.unwrap(), "https://ours.example.com");
}

#[test]
fn the_environment_names_the_file_unless_a_flag_does() {
    let setup = Setup::serve().other_file("b.toml", "listen = '127.0.0.1:2'").env("AUTHPROXY_CONFIG", "b.toml");
    assert_eq!(setup.loaded().config.listen.port(), 2);
    assert_eq!(setup.file("listen = '127.0.0.1:1'").loaded().config.listen.port(), 1);
}

#[test]
fn groups_are_written_as_tables_inline_or_with_dots() {
    for text in ["[tokens]\naccess_ttl = '5s'", "tokens = { access_ttl = '5s' }", "tokens.access_ttl = '5s'"] {
        let loaded = Setup::serve().file(text).loaded();
        assert_eq!(loaded.config.tokens.access_ttl.as_secs(), 5, "{text}");
    }
    Setup::serve().file("\u{feff}[tokens]\r\n[log]\r\n").loaded();
}

#[test]
fn lists_are_trimmed_and_an_empty_one_clears_the_files() {
    let setup = Setup::serve().file("allowed_origins = ['https://A.example.com/', 'https://a.example.com:443']");
    assert_eq!(setup.loaded().config.allowed_origins, ["https://a.example.com"]);
    assert!(setup.env("AUTHPROXY_ALLOWED_ORIGINS", "").loaded().config.allowed_origins.is_empty());
}

#[test]
fn the_certificate_and_its_key_are_set_together_by_every_source() {
    let toml = Setup::serve().file("tls = { cert = 'cert.pem', key = 'key.pem' }");
    let env = Setup::serve().env("AUTHPROXY_TLS__CERT", "cert.pem").env("AUTHPROXY_TLS__KEY", "key.pem");
    let flags = Setup::serve().set("tls.cert", "cert.pem").set("tls.key", "key.pem");
    for setup in [toml, env, flags] {
        let loaded = setup.loaded();
        assert_eq!(loaded.config.tls.cert.as_deref(), Some("cert.pem".as_ref()));
        assert_eq!(loaded.config.tls.key.as_deref(), Some("key.pem".as_ref()));
        assert_eq!(value_of(&loaded, "tls.key").0, Shown::Toml("\"key.pem\"".into()));
        assert_eq!(loaded.config.default_public_url(loaded.config.listen), "https://127.0.0.1:8000");
    }
    let plain = Config::default();
    assert_eq!(plain.default_public_url(plain.listen), "http://127.0.0.1:8000");
}

#[test]
fn off_turns_off_what_can_be_off() {
    for off in ["off", "0s", "0ms"] {
        let setup = Setup::serve().file("session.idle_timeout = '5m'").set("session.idle_timeout", off);
        assert_eq!(setup.loaded().config.session.idle_timeout, None, "{off}");
    }
    assert_eq!(Setup::serve().set("admin.listen", "off").loaded().config.admin.listen, None);
}

#[test]
fn other_programs_variables_are_not_ours() {
    Setup::serve().env("AUTHPROXYX", "x").env("PATH", "/bin").env("authproxy_listen", "x").loaded();
    let odd = OsString::from_vec(b"AUTHPROX\xff".to_vec());
    Setup::serve().env_os(odd, OsString::from_vec(vec![0xff])).loaded();
}

#[test]
fn the_variables_that_kubernetes_makes_of_a_service_are_ignored() {
    let links = [
        ("AUTHPROXY_SERVICE_HOST", "10.0.0.11"),
        ("AUTHPROXY_SERVICE_PORT", "8000"),
        ("AUTHPROXY_SERVICE_PORT_HTTP", "8000"),
        ("AUTHPROXY_PORT", "tcp://10.0.0.11:8000"),
        ("AUTHPROXY_PORT_8000_TCP", "tcp://10.0.0.11:8000"),
        ("AUTHPROXY_PORT_8000_TCP_PROTO", "tcp"),
        ("AUTHPROXY_PORT_8000_TCP_PORT", "8000"),
        ("AUTHPROXY_PORT_8000_TCP_ADDR", "10.0.0.11"),
        ("AUTHPROXY_ADMIN_SERVICE_HOST", "fd00::1"),
        ("AUTHPROXY_ADMIN_PORT_8001_TCP", "tcp://[fd00::1]:8001"),
    ];
    links.iter().fold(Setup::serve(), |setup, (name, value)| setup.env(name, value)).loaded();
    for (name, value) in [("AUTHPROXY_PORT", "8000"), ("AUTHPROXY_SERVICE_HOST", "example"), ("AUTHPROXY_PORT_X", "1")]
    {
        assert_eq!(Setup::serve().env(name, value).mistakes().len(), 1, "{name}");
    }
}
