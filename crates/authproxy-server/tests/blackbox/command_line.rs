//! The command line: what is printed where, and with which exit code.

use std::net::TcpListener;

use serde_json::Value;

use crate::{
    auth_service::closed_port,
    config_file::ConfigFile,
    program::{Ended, Program},
};

fn run(arguments: &[&str]) -> Ended {
    Program::run(arguments, &[])
}

#[test]
fn a_port_that_is_taken_is_one_clear_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    for command in [&["dev"][..], &["serve", "--auth-url", "http://127.0.0.1:9"]] {
        let ended = run(&[command, &["--listen", &address]].concat());
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{ended:?}");
        assert_eq!(ended.stderr.lines().count(), 1, "{}", ended.stderr);
        let expected = format!("authproxy: cannot listen on {address}: address already in use");
        assert!(ended.stderr.starts_with(&expected), "{}", ended.stderr);
    }
}

#[test]
fn every_mistake_of_a_configuration_is_named_at_once() {
    let secret = "a-secret-too-short";
    let environment = [
        ("AUTHPROXY_TOKENS__ACCESS_TTL", "soon"),
        ("AUTHPROXY_LOG__LEVEL", "loud"),
        ("AUTHPROXY_LISSEN", "127.0.0.1:0"),
        ("AUTHPROXY_STORE__SECRETS", secret),
    ];
    let flags = ["--set", "backend.rotation=sometimes", "--listen", "nowhere"];
    for command in ["serve", "check"] {
        let ended = Program::run(&[&[command], &flags[..]].concat(), &environment);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(78), ""), "{ended:?}");
        for named in [
            "AUTHPROXY_TOKENS__ACCESS_TTL",
            "AUTHPROXY_LOG__LEVEL",
            "AUTHPROXY_LISSEN",
            "AUTHPROXY_STORE__SECRETS",
            "backend.rotation",
            "--listen",
            "auth_url",
        ] {
            assert!(ended.stderr.contains(named), "{command}: {named} in {}", ended.stderr);
        }
        assert!(ended.stderr.starts_with("authproxy: the configuration has 7 mistakes\n"), "{}", ended.stderr);
        assert!(!ended.stderr.contains(secret), "{}", ended.stderr);
    }
    let ended = run(&["check", "--config", "/nowhere/authproxy.toml", "--auth-url", "http://127.0.0.1:9"]);
    assert_eq!(ended.code, Some(78));
    assert!(ended.stderr.contains("/nowhere/authproxy.toml"), "{}", ended.stderr);
}

#[test]
fn bad_usage_is_exit_code_2_and_says_how() {
    for arguments in [&[][..], &["run"], &["dev", "--lissen", "x"], &["serve", "--set", "x"], &["dev", "extra"]] {
        let ended = run(arguments);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(2), ""), "{arguments:?}: {ended:?}");
        assert!(ended.stderr.contains("Usage") || ended.stderr.contains("--help"), "{}", ended.stderr);
    }
}

#[test]
fn version_and_help_go_to_the_standard_output() {
    let version = run(&["--version"]);
    assert_eq!((version.code, version.stderr.as_str()), (Some(0), ""));
    assert_eq!(version.stdout, format!("authproxy {}\n", env!("CARGO_PKG_VERSION")));
    for arguments in [&["--help"][..], &["dev", "--help"], &["serve", "--help"], &["healthcheck", "--help"]] {
        let help = run(arguments);
        assert_eq!((help.code, help.stderr.as_str()), (Some(0), ""), "{arguments:?}");
        assert!(help.stdout.contains("Usage: authproxy") && help.stdout.contains("Examples:"), "{}", help.stdout);
    }
}

#[test]
fn check_accepts_a_good_configuration() {
    for arguments in [&["check", "--dev"][..], &["check", "--auth-url", "https://auth.example.com"]] {
        let ended = run(arguments);
        assert_eq!(ended.code, Some(0), "{ended:?}");
        assert!(!ended.stdout.is_empty());
    }
}

#[test]
fn print_config_names_sources_and_masks_secrets() {
    let secret = "0123456789-0123456789-0123456789-0123456789";
    let environment = [
        ("AUTH_URL", "https://auth.example.com"),
        ("AUTHPROXY_STORE__SECRETS", secret),
        ("AUTHPROXY_TOKENS__ACCESS_TTL", "90s"),
    ];
    let ended = Program::run(&["print-config", "--set", "log.format=json"], &environment);
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(!ended.stdout.contains(secret) && !ended.stderr.contains(secret));
    let line = |key: &str| {
        let mut lines = ended.stdout.lines().map(|line| line.trim_start_matches("# "));
        lines.find(|line| line.starts_with(key)).unwrap_or_else(|| panic!("no {key} in {}", ended.stdout))
    };
    for (key, value, source) in [
        ("auth_url", "https://auth.example.com", "AUTH_URL"),
        ("tokens.access_ttl", "90s", "AUTHPROXY_TOKENS__ACCESS_TTL"),
        ("log.format", "json", "--set"),
        ("listen", "127.0.0.1:8000", "default"),
    ] {
        assert!(line(key).contains(value) && line(key).contains(source), "{}", line(key));
    }
    assert!(line("store.secrets").contains("AUTHPROXY_STORE__SECRETS"));
}

#[test]
fn openapi_is_a_document_of_version_3_1() {
    let ended = run(&["openapi"]);
    assert_eq!((ended.code, ended.stderr.as_str()), (Some(0), ""));
    let document: Value = serde_json::from_str(&ended.stdout).unwrap();
    assert!(document["openapi"].as_str().unwrap().starts_with("3.1"), "{}", document["openapi"]);
    for (path, method) in [
        ("/register", "post"),
        ("/login", "post"),
        ("/refresh", "post"),
        ("/protected", "get"),
        ("/protected-auto", "get"),
        ("/logout", "post"),
    ] {
        assert!(document["paths"][path][method]["responses"].is_object(), "{method} {path}");
    }
    let (_program, address) = Program::dev(&[]);
    let served = crate::http::Ask::get("/openapi.json").send(address);
    assert_eq!((served.status, served.json()), (200, document), "what is printed is what is served");
}

#[test]
fn healthcheck_tells_a_running_instance_from_none() {
    let (program, address) = Program::dev(&[]);
    let url = format!("http://{address}");
    let healthy = run(&["healthcheck", "--url", &url]);
    assert_eq!((healthy.code, healthy.stdout.as_str(), healthy.stderr.as_str()), (Some(0), "healthy\n", ""));
    let healthy = Program::run(&["healthcheck"], &[("AUTHPROXY_LISTEN", &address.to_string())]);
    assert_eq!(healthy.code, Some(0), "{healthy:?}");
    assert_eq!(program.stop().code, Some(0));

    for url in [url, format!("http://{}", closed_port())] {
        let ended = run(&["healthcheck", "--url", &url]);
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{ended:?}");
        assert!(ended.stderr.starts_with("unhealthy: ") && ended.stderr.lines().count() == 1, "{}", ended.stderr);
    }
}

#[test]
fn dev_says_what_is_running_and_where_the_docs_are() {
    let (program, address) = Program::dev(&["--access-ttl", "5s", "--refresh-ttl", "1m"]);
    let banner = program.wait_for_output("Stop it with Ctrl-C.");
    for words in [&format!("http://{address}\n"), &format!("http://{address}/docs"), "tokens live 5s", "tokens 1m"] {
        assert!(banner.contains(words), "{words:?} in {banner}");
    }
    assert_eq!(crate::http::Ask::get("/docs").send(address).status, 200);
}

#[test]
fn routes_are_checked_and_shown_by_their_lines() {
    let route = "[[route]]\nprefix = '/api'\nupstream = 'http://127.0.0.1:9000'\n";
    let good = ConfigFile::new("good", &format!("{route}add_request_headers = {{ X-Key = 'canary-7f3a91c2' }}\n"));
    let ended = run(&["check", "--dev", "--config", good.path()]);
    let valid = "configuration is valid\nroute /api to http://127.0.0.1:9000, session\n";
    assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.as_str()), (Some(0), valid, ""));
    let shown = run(&["print-config", "--config", good.path()]);
    let line = format!("prefix = \"/api\"                              # {}:2\n", good.path());
    assert!(shown.stdout.contains(&line) && !shown.stdout.contains("canary"), "{}", shown.stdout);

    let bad = ConfigFile::new("bad", &format!("{route}{route}body_limit = 'none'\n"));
    for command in [&["dev"][..], &["check", "--dev"], &["serve", "--auth-url", "http://127.0.0.1:9"]] {
        let ended = run(&[command, &["--config", bad.path()]].concat());
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(78), ""), "{ended:?}");
        for named in [
            "the configuration has 2 mistakes",
            &format!("{}:5: route.prefix: \"/api\" is the prefix of another route", bad.path()),
            &format!("{}:7: route.body_limit: \"none\" is not a size; allowed: a size from 0", bad.path()),
        ] {
            assert!(ended.stderr.contains(named), "{command:?}: {named} in {}", ended.stderr);
        }
    }
}

#[test]
fn files_that_cannot_be_used_are_named_at_once_and_before_anything_runs() {
    let route =
        |name: &str| format!("[[route]]\nprefix = '/{name}'\nupstream = 'https://a'\nupstream_ca = '/gone/{name}'\n");
    let text = format!(
        "tls.cert = '/gone/cert'\ntls.key = '/gone/key'\n\
         store = {{ url = 'rediss://h', secrets = ['{}'], tls.ca = '/gone/ca' }}\n{}{}",
        "x".repeat(32),
        route("a"),
        route("b")
    );
    let file = ConfigFile::new("files", &text);
    let gone = "No such file or directory (os error 2)";
    let wrong = [
        format!("`tls.cert` cannot be read from /gone/cert: {gone}"),
        format!("`store.tls.ca`: cannot read /gone/ca: {gone}"),
        format!("`upstream_ca` of route /a cannot be used: {gone}"),
        format!("`upstream_ca` of route /b cannot be used: {gone}"),
    ];
    let serve = ["serve", "--auth-url", "http://127.0.0.1:9"];
    for command in [&["dev"][..], &serve] {
        let ended = run(&[command, &["--config", file.path()]].concat());
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{ended:?}");
        assert_eq!(ended.stderr, wrong.each_ref().map(|line| format!("authproxy: {line}\n")).concat());
    }
    for command in [&["check", "--dev"][..], &["check", "--auth-url", "http://127.0.0.1:9"]] {
        let ended = run(&[command, &["--config", file.path()]].concat());
        assert_eq!((ended.code, ended.stdout.as_str()), (Some(78), ""), "{ended:?}");
        let lines = wrong.each_ref().map(|line| format!("  {line}\n")).concat();
        assert_eq!(ended.stderr, format!("authproxy: the configuration has 4 mistakes\n{lines}"));
    }
}

#[test]
fn dev_takes_a_file_with_routes() {
    let file = ConfigFile::new("dev", "[[route]]\nprefix = '/api'\nupstream = 'http://127.0.0.1:9'\n");
    let (program, address) = Program::dev(&["--config", file.path()]);
    assert_eq!(crate::http::Ask::get("/docs").send(address).status, 200);
    assert_eq!(program.stop().code, Some(0));
}
