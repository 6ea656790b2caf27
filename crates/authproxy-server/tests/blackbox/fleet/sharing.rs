//! One session on two nodes.

use std::{thread, time::Duration};

use authproxy_testing::fake_auth::{Endpoint, Misbehaviour};

use super::world::{World, expire, log_in, protected};
use crate::{http::Ask, program::PATIENCE};

#[tokio::test(flavor = "multi_thread")]
async fn a_login_on_one_node_is_a_session_on_the_other() {
    let world = World::of_two(&[]).await;
    let [here, there] = world.addresses();
    let cookie = log_in(here).cookie_pair();
    for address in [there, here, there] {
        let answer = protected(&cookie).send(address);
        assert_eq!(answer.status, 200, "{}", answer.body);
        let session = Ask::get("/session").cookie(&cookie).send(address);
        assert_eq!((session.status, session.text("user").as_str()), (200, "user@example.com"));
    }
    // A second login in the same browser ends the first session, whichever node it was on.
    let second = Ask::login("user@example.com", "password123").cookie(&cookie).send(there).cookie_pair();
    assert_eq!(protected(&cookie).send(here).status, 401);
    assert_eq!(protected(&second).send(here).status, 200);
    for node in world.nodes {
        assert_eq!(node.program.stop().code, Some(0));
    }
}

/// Many callers on all nodes at the moment of expiry, the auth service answering after `delay`.
async fn storm(nodes: usize, delay: Duration, environment: &[(&str, &str)]) {
    let mut world = World::of_two(environment).await;
    while world.nodes.len() < nodes {
        let node = world.node(environment);
        world.nodes.push(node);
    }
    world.issue_short();
    let cookie = log_in(world.nodes[0].address).cookie_pair();
    expire();
    world.issue_long();
    world.service.always(Endpoint::Refresh, Some(Misbehaviour::Delay(delay)));
    let ask = protected(&cookie);
    thread::scope(|scope| {
        for node in world.nodes.iter().cycle().take(20 * nodes) {
            let ask = &ask;
            scope.spawn(move || {
                let answer = ask.send_and_wait(node.address, 2 * delay + PATIENCE);
                assert_eq!(answer.status, 200, "{}", answer.body);
            });
        }
    });
    assert_eq!(world.service.presentations(), 1);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_storm_on_both_nodes_presents_the_refresh_token_once() {
    storm(2, Duration::from_millis(100), &[]).await;
}

const PATIENT: [(&str, &str); 2] =
    [("AUTHPROXY_BACKEND__TIMEOUT", "40s"), ("AUTHPROXY_LIMITS__REQUEST_TIMEOUT", "60s")];

/// All at once: what takes long here is to wait.
#[test]
fn a_storm_presents_once_also_when_the_auth_service_takes_three_ten_or_thirty_seconds() {
    thread::scope(|scope| {
        for (nodes, seconds) in [(2, 3), (3, 10), (3, 30)] {
            scope.spawn(move || {
                let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build();
                runtime.unwrap().block_on(storm(nodes, Duration::from_secs(seconds), &PATIENT));
            });
        }
    });
}

#[tokio::test(flavor = "multi_thread")]
async fn three_nodes_present_every_token_of_a_rotating_session_once() {
    let mut world = World::of_two(&[]).await;
    let third = world.node(&[]);
    world.nodes.push(third);
    world.issue_short();
    let cookie = log_in(world.nodes[2].address).cookie_pair();
    for round in 1..=3 {
        expire();
        thread::scope(|scope| {
            for node in world.nodes.iter().chain(&world.nodes) {
                let ask = protected(&cookie);
                scope.spawn(move || {
                    let answer = ask.send(node.address);
                    assert_eq!(answer.status, 200, "{}", answer.body);
                });
            }
        });
        assert!(world.service.presentations() >= round);
    }
    assert_eq!(world.service.most_presentations_of_one_token(), 1);
    assert_eq!(world.service.reuses_detected(), 0);
}

/// The tokens that a client was given on one node are one lineage with the session on every node.
#[tokio::test(flavor = "multi_thread")]
async fn a_handed_out_refresh_token_is_known_on_every_node() {
    let world = World::of_two(&[]).await;
    let [here, there] = world.addresses();
    let login = log_in(here);
    let by_hand = Ask::json("/refresh", format!(r#"{{"refresh_token": "{}"}}"#, login.text("refresh_token")));
    let refreshed = by_hand.send(there);
    assert_eq!(refreshed.status, 200, "{}", refreshed.body);
    assert_eq!(protected(&login.cookie_pair()).send(here).status, 200);
    let again = by_hand.send(here);
    assert_eq!(again.status, 401, "spent by hand on the other node: {}", again.body);
    assert_eq!(world.service.presentations(), 1);
    let next = format!(r#"{{"refresh_token": "{}"}}"#, refreshed.text("refresh_token"));
    assert_eq!(Ask::json("/refresh", next).send(here).status, 200);
    assert_eq!(world.service.most_presentations_of_one_token(), 1);
}
