//! From arguments to commands, exit codes and texts; and a health check over real sockets.

#![allow(clippy::unwrap_used)]

use std::{
    fs,
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpListener},
    path::PathBuf,
    thread::{self, JoinHandle},
    time::Duration,
};

use super::*;
use crate::config::{Config, TokenDelivery, keys::KEYS};

const AUTH: &[(&str, &str)] = &[("AUTH_URL", "https://auth.example.com")];

fn parse_with(arguments: &[&str], environment: &[(&str, &str)]) -> Result<Command, Stop> {
    let arguments = std::iter::once("authproxy").chain(arguments.iter().copied()).map(OsString::from);
    parse(arguments, environment.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))))
}

fn stop(arguments: &[&str], environment: &[(&str, &str)]) -> Stop {
    parse_with(arguments, environment).expect_err("to stop")
}

/// A file that is removed with its owner.
struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str, text: &str) -> Self {
        let path = std::env::temp_dir().join(format!("authproxy-{}-{name}", std::process::id()));
        fs::write(&path, text).unwrap();
        Self(path)
    }

    fn path(&self) -> &str {
        self.0.to_str().unwrap()
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.0);
    }
}

#[test]
fn serve_is_loaded_from_its_flags() {
    let arguments = "serve --auth-url https://a.example.com --public-url https://app.example.com --listen 127.0.0.1:9 \
                     --set token_delivery=body --set log.format=json";
    let Ok(Command::Serve(loaded)) = parse_with(&arguments.split(' ').collect::<Vec<_>>(), &[]) else { panic!() };
    let Config { auth_url, public_url, listen, token_delivery, .. } = loaded.config;
    assert_eq!(auth_url.as_deref(), Some("https://a.example.com"));
    assert_eq!(public_url.as_deref(), Some("https://app.example.com"));
    assert_eq!((listen.port(), token_delivery), (9, TokenDelivery::Body));
}

#[test]
fn dev_needs_nothing_and_takes_lifetimes() {
    let Ok(Command::Dev(loaded)) = parse_with(&["dev"], &[]) else { panic!() };
    assert_eq!(format!("{:?}", loaded.config), format!("{:?}", Config::default()));
    let Ok(Command::Dev(loaded)) = parse_with(&["dev", "--access-ttl", "5s", "--refresh-ttl", "1m"], &[]) else {
        panic!()
    };
    let tokens = loaded.config.tokens;
    assert_eq!((tokens.access_ttl, tokens.refresh_ttl), (Duration::from_secs(5), Duration::from_mins(1)));
}

#[test]
fn a_file_is_read_from_the_disk_by_flag_and_by_variable() {
    let file = Scratch::new("file.toml", "listen = '127.0.0.1:9'\nauth_url = 'https://a.example.com'\n");
    for (arguments, environment) in
        [(vec!["serve", "--config", file.path()], vec![]), (vec!["serve"], vec![("AUTHPROXY_CONFIG", file.path())])]
    {
        let Ok(Command::Serve(loaded)) = parse_with(&arguments, &environment) else { panic!() };
        assert_eq!((loaded.config.listen.port(), loaded.file), (9, Some(file.0.clone())));
    }
}

#[test]
fn bad_usage_is_2_and_a_bad_configuration_is_78() {
    for arguments in [
        &[][..],
        &["fly"],
        &["serve", "--fly"],
        &["serve", "--set", "listen"],
        &["serve", "--listen"],
        &["healthcheck", "--url", "http://127.0.0.1/x"],
        &["healthcheck", "--url", "http://127.0.0.1", "--listen", "127.0.0.1:1"],
        &["healthcheck", "--listen", "127.0.0.1:0"],
        &["openapi", "--listen", "127.0.0.1:1"],
    ] {
        assert_eq!(stop(arguments, AUTH).exit().code(), 2, "{arguments:?}");
    }
    for arguments in [
        &["serve"][..],
        &["check"],
        &["dev", "--access-ttl", "0s"],
        &["dev", "--set", "fly=1"],
        &["print-config", "--listen", "x"],
        &["healthcheck", "--listen", "x"],
        &["dev", "--config", "/nonexistent/authproxy.toml"],
    ] {
        assert_eq!(stop(arguments, &[]).exit().code(), 78, "{arguments:?}");
    }
}

#[test]
fn mistakes_go_to_standard_error_all_of_them() {
    let stop = stop(&["check", "--listen", "x", "--set", "a.b=1"], &[("AUTHPROXY_STORE__CAPACITY", "0")]);
    let (mut out, mut err) = (Vec::new(), Vec::new());
    assert_eq!(stop.report(&mut out, &mut err), Exit::Config);
    assert!(out.is_empty());
    let text = String::from_utf8(err).unwrap();
    let lines: Vec<_> = text.lines().collect();
    assert_eq!(lines[0], "authproxy: the configuration has 4 mistakes");
    assert!(lines[1].starts_with("  AUTHPROXY_STORE__CAPACITY: store.capacity: \"0\" is out of range;"), "{text}");
    assert!(lines[3].starts_with("  --listen: listen: \"x\" is not an IP address and a port;"), "{text}");
    assert!(lines[2].starts_with("  --set: a.b: unknown key;"), "{text}");
    assert!(lines[4].starts_with("  auth_url: is required by `authproxy serve`;"), "{text}");
}

#[test]
fn a_pair_without_an_equals_sign_is_not_repeated() {
    let stop = stop(&["serve", "--set", "store.secrets:canary-7f3a91c2"], AUTH);
    assert!(!stop.to_string().contains("canary"), "{stop}");
    assert!(stop.to_string().contains("--set has no equals sign; write it as KEY=VALUE"), "{stop}");
}

#[test]
fn help_and_version_go_to_standard_output_and_every_command_has_examples() {
    let version = stop(&["--version"], &[]);
    assert_eq!(
        (version.exit(), version.to_string()),
        (Exit::Success, format!("authproxy {}\n", env!("CARGO_PKG_VERSION")))
    );
    for arguments in [
        &["--help"][..],
        &["dev", "--help"],
        &["serve", "--help"],
        &["check", "--help"],
        &["openapi", "--help"],
        &["print-config", "--help"],
        &["healthcheck", "--help"],
    ] {
        let help = stop(arguments, &[]);
        let (mut out, mut err) = (Vec::new(), Vec::new());
        assert_eq!(help.report(&mut out, &mut err), Exit::Success, "{arguments:?}");
        assert!(err.is_empty());
        assert!(String::from_utf8(out).unwrap().contains("Examples:\n  "), "{arguments:?}");
    }
}

#[test]
fn check_says_that_all_is_well() {
    let Ok(Command::Check(loaded)) = parse_with(&["check"], AUTH) else { panic!() };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    assert_eq!(run_check(&loaded, &mut out, &mut err), Exit::Success);
    assert_eq!((out.as_slice(), err.as_slice()), (&b"configuration is valid\n"[..], &b""[..]));

    let Ok(Command::Check(loaded)) = parse_with(&["check", "--dev"], AUTH) else { panic!() };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    assert_eq!(run_check(&loaded, &mut out, &mut err), Exit::Success);
    assert_eq!(String::from_utf8(err).unwrap(), "note: auth_url (from AUTH_URL) is not used by dev: use serve\n");
}

fn printed(arguments: &[&str], environment: &[(&str, &str)]) -> String {
    let Ok(Command::PrintConfig(loaded)) = parse_with(arguments, environment) else { panic!() };
    let mut out = Vec::new();
    assert_eq!(print_config(&loaded, &mut out, &mut Vec::new()), Exit::Success);
    String::from_utf8(out).unwrap()
}

#[test]
fn print_config_shows_values_and_their_sources_and_masks_secrets() {
    let file = Scratch::new("print.toml", "\nlog.format = 'json'\n");
    let secret = "canary-7f3a91c2-canary-7f3a91c2-canary";
    let text = printed(
        &["print-config", "--config", file.path(), "--set", "store.capacity=7"],
        &[("AUTHPROXY_STORE__SECRETS", secret), ("AUTHPROXY_ALLOWED_ORIGINS", "https://b.example.com")],
    );
    for line in [
        "listen = \"127.0.0.1:8000\"                    # default".to_owned(),
        "# auth_url is not set".to_owned(),
        "allowed_origins = [\"https://b.example.com\"]  # AUTHPROXY_ALLOWED_ORIGINS".to_owned(),
        "store.capacity = 7                           # --set".to_owned(),
        "# store.secrets is set, and masked           # AUTHPROXY_STORE__SECRETS".to_owned(),
        format!("log.format = \"json\"                          # {}:2", file.path()),
        format!("# configuration file: {}", file.path()),
    ] {
        assert!(text.lines().any(|printed| printed == line), "{line} in {text}");
    }
    assert_eq!(text.lines().count(), 1 + KEYS.len());
    assert!(!text.contains("canary"), "{text}");
}

const ROUTES: &str = "\
listen = '127.0.0.1:8080'

[[route]]
prefix = '/api'
upstream = 'http://127.0.0.1:9000/v1'
strip_prefix = true
claim_headers = { X-Email = 'email' }

[[route]]
prefix = '/'
host = 'app.example.com'
upstream = 'unix:/run/pages.sock'
access = 'public'
add_request_headers = { X-Key = 'canary' }
";

#[test]
fn routes_are_printed_with_their_lines_and_without_the_values_that_may_be_secret() {
    let file = Scratch::new("routes.toml", ROUTES);
    let text = printed(&["print-config", "--config", file.path()], &[]);
    let (_, routes) = text.split_once("\n\n").unwrap();
    let expected = [
        format!("[[route]]                                    # {}:3", file.path()),
        format!("prefix = \"/api\"                              # {}:4", file.path()),
        format!("upstream = \"http://127.0.0.1:9000/v1\"        # {}:5", file.path()),
        format!("strip_prefix = true                          # {}:6", file.path()),
        "access = \"session\"                           # default".into(),
        "preserve_host = false                        # default".into(),
        format!("claim_headers = {{ \"x-email\" = \"email\" }}      # {}:7", file.path()),
        "connect_timeout = \"2s\"                       # default".into(),
        "first_byte_timeout = \"30s\"                   # default".into(),
        "idle_timeout = \"5m\"                          # default".into(),
        "body_limit = \"10MiB\"                         # default".into(),
        "max_connections = 512                        # default".into(),
    ];
    assert!(routes.starts_with(&expected.join("\n")), "{routes}");
    assert!(
        routes.contains(&format!("# add_request_headers is set, and masked     # {}:14\n", file.path())),
        "{routes}"
    );
    assert!(!text.contains("canary"), "{text}");
}

#[test]
fn routes_that_are_printed_are_routes_with_the_same_meaning() {
    let file = Scratch::new("routes-before.toml", &ROUTES.replace("add_request", "add_response"));
    let before = printed(&["print-config", "--config", file.path()], &[]);
    let again = Scratch::new("routes-after.toml", &before);
    let load = |path: &str| match parse_with(&["print-config", "--config", path], &[]) {
        Ok(Command::PrintConfig(loaded)) => format!("{:?}", loaded.config),
        other => panic!("{other:?}"),
    };
    assert_eq!(load(file.path()), load(again.path()));
}

#[test]
fn check_says_what_is_forwarded_where() {
    let file = Scratch::new("routes-check.toml", ROUTES);
    for arguments in [&["check", "--config", file.path()][..], &["check", "--dev", "--config", file.path()]] {
        let Ok(Command::Check(loaded)) = parse_with(arguments, AUTH) else { panic!() };
        let mut out = Vec::new();
        assert_eq!(run_check(&loaded, &mut out, &mut Vec::new()), Exit::Success);
        let expected = "configuration is valid\nroute /api to http://127.0.0.1:9000/v1, session\n\
                        route app.example.com/ to unix:/run/pages.sock, public\n";
        assert_eq!(String::from_utf8(out).unwrap(), expected);
    }
}

#[test]
fn what_print_config_prints_is_a_configuration_with_the_same_meaning() {
    let environment = [
        ("AUTH_URL", "https://auth.example.com/v1"),
        ("AUTHPROXY_PUBLIC_URL", "https://app.example.com"),
        ("AUTHPROXY_ALLOWED_ORIGINS", "https://a.example.com,https://b.example.com"),
        ("AUTHPROXY_SESSION__IDLE_TIMEOUT", "90m"),
        ("AUTHPROXY_BACKEND__ROTATION", "grace:1m30s"),
        ("AUTHPROXY_STORE__CAPACITY", "12"),
    ];
    let Ok(Command::PrintConfig(before)) = parse_with(&["print-config"], &environment) else { panic!() };
    let file = Scratch::new("again.toml", &printed(&["print-config"], &environment));
    let Ok(Command::PrintConfig(after)) = parse_with(&["print-config", "--config", file.path()], &[]) else { panic!() };
    assert_eq!(format!("{:?}", before.config), format!("{:?}", after.config));
}

#[test]
fn a_port_that_cannot_be_had_is_one_clear_line() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let line = cannot_listen(address, &TcpListener::bind(address).unwrap_err());
    let expected = format!(
        "cannot listen on {address}: address already in use; is another authproxy running? Choose another with --listen"
    );
    assert_eq!(line, expected);
    let line = cannot_listen(address, &io::ErrorKind::AddrNotAvailable.into());
    assert_eq!(
        line,
        format!("cannot listen on {address}: this machine has no such address. Choose another with --listen")
    );
}

/// Answers one connection with these bytes; gives back what was asked.
fn answer(bytes: &'static [u8]) -> (SocketAddr, JoinHandle<String>) {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let thread = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let mut request = Vec::new();
        let mut byte = [0];
        while !request.ends_with(b"\r\n\r\n") && stream.read(&mut byte).unwrap() == 1 {
            request.push(byte[0]);
        }
        stream.write_all(bytes).unwrap();
        String::from_utf8(request).unwrap()
    });
    (address, thread)
}

fn check_health(arguments: &[&str]) -> (Exit, String) {
    let Ok(Command::Healthcheck(check)) = parse_with(arguments, &[]) else { panic!("{arguments:?}") };
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let exit = healthcheck(&check, &mut out, &mut err);
    (exit, String::from_utf8([out, err].concat()).unwrap())
}

#[test]
fn an_instance_that_asks_for_a_session_is_healthy() {
    for bytes in [&b"HTTP/1.1 401 Unauthorized\r\n\r\n"[..], b"HTTP/1.1 200 OK\r\n\r\n", b"HTTP/1.0 401 \r\n\r\n"] {
        let (address, thread) = answer(bytes);
        let told = check_health(&["healthcheck", "--listen", &address.to_string()]);
        assert_eq!(told, (Exit::Success, "healthy\n".into()));
        let request = thread.join().unwrap();
        assert!(request.starts_with(&format!("GET /session HTTP/1.1\r\nHost: {address}\r\n")), "{request}");
    }
}

#[test]
fn an_instance_that_answers_otherwise_is_not() {
    for (bytes, why) in [
        (&b"HTTP/1.1 503 Service Unavailable\r\n\r\n"[..], "answered GET /session with 503"),
        (b"HTTP/1.1 404 Not Found\r\n\r\n", "answered GET /session with 404"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "does not answer: not an HTTP answer"),
        (b"HTTP/1.1 \r\n", "does not answer: not an HTTP answer"),
        (b"", "does not answer: not an HTTP answer"),
        (&[b'x'; 300], "does not answer: not an HTTP answer"),
    ] {
        let (address, thread) = answer(bytes);
        let told = check_health(&["healthcheck", "--url", &format!("http://{address}")]);
        assert_eq!(told, (Exit::Failure, format!("unhealthy: http://{address} {why}\n")));
        thread.join().unwrap();
    }
}

#[test]
fn an_instance_that_is_not_there_or_hangs_is_not_healthy() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut check = Healthcheck::of_instance(&listening(address)).unwrap();
    check.timeout = Duration::from_millis(50);
    let (mut out, mut err) = (Vec::new(), Vec::new());
    assert_eq!(healthcheck(&check, &mut out, &mut err), Exit::Failure);
    assert_eq!(String::from_utf8(err).unwrap(), format!("unhealthy: http://{address} does not answer: timed out\n"));
    drop(listener);
    let (exit, text) = check_health(&["healthcheck", "--listen", &address.to_string()]);
    assert_eq!(exit, Exit::Failure);
    assert!(text.contains("onnection refused"), "{text}");
}

#[test]
fn an_instance_that_listens_everywhere_is_asked_on_loopback() {
    for (listen, url) in [
        ("0.0.0.0:8000", "http://127.0.0.1:8000"),
        ("[::]:8000", "http://[::1]:8000"),
        ("[::1]:8000", "http://[::1]:8000"),
        ("192.168.1.5:80", "http://192.168.1.5"),
    ] {
        let listen = listen.parse().unwrap();
        assert_eq!(Healthcheck::of_instance(&listening(listen)), Healthcheck::of_url(url), "{listen}");
    }
}

fn listening(listen: SocketAddr) -> Config {
    Config { listen, ..Config::default() }
}

#[test]
fn a_listener_that_takes_connections_and_never_shakes_hands_is_not_healthy() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    let mut check = Healthcheck::of_url(&format!("https://{address}")).unwrap();
    check.timeout = Duration::from_millis(50);
    let (mut out, mut err) = (Vec::new(), Vec::new());
    assert_eq!(healthcheck(&check, &mut out, &mut err), Exit::Failure);
    let told = String::from_utf8(err).unwrap();
    assert_eq!(told, format!("unhealthy: https://{address} does not answer: timed out\n"));
}
