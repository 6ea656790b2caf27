//! Automatic refresh, seen from outside; refreshing by hand beside it.

use std::time::Duration;

use serde_json::json;

use crate::{
    http::{Ask, log_in},
    program::{Program, Stopwatch, pause},
};

#[test]
fn a_session_outlives_many_access_tokens_without_a_failed_request() {
    let (program, address) = Program::dev(&["--access-ttl", "2s", "--refresh-ttl", "60s"]);
    let login = log_in(address);
    let (cookie, first_token) = (login.cookie_pair(), login.text("access_token"));
    let ask = Ask::get("/protected-auto").cookie(&cookie);
    let watch = Stopwatch::start();
    let (mut asked, mut refreshes) = (0, 0);
    while watch.elapsed() < Duration::from_secs(7) {
        let answer = ask.send(address);
        assert_eq!(answer.status, 200, "after {:?} and {asked} requests: {}", watch.elapsed(), answer.body);
        asked += 1;
        // The cookie is sent again when a refresh has prolonged the session.
        if let Some(set) = answer.header("set-cookie") {
            assert!(set.starts_with(&format!("{cookie};")), "the same session");
            refreshes += 1;
        }
        pause();
    }
    assert!(refreshes >= 3, "{refreshes} refreshes in {asked} requests over three lifetimes");
    assert_eq!(Ask::get("/protected").bearer(&first_token).send(address).status, 401, "the first token has expired");
    assert_eq!(program.stop().code, Some(0));
}

#[test]
fn a_session_ends_with_its_refresh_token() {
    let (_program, address) = Program::dev(&["--access-ttl", "1s", "--refresh-ttl", "2s"]);
    let cookie = log_in(address).cookie_pair();
    let ask = Ask::get("/session").cookie(&cookie);
    crate::program::poll_until("the session ends", || ask.send(address).status == 401);
    let answer = Ask::get("/protected-auto").cookie(&cookie).send(address);
    assert_eq!(answer.status, 401);
    let words = answer.detail();
    assert!(words == "Session expired" || words == "Invalid session. Please login again.", "{words}");
}

#[test]
fn a_refresh_by_hand_works_once_and_the_spent_token_is_refused() {
    let (_program, address) = Program::dev(&[]);
    let login = log_in(address);
    let (cookie, access, refresh) = (login.cookie_pair(), login.text("access_token"), login.text("refresh_token"));
    let protected = |token: &str| Ask::get("/protected").bearer(token).send(address).status;
    assert_eq!(protected(&access), 200);

    let by_hand = |token: &str| Ask::json("/refresh", json!({ "refresh_token": token }).to_string()).send(address);
    let renewed = by_hand(&refresh);
    assert_eq!((renewed.status, renewed.header("cache-control")), (200, Some("no-store")));
    let (new_access, new_refresh) = (renewed.text("access_token"), renewed.text("refresh_token"));
    assert!(new_access != access && new_refresh != refresh);
    assert_eq!(protected(&new_access), 200);

    let again = by_hand(&refresh);
    assert_eq!(again.status, 401, "{}", again.body);
    assert!(!again.detail().is_null() && !again.body.contains(&refresh), "{}", again.body);

    assert_eq!(protected(&new_access), 200, "the lineage lives");
    assert_eq!(Ask::get("/protected-auto").cookie(&cookie).send(address).status, 200, "and so does the session");
    assert_eq!(by_hand(&new_refresh).status, 200);
    assert_eq!(by_hand("a-token-of-nobody").status, 401);
}

#[test]
fn a_client_that_comes_after_an_automatic_refresh_gets_the_current_pair_once() {
    let (_program, address) = Program::dev(&["--access-ttl", "2s", "--refresh-ttl", "60s"]);
    let login = log_in(address);
    let (cookie, refresh) = (login.cookie_pair(), login.text("refresh_token"));
    let ask = Ask::get("/protected-auto").cookie(&cookie);
    crate::program::poll_until("the session is refreshed", || {
        let answer = ask.send(address);
        assert_eq!(answer.status, 200);
        answer.header("set-cookie").is_some()
    });
    let by_hand = Ask::json("/refresh", json!({ "refresh_token": refresh }).to_string());
    let answer = by_hand.send(address);
    assert_eq!(answer.status, 200, "{}", answer.body);
    assert_ne!(answer.text("refresh_token"), refresh);
    assert_eq!(by_hand.send(address).status, 401, "once");
    assert_eq!(ask.send(address).status, 200);
}
