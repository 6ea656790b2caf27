use super::{
    super::{Purpose, Source, load::Shown},
    Setup,
};

const CANARY: &str = "canary-7f3a91c2";

fn secret(n: u32) -> String {
    format!("{CANARY}-{n:016}-------")
}

#[test]
fn secrets_come_from_the_file_the_environment_a_flag_or_a_file_of_their_own() {
    let (a, b) = (secret(1), secret(2));
    let lines = format!("{a}\r\n\n  {b}\n");
    for setup in [
        Setup::serve().file(&format!("store.secrets = ['{a}', '{b}']")),
        Setup::serve().env("AUTHPROXY_STORE__SECRETS", &format!("{a}, {b}")),
        Setup::serve().set("store.secrets", &format!("{a},{b}")),
        Setup::serve().env("AUTHPROXY_STORE__SECRETS_FILE", "/run/s").other_file("/run/s", &lines),
        Setup::serve().file("store.secrets_file = '/run/s'").other_file("/run/s", &lines),
        Setup::serve().set("store.secrets_file", "/run/s").other_file("/run/s", &lines),
    ] {
        let loaded = setup.loaded();
        let secrets: Vec<_> = loaded.config.store.secrets.iter().map(|secret| secret.as_str()).collect();
        assert_eq!(secrets, [&a, &b]);
        let setting = loaded.settings.iter().find(|setting| setting.key == "store.secrets").unwrap();
        assert_eq!(setting.value, Shown::Masked);
        assert_ne!(setting.source, Source::Default);
        assert!(!format!("{loaded:?}").contains(CANARY));
    }
}

#[test]
fn a_secret_on_the_command_line_earns_a_note() {
    let seen =
        |key| format!("{key} was set by --set, and every user of this machine can read a command line: use {key}_file");
    let notes = |setup: Setup| {
        setup.other_file("secrets", &secret(1)).other_file("url", "redis://:pw@localhost").loaded().notes
    };
    let sealed = || Setup::serve().env("AUTHPROXY_STORE__SECRETS", &secret(1));
    assert_eq!(notes(Setup::serve().set("store.secrets", &secret(1))), [seen("store.secrets")]);
    // The flag wins over the file that the environment names.
    let both = Setup::serve().env("AUTHPROXY_STORE__SECRETS_FILE", "secrets").set("store.secrets", &secret(2));
    assert_eq!(notes(both), [seen("store.secrets")]);
    for url in ["redis://:pw@localhost", "redis+unix:///run/redis?pass=pw"] {
        assert_eq!(notes(sealed().set("store.url", url)), [seen("store.url")], "{url}");
    }

    assert!(notes(Setup::serve().set("store.secrets_file", "secrets")).is_empty());
    for (key, value) in
        [("store.url", "redis://localhost"), ("store.url", "redis+unix:///run/redis?db=1"), ("store.url_file", "url")]
    {
        assert!(notes(sealed().set(key, value)).is_empty(), "{key}={value}");
    }
}

#[test]
fn redis_on_another_machine_without_tls_earns_a_note() {
    let notes = |url| Setup::serve().env("AUTHPROXY_STORE__URL", url).set("store.secrets_file", "secrets");
    let notes = |url| notes(url).other_file("secrets", &secret(1)).loaded().notes;
    let note = "store.url asks for no TLS to another machine: a password for Redis can be read on its way, and sessions be \
                ended with it; tokens are sealed";
    for url in [
        "redis://redis:6379",
        "valkey://10.0.0.5/1",
        "redis://:p@localhost@redis",
        "redis-cluster://localhost,b:7001",
        "redis-sentinel://127.0.0.1,10.0.0.5:26379/name",
        "redis://[2001:db8::1]:6379",
    ] {
        assert_eq!(notes(url), [note], "{url}");
    }
    for url in [
        "memory:",
        "redis://localhost:6379",
        "redis://user:pw@127.0.0.1",
        "redis://[::1]:6380/3",
        "redis+unix:///run/redis.sock",
        "redis-cluster://127.0.0.1:7000,127.0.0.1:7001",
        "rediss://redis",
        "valkeys://redis",
        "rediss-sentinel://a,b/name",
    ] {
        assert!(notes(url).is_empty(), "{url}");
    }
}

#[test]
fn weak_secrets_are_refused_without_being_shown() {
    let short = &secret(1)[..31];
    let allowed = "allowed: 1 to 16 secrets of at least 32 characters each";
    let many = (0..17).map(secret).collect::<Vec<_>>().join(",");
    for (value, problem) in [
        (short.to_owned(), "has a secret (number 1) of fewer than 32 characters"),
        (
            format!("# the secrets of our nodes: {}", secret(1)),
            "has a secret (number 1) that begins with #, as a comment would",
        ),
        (format!("{},{short}", secret(1)), "has a secret (number 2) of fewer than 32 characters"),
        (format!("{0},{0}", secret(1)), "has the same secret twice (number 2)"),
        (many, "has 17 secrets"),
        (String::new(), "is empty"),
    ] {
        let from_env = Setup::serve().env("AUTHPROXY_STORE__SECRETS", &value).mistakes();
        assert_eq!(from_env, [format!("AUTHPROXY_STORE__SECRETS: store.secrets: the value {problem}; {allowed}")]);
        let setup = Setup::serve().env("AUTHPROXY_STORE__SECRETS_FILE", "s").other_file("s", &value.replace(',', "\n"));
        let line = format!("AUTHPROXY_STORE__SECRETS_FILE: store.secrets_file: the value {problem}; {allowed}");
        assert_eq!(setup.mistakes(), [line]);
    }
}

#[test]
fn a_secret_has_one_place_in_each_source() {
    let setup = Setup::serve().env("AUTHPROXY_STORE__SECRETS", &secret(1)).env("AUTHPROXY_STORE__SECRETS_FILE", "s");
    let problem = "set store.secrets or store.secrets_file, not both; the other one is AUTHPROXY_STORE__SECRETS";
    assert_eq!(setup.mistakes(), [format!("AUTHPROXY_STORE__SECRETS_FILE: store.secrets: {problem}")]);
}

#[test]
fn no_error_repeats_a_secret_wherever_it_was_put() {
    let secret = secret(1);
    let url = format!("redis://user:{secret}@redis.example.com/0?password={secret}");
    let in_files = [
        format!("store.secrets = '{secret}'"),
        format!("store.secrets = ['{secret}'"),
        format!("store.secrets = [{secret}]"),
        format!("store.secrets = \"{secret}"),
        format!("store.secrets = ['{}']", &secret[..20]),
        format!("store.secrets = [['{secret}']]"),
        format!("store.secrets = {{ first = '{secret}' }}"),
        format!("store.secret = '{secret}'"),
        format!("[store]\nurl = '{url}'"),
        format!("[store]\nurl = '{url}'\nurl = '{url}'"),
        format!("[store]\nurl = ['{url}']"),
        format!("store.secrets_file = '{secret}'"),
        format!("auth_url = 'https://user:{secret}@auth.example.com'"),
        format!("auth_url = 'https://auth.example.com/?key={secret}'"),
        format!("public_url = 'https://{secret}@app.example.com'"),
        format!("allowed_origins = ['https://{secret}@app.example.com']"),
        format!("[[route]]\nprefix = '/'\nupstream = 'http://{secret}@127.0.0.1'"),
    ];
    let by_name = [
        ("AUTHPROXY_STORE__SECRETS_FILE", secret.as_str()),
        ("AUTHPROXY_STORE__URL_FILE", &secret),
        ("AUTHPROXY_STORE__SECRET", &secret),
        ("AUTHPROXY_STORE__URL", &url),
        ("AUTHPROXY_STORE__URL", &secret),
    ];
    let from_files = in_files.iter().map(|text| Setup::of(Purpose::Serve).file(text));
    let from_env = by_name.iter().map(|(name, value)| Setup::of(Purpose::Serve).env(name, value));
    for setup in from_files.chain(from_env) {
        let mistakes = setup.load().expect_err("a mistake");
        let all = format!("{mistakes} {mistakes:?}");
        assert!(!all.contains(CANARY), "{all}");
    }
}

#[test]
fn the_password_of_a_store_is_not_in_debug() {
    let mut config = super::super::Config::default();
    config.store.url = format!("redis://user:{CANARY}@redis.example.com/0");
    config.store.secrets.push(zeroize::Zeroizing::new(secret(1)));
    let debug = format!("{config:?}");
    assert!(!debug.contains(CANARY) && debug.contains("redis://***@redis.example.com/0"), "{debug}");
    let url = format!("redis+unix:///run/redis.sock?db=1&user=a&pass={CANARY}");
    let loaded = Setup::serve().env("AUTHPROXY_STORE__URL", &url).env("AUTHPROXY_STORE__SECRETS", &secret(1)).loaded();
    let shown = format!("{:?} {:?}", loaded.config, loaded.settings);
    assert!(!shown.contains(CANARY) && shown.contains("redis+unix:///run/redis.sock?***"), "{shown}");
}
