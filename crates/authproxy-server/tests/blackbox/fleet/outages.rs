//! Redis goes away and comes back while people work.

use std::{net::SocketAddr, time::Duration};

use authproxy_testing::fake_auth::{PASSWORD, USER};

use super::world::{World, expire, log_in, protected, strange_cookie};
use crate::{
    http::{Answer, Ask},
    program::{Stopwatch, poll_until},
};

/// Longer than the store's own timeouts, shorter than anybody's patience.
const QUICKLY: Duration = Duration::from_secs(8);
const RECOVERED: Duration = Duration::from_secs(2);

/// Asks, and holds the answer against what every answer in an outage must be: 503, when to come back, no cookie.
fn assert_paused(ask: &Ask, address: SocketAddr) -> Answer {
    let watch = Stopwatch::start();
    let answer = ask.send(address);
    assert_eq!(answer.status, 503, "{ask:?}: {}", answer.body);
    assert!(watch.elapsed() < QUICKLY, "{ask:?} took {:?}", watch.elapsed());
    let seconds: u64 = answer.header("retry-after").unwrap().parse().unwrap();
    assert!((1..=60).contains(&seconds), "{seconds}");
    assert_eq!(answer.header("set-cookie"), None, "{ask:?}");
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn valid_tokens_flow_while_redis_is_down_and_all_else_is_a_503_that_keeps_the_cookie() {
    let mut world = World::of_two(&[]).await;
    let [here, there] = world.addresses();
    let cookie = log_in(here).cookie_pair();
    for address in [here, there] {
        assert_eq!(protected(&cookie).send(address).status, 200);
    }
    world.issue_short();
    let expired = log_in(here).cookie_pair();
    assert_eq!(protected(&expired).send(here).status, 200);
    expire();
    world.redis.kill();

    let presentations = world.service.presentations();
    for address in [here, there, here] {
        let answer = protected(&cookie).send(address);
        assert_eq!((answer.status, answer.header("set-cookie")), (200, None), "{}", answer.body);
        assert_eq!(Ask::get("/session").cookie(&cookie).send(address).status, 200);
    }
    // Nobody can say anything of these: they may be sessions.
    assert_paused(&protected(&strange_cookie()), there);
    assert_paused(&Ask::get("/session").cookie(&strange_cookie()), there);
    // The token is spent, and no intent can be stored.
    assert_paused(&protected(&expired), here);
    assert_eq!(world.service.presentations(), presentations, "no refresh without the store");
    assert_paused(&Ask::login(USER, PASSWORD), here);
    assert_paused(&Ask::json("/refresh", r#"{"refresh_token": "may-be-of-a-session"}"#), here);
    // It may live on in the store: to clear the cookie would be a lie.
    assert_paused(&Ask::post("/logout").cookie(&cookie), there);
    // Nothing to end, nothing to ask.
    assert_eq!(Ask::post("/logout").send(there).status, 200);
}

#[tokio::test(flavor = "multi_thread")]
async fn sessions_survive_a_restart_of_redis_with_its_data_and_are_served_within_two_seconds() {
    let mut world = World::of_two(&[]).await;
    let redis = authproxy_testing::redis::RedisServer::options().appendonly().start().await;
    world.nodes.clear();
    world.redis = redis;
    for _ in 0..2 {
        let node = world.node(&[]);
        world.nodes.push(node);
    }
    let [here, there] = world.addresses();
    world.issue_short();
    let cookie = log_in(here).cookie_pair();
    expire();
    world.issue_long();
    world.redis.kill();
    for address in [here, there] {
        assert_paused(&protected(&cookie), address);
    }
    world.redis.restart().await;
    let watch = Stopwatch::start();
    for address in [here, there] {
        poll_until("the session works again", || {
            let answer = protected(&cookie).send(address);
            assert!(matches!(answer.status, 200 | 503), "{} {}", answer.status, answer.body);
            answer.status == 200
        });
        poll_until("logins work again", || Ask::login(USER, PASSWORD).send(address).status == 200);
    }
    assert!(watch.elapsed() < RECOVERED, "{:?}", watch.elapsed());
    assert_eq!(world.service.most_presentations_of_one_token(), 1);
    assert_eq!(Ask::post("/logout").cookie(&cookie).send(there).status, 200);
    assert_eq!(world.service.reuses_detected(), 0);
}

/// What was lost with Redis' memory is no session any more: a clear 401, and logins work at once.
#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_comes_back_empty_asks_for_new_logins_and_nothing_worse() {
    let environment = [("AUTHPROXY_STORE__NEAR_TTL", "100ms")];
    let mut world = World::of_two(&environment).await;
    let [here, there] = world.addresses();
    let elsewhere = world.node(&environment);
    let cookie = log_in(elsewhere.address).cookie_pair();
    assert_eq!(protected(&cookie).send(here).status, 200);
    // A node that is there to the end writes again what it has written last.
    drop(elsewhere);
    world.redis.restart().await;
    for address in [here, there] {
        poll_until("the lost session is unknown", || {
            let answer = protected(&cookie).send(address);
            assert!(matches!(answer.status, 200 | 401 | 503), "{} {}", answer.status, answer.body);
            assert_eq!(answer.header("set-cookie"), None, "an unknown session does not clear a cookie");
            answer.status == 401
        });
    }
    let again = log_in(there).cookie_pair();
    assert_eq!(protected(&again).send(here).status, 200);
}

/// SIGSTOP: the sockets stay open and nothing answers.
#[tokio::test(flavor = "multi_thread")]
async fn a_redis_that_hangs_is_an_outage_too_and_over_within_two_seconds() {
    let world = World::of_two(&[]).await;
    let [here, there] = world.addresses();
    let cookie = log_in(here).cookie_pair();
    assert_eq!(protected(&cookie).send(there).status, 200);
    world.redis.pause();
    assert_eq!(protected(&cookie).send(there).status, 200, "the token is at hand");
    assert_paused(&Ask::login(USER, PASSWORD), here);
    assert_paused(&protected(&strange_cookie()), there);
    world.redis.resume();
    let watch = Stopwatch::start();
    for address in [here, there] {
        poll_until("logins work again", || Ask::login(USER, PASSWORD).send(address).status == 200);
        assert_eq!(protected(&cookie).send(address).status, 200);
    }
    assert!(watch.elapsed() < RECOVERED, "{:?}", watch.elapsed());
}
