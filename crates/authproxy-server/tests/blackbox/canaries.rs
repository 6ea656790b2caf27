//! No password, token or session id in anything that the program writes, at the loudest level.

use serde_json::json;

use crate::{
    auth_service::{AuthService, CANARY, Mood},
    http::Ask,
    program::{Ended, Program, poll_until},
};

const PASSWORD: &str = "pAsSwOrD-canary-1";
const WRONG_PASSWORD: &str = "pAsSwOrD-canary-2";
const STRANGER: &str = "tOkEn-canary-of-a-stranger";
const LOUDEST: (&str, &str) = ("AUTHPROXY_LOG__LEVEL", "trace");

/// Fails when one of `secrets` was written, without writing it once more.
fn assert_clean(ended: &Ended, secrets: &[String], requests: usize) {
    assert_eq!(ended.code, Some(0));
    for (name, text) in [("stdout", &ended.stdout), ("stderr", &ended.stderr)] {
        for (number, secret) in secrets.iter().enumerate() {
            assert!(secret.len() > 10, "a secret worth looking for");
            if let Some(place) = text.find(secret.as_str()) {
                panic!("secret {number} stands in {name}, line {}", text[..place].lines().count());
            }
        }
    }
    let lines = ended.stderr.matches("request answered").count() + ended.stderr.matches("request failed").count();
    assert!(lines >= requests, "{lines} lines for {requests} requests: the scan saw too little");
}

fn secrets(more: &[String]) -> Vec<String> {
    [PASSWORD, WRONG_PASSWORD, STRANGER, CANARY].into_iter().map(str::to_owned).chain(more.iter().cloned()).collect()
}

/// Requests that carry secrets and fail.
fn failing() -> Vec<Ask> {
    let cookie = format!("session_id={}", STRANGER.repeat(2));
    vec![
        Ask::login("user@example.com", WRONG_PASSWORD),
        Ask::json("/register", format!(r#"{{"email": 1, "password": "{WRONG_PASSWORD}""#)),
        Ask::json("/register", format!(r#""{WRONG_PASSWORD}""#)),
        Ask::login("a", &format!("x&password={WRONG_PASSWORD}")),
        Ask::json("/refresh", json!({ "refresh_token": STRANGER }).to_string()),
        Ask::json("/refresh", json!({ "refresh_token": [STRANGER] }).to_string()),
        Ask::get("/protected").bearer(STRANGER),
        Ask::get("/protected-auto").cookie(&cookie),
        Ask::get("/protected-auto").cookie(&format!("{cookie}; session_id={STRANGER}")),
        Ask::get("/session").cookie(&cookie),
        Ask::get("/nowhere?access_token=tOkEn-canary-of-a-stranger").bearer(STRANGER),
        Ask::post("/logout").cookie(&cookie),
    ]
}

#[test]
fn the_whole_flow_leaves_no_secret_behind() {
    for format in ["text", "json"] {
        let environment = [LOUDEST, ("AUTHPROXY_LOG__FORMAT", format)];
        let (program, address) = Program::dev_with(&["--access-ttl", "2s", "--refresh-ttl", "60s"], &environment);
        assert_eq!(Ask::register("user@example.com", PASSWORD).send(address).status, 200);
        let login = Ask::login("user@example.com", PASSWORD).send(address);
        assert_eq!(login.status, 200);
        let pair = login.cookie_pair();
        let ask = Ask::get("/protected-auto").cookie(&pair);
        poll_until("the session is refreshed", || ask.send(address).header("set-cookie").is_some());
        let by_hand = json!({ "refresh_token": login.text("refresh_token") }).to_string();
        let renewed = Ask::json("/refresh", by_hand.clone()).send(address);
        assert_eq!(renewed.status, 200);
        assert_eq!(Ask::json("/refresh", by_hand).send(address).status, 401);
        assert_eq!(Ask::get("/protected").bearer(&renewed.text("access_token")).send(address).status, 200);
        for request in failing() {
            request.send(address);
        }
        assert_eq!(Ask::post("/logout").cookie(&pair).send(address).status, 200);
        assert_eq!(ask.send(address).status, 401);

        let session_id = pair.split_once('=').unwrap().1.to_owned();
        let tokens = [&login, &renewed].map(|answer| [answer.text("access_token"), answer.text("refresh_token")]);
        assert_clean(&program.stop(), &secrets(&[tokens.concat(), vec![session_id]].concat()), 20);
    }
}

#[test]
fn a_failing_service_leaves_no_secret_behind() {
    let service = AuthService::start(Mood::Works);
    let environment =
        [LOUDEST, ("AUTHPROXY_BACKEND__TIMEOUT", "200ms"), ("AUTHPROXY_BACKEND__CONNECT_TIMEOUT", "200ms")];
    let (program, address) = Program::serve(&service.url(), &environment);
    let pair = Ask::login("user@example.com", "password123").send(address).cookie_pair();
    let mut requests = 0;
    for mood in [
        Mood::Works,
        Mood::Fails,
        Mood::Html,
        Mood::Nonsense,
        Mood::BreaksOff,
        Mood::Resets,
        Mood::Redirects,
        Mood::SpeaksSsh,
        Mood::Silent,
    ] {
        service.set(mood);
        for request in failing().into_iter().chain([Ask::get("/protected-auto").cookie(&pair)]) {
            request.send(address);
            requests += 1;
        }
    }
    let session_id = pair.split_once('=').unwrap().1.to_owned();
    assert_clean(&program.stop(), &secrets(&[session_id, "password123".to_owned()]), requests);
}
