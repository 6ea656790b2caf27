//! The seed's usage flow, word for word, with a real cookie jar.

use std::{net::SocketAddr, path::PathBuf, process::Command};

use serde_json::{Value, json};

use crate::{certificate::Certificate, config_file::ConfigFile, http::Ask, program::Program};

/// Runs one line of a shell and returns what it wrote.
fn shell(line: &str) -> String {
    let output = Command::new("bash").args(["-c", line]).output().unwrap();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn shell_json(line: &str) -> Value {
    let text = shell(line);
    serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error} in the answer to {line}: {text:?}"))
}

/// A folder of this test's own, gone afterwards.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("authproxy-blackbox-{name}-{}", std::process::id()));
        std::fs::create_dir(&path).unwrap();
        Self(path)
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The four lines that `dev` prints, as they are printed.
fn printed_lines(program: &Program) -> Vec<String> {
    let banner = program.wait_for_output("Stop it with Ctrl-C.");
    banner.lines().filter_map(|line| line.strip_prefix("  curl ")).map(|rest| format!("curl {rest}")).collect()
}

#[test]
fn the_four_lines_that_dev_prints_work_as_they_are_pasted() {
    let (program, address) = Program::dev(&[]);
    let lines = printed_lines(&program);
    let [register, login, protected, logout] = lines.as_slice() else { panic!("not four lines: {lines:?}") };

    let registered = shell_json(register);
    assert_eq!(registered["email"], "user@example.com", "{registered}");
    let tokens = shell_json(login);
    for field in ["access_token", "refresh_token"] {
        assert!(tokens[field].as_str().is_some_and(|token| token.len() > 20), "{field} in {tokens}");
    }
    assert_eq!(tokens["token_type"], "bearer");
    assert_eq!(tokens["expires_in"], 120, "{tokens}");
    let seen = shell_json(protected);
    assert!(seen.get("detail").is_none() && seen.to_string().contains("user@example.com"), "{seen}");
    assert_eq!(shell_json(logout), json!({ "message": "Logged out successfully" }));

    // The fourth line does not write the jar, so the spent cookie is still in it.
    assert_eq!(shell_json(protected), json!({ "detail": "Invalid session. Please login again." }));
    assert_eq!(
        shell_json(&format!("curl -s http://{address}/protected-auto")),
        json!({ "detail": "No session cookie found. Please login first." })
    );
    let jar = PathBuf::from(protected.split_whitespace().skip_while(|word| *word != "-b").nth(1).unwrap());
    assert!(jar.exists(), "{}", jar.display());
    assert_eq!(program.stop().code, Some(0));
    assert!(!jar.parent().unwrap().exists(), "the jar's folder goes with the program");
}

/// The configuration of another machine, where only `serve` is reached under `public_url`.
#[test]
fn the_four_lines_lead_to_this_process_whatever_the_public_url() {
    let certificate = Certificate::new("lines", "app.example.com");
    let tls = format!("[tls]\ncert = '{}'\nkey = '{}'\n", certificate.cert(), certificate.key());
    for (name, scheme, rest) in [("plain", "http", ""), ("tls", "https", tls.as_str())] {
        let file =
            ConfigFile::new(&format!("lines-{name}"), &format!("public_url = 'https://app.example.com'\n{rest}"));
        let (program, address) = Program::dev(&["--config", file.path()]);
        let lines = printed_lines(&program);
        let [register, login, protected, logout] = lines.as_slice() else { panic!("not four lines: {lines:?}") };
        for line in &lines {
            assert!(line.contains(&format!(" {scheme}://{address}/")) && !line.contains("app.example.com"), "{line}");
        }
        assert_eq!(shell_json(register)["email"], "user@example.com");
        assert_eq!(shell_json(login)["token_type"], "bearer");
        assert_eq!(shell_json(protected)["user"], "user@example.com");
        assert_eq!(shell_json(logout), json!({ "message": "Logged out successfully" }));
        let told = format!("public_url (from {}:1) is not used by dev", file.path());
        assert!(program.stop().stderr.contains(&told), "{told}");
    }
}

/// What a line of curl got: the status and the body.
fn curl(arguments: &str, url: &str) -> (u16, Value) {
    let text = shell(&format!("curl -s -w '\\n%{{http_code}}' {arguments} {url}"));
    let (body, status) = text.rsplit_once('\n').unwrap();
    (status.parse().unwrap(), serde_json::from_str(body).unwrap())
}

fn seeds_flow(address: SocketAddr, encoding: &str) {
    let folder = Folder::new(if encoding == "-F" { "multipart" } else { "urlencoded" });
    let jar = folder.0.join("jar");
    let jar = jar.display();
    let url = |path: &str| format!("http://{address}{path}");
    let user = if encoding == "-F" { "multi@example.com" } else { "user@example.com" };

    let body = format!(r#"-H 'Content-Type: application/json' -d '{{"email": "{user}", "password": "password123"}}'"#);
    let (status, _) = curl(&body, &url("/register"));
    assert!((200..300).contains(&status), "{status}");

    let form = [
        &format!("username={user}"),
        "password=password123",
        "grant_type=password",
        "scope=",
        "client_id=string",
        "client_secret=string",
    ]
    .map(|field| format!("{encoding} {field}"))
    .join(" ");
    let (status, tokens) = curl(&format!("-c {jar} {form}"), &url("/login"));
    assert_eq!(status, 200, "{tokens}");
    let written = std::fs::read_to_string(folder.0.join("jar")).unwrap();
    assert!(written.contains("#HttpOnly_127.0.0.1") && written.contains("session_id"), "{written}");

    let bearer = format!("-H 'Authorization: Bearer {}'", tokens["access_token"].as_str().unwrap());
    assert_eq!(curl(&bearer, &url("/protected")).0, 200);
    assert_eq!(curl(&format!("-b {jar} -c {jar}"), &url("/protected-auto")).0, 200);
    assert_eq!(
        curl(&format!("-b {jar} -c {jar} -X POST"), &url("/logout")),
        (200, json!({ "message": "Logged out successfully" }))
    );
    // This time curl was allowed to write the jar, and has taken the cookie out of it.
    assert_eq!(
        curl(&format!("-b {jar}"), &url("/protected-auto")),
        (401, json!({ "detail": "No session cookie found. Please login first." }))
    );
    assert_eq!(curl(&bearer, &url("/protected")).0, 401, "logging out revokes the tokens");
}

#[test]
fn the_seeds_flow_works_with_both_encodings_of_the_form() {
    let (_program, address) = Program::dev(&[]);
    seeds_flow(address, "-d");
    seeds_flow(address, "-F");
}

#[test]
fn a_page_logs_in_and_never_sees_a_token() {
    let (_program, address) = Program::dev(&[]);
    crate::http::log_in(address);
    let origin = format!("http://{address}");
    let login = Ask::login("user@example.com", "password123").header("sec-fetch-site", "same-origin");
    let answer = login.header("origin", &origin).send(address);
    assert_eq!((answer.status, answer.json()), (200, json!({ "message": "Login successful", "expires_in": 120 })));
    let set = answer.header("set-cookie").unwrap().to_lowercase();
    for attribute in ["httponly", "samesite=lax", "path=/", "max-age=240"] {
        assert!(set.split("; ").any(|part| part == attribute), "{attribute} in {set}");
    }
    let page = Ask::get("/protected-auto").cookie(&answer.cookie_pair()).header("sec-fetch-site", "same-origin");
    assert_eq!(page.send(address).status, 200);
    let stranger = Ask::post("/logout").cookie(&answer.cookie_pair()).header("sec-fetch-site", "cross-site");
    assert_eq!(stranger.send(address).status, 403);
    assert_eq!(page.send(address).status, 200, "another site's page logs nobody out");
}
