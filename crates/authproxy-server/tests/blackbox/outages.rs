//! The auth service fails in every way that services fail: a right answer, quickly, never a 500, no session lost.

use std::{net::SocketAddr, thread, time::Duration};

use crate::{
    auth_service::{AuthService, CANARY, Mood, closed_port},
    http::{Answer, Ask, log_in},
    program::{Program, Stopwatch, poll_until},
};

/// The time that a call to the auth service gets; an answer may take little more.
const TIMEOUT: (&str, &str) = ("AUTHPROXY_BACKEND__TIMEOUT", "500ms");
const CONNECT: (&str, &str) = ("AUTHPROXY_BACKEND__CONNECT_TIMEOUT", "500ms");
const QUICKLY: Duration = Duration::from_secs(4);

/// Asks, and holds the answer against what every failure's answer must be.
fn ask(address: SocketAddr, ask: &Ask, mood: &str) -> Answer {
    let watch = Stopwatch::start();
    let answer = ask.send(address);
    assert!(watch.elapsed() < QUICKLY, "{mood}: {ask:?} took {:?}", watch.elapsed());
    assert!(!answer.body.contains(CANARY) && !answer.body.contains("Traceback"), "{mood}: {}", answer.body);
    assert_eq!(answer.header("set-cookie"), None, "{mood}");
    let detail = answer.detail();
    assert!(detail.as_str().is_some_and(|words| words.contains("auth service")), "{mood}: {detail}");
    answer
}

fn requests() -> [Ask; 4] {
    [
        Ask::login("user@example.com", "password123"),
        Ask::register("user@example.com", "password123"),
        Ask::json("/refresh", r#"{"refresh_token": "a-strangers-token"}"#),
        Ask::get("/protected").bearer("a-strangers-token"),
    ]
}

#[test]
fn a_service_that_is_down_is_a_502() {
    let (program, address) = Program::serve(&format!("http://{}", closed_port()), &[TIMEOUT, CONNECT]);
    for request in requests() {
        let answer = ask(address, &request, "down");
        assert_eq!(answer.status, 502, "{request:?}: {}", answer.body);
    }
    assert_eq!(program.stop().code, Some(0));
}

#[test]
fn each_failure_of_the_service_has_its_status() {
    let table = [
        (Mood::Silent, 504),
        (Mood::Resets, 502),
        (Mood::HangsUp, 502),
        (Mood::BreaksOff, 502),
        (Mood::Fails, 502),
        (Mood::Overloaded, 503),
        (Mood::EndlessBody, 502),
        (Mood::EndlessHead, 502),
        (Mood::Redirects, 502),
        (Mood::SpeaksSsh, 502),
    ];
    let service = AuthService::start(Mood::Works);
    let (program, address) = Program::serve(&service.url(), &[TIMEOUT, CONNECT]);
    for (mood, expected) in table {
        service.set(mood);
        for request in [&requests()[0], &requests()[1], &requests()[3]] {
            let before = service.requests();
            let answer = ask(address, request, &format!("{mood:?}"));
            assert_eq!(answer.status, expected, "{mood:?} {request:?}: {}", answer.body);
            assert_eq!(service.requests() - before, 1, "{mood:?} {request:?}: asked once, followed nowhere");
            if expected == 503 {
                assert_eq!(answer.header("retry-after"), Some("2"));
            }
        }
    }
    // Only a login can tell that a 200 is no token response.
    for mood in [Mood::Html, Mood::Nonsense] {
        service.set(mood);
        let answer = ask(address, &requests()[0], &format!("{mood:?}"));
        assert_eq!(answer.status, 502, "{mood:?}: {}", answer.body);
    }
    service.set(Mood::Works);
    assert_eq!(log_in(address).status, 200, "it recovers at once");
    assert_eq!(program.stop().code, Some(0));
}

#[test]
fn a_web_page_from_the_service_is_never_a_page_of_ours() {
    let service = AuthService::start(Mood::Html);
    let (_program, address) = Program::serve(&service.url(), &[TIMEOUT, CONNECT]);
    let answer = Ask::get("/protected").bearer("a-token").send(address);
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.header("content-type"), Some("text/plain; charset=utf-8"));
}

#[test]
fn a_refresh_by_hand_survives_every_failure() {
    for mood in [
        Mood::Silent,
        Mood::Resets,
        Mood::HangsUp,
        Mood::Fails,
        Mood::Overloaded,
        Mood::Html,
        Mood::EndlessBody,
        Mood::Redirects,
    ] {
        let service = AuthService::start(mood);
        let (_program, address) = Program::serve(&service.url(), &[TIMEOUT, CONNECT]);
        let answer = ask(address, &requests()[2], &format!("{mood:?}"));
        assert!(matches!(answer.status, 502..=504), "{mood:?}: {} {}", answer.status, answer.body);
    }
}

/// A session whose access token has expired.
fn expired_session(address: SocketAddr) -> Ask {
    let cookie = log_in(address).cookie_pair();
    let watch = Stopwatch::start();
    poll_until("the access token expires", || watch.elapsed() > Duration::from_millis(1050));
    Ask::get("/protected-auto").cookie(&cookie)
}

/// An outage is told as one, and the cookie is left alone.
fn assert_paused(request: &Ask, address: SocketAddr, mood: &str) {
    let answer = ask(address, request, mood);
    assert_eq!(answer.status, 503, "{mood}: {}", answer.body);
    let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=300).contains(&seconds), "{mood}: {seconds}");
}

#[test]
fn nobody_is_logged_out_while_the_service_is_down() {
    let mut service = AuthService::start(Mood::Works);
    let (program, address) = Program::serve(&service.url(), &[TIMEOUT, CONNECT]);
    let request = expired_session(address);
    service.go_down();
    for _ in 0..5 {
        assert_paused(&request, address, "down");
    }
    service.come_up();
    poll_until("the session works again", || {
        let answer = request.send(address);
        assert!(matches!(answer.status, 200 | 503), "{}", answer.body);
        answer.status == 200
    });
    assert_eq!(program.stop().code, Some(0));
}

/// Runs a test once for each mood, side by side: each waits for tokens to expire.
fn in_each(moods: &[Mood], test: impl Fn(Mood) + Sync) {
    thread::scope(|scope| {
        for mood in moods {
            scope.spawn(|| test(*mood));
        }
    });
}

#[test]
fn nobody_is_logged_out_while_a_service_with_a_grace_fails() {
    let moods = [Mood::Silent, Mood::Resets, Mood::Fails, Mood::Overloaded, Mood::Html, Mood::EndlessBody];
    in_each(&moods, |mood| {
        let service = AuthService::start(Mood::Works);
        let grace = ("AUTHPROXY_BACKEND__ROTATION", "grace:60s");
        let (_program, address) = Program::serve(&service.url(), &[TIMEOUT, CONNECT, grace]);
        let request = expired_session(address);
        service.set(mood);
        assert_paused(&request, address, &format!("{mood:?}"));
        service.set(Mood::Works);
        poll_until("the session works again", || {
            let answer = request.send(address);
            assert!(matches!(answer.status, 200 | 503), "{mood:?}: {}", answer.body);
            answer.status == 200
        });
    });
}

#[test]
fn a_service_with_strict_rotation_is_presented_no_token_twice() {
    let moods = [Mood::Silent, Mood::HangsUp, Mood::BreaksOff, Mood::Fails, Mood::Html];
    in_each(&moods, |mood| {
        let service = AuthService::start(Mood::Works);
        let (_program, address) = Program::serve(&service.url(), &[TIMEOUT, CONNECT]);
        let request = expired_session(address);
        service.set(mood);
        // What became of the token is unknown and it may not be sent again: only a new login helps.
        let answer = request.send(address);
        assert_eq!((answer.status, answer.detail()), (401, "Session expired".into()), "{mood:?}");
        service.set(Mood::Works);
        assert_eq!(request.send(address).status, 401, "{mood:?}");
        assert_eq!(service.presentations(), 1, "{mood:?}");
        assert_eq!(log_in(address).status, 200, "{mood:?}");
    });
}
