//! What happens while tokens are renewed.

use std::{collections::HashSet, time::Duration};

use authproxy_testing::fake_auth::{Endpoint, Misbehaviour};
use futures_util::future::join_all;

use crate::{
    gateway::Gateway,
    world::{World, cookie_pair, send},
};

/// Past the life of an access token, within that of a refresh token.
const ONE_LIFE: Duration = Duration::from_secs(130);

pub(crate) async fn calls_go_on_across_refreshes_and_the_browser_hears_of_them(gateway: Gateway) {
    let world = World::start(gateway).await;
    let cookie = world.log_in().await;
    let ask = || world.get("/api/items").header("cookie", &cookie);
    assert_eq!(cookie_pair(&send(ask(), 200).await), None);
    for refreshes in 1..=3 {
        world.clock.advance(ONE_LIFE);
        assert_eq!(cookie_pair(&send(ask(), 200).await).as_ref(), Some(&cookie), "the session's new end is told");
        assert_eq!(cookie_pair(&send(ask(), 200).await), None, "once");
        assert_eq!((world.service.presentations(), world.service.most_presentations_of_one_token()), (refreshes, 1));
        assert!(world.has_good_token(world.api.requests().last().unwrap()));
    }
    let requests = world.api.requests();
    let tokens: HashSet<_> = requests.iter().filter_map(|request| request.header("authorization")).collect();
    assert_eq!((requests.len(), tokens.len()), (7, 4));
}

pub(crate) async fn sixty_four_requests_at_the_moment_of_refresh_cause_one_presentation(gateway: Gateway) {
    let world = World::start(gateway).await;
    let cookie = world.log_in().await;
    world.clock.advance(ONE_LIFE);
    // Long enough for all of them to be waiting.
    world.service.script(Endpoint::Refresh, [Misbehaviour::Delay(Duration::from_millis(500))]);
    let asks = (0..64).map(|n| send(world.get(&format!("/api/items/{n}")).header("cookie", &cookie), 200));
    join_all(asks).await;
    assert_eq!(world.service.presentations(), 1);
    let requests = world.api.requests();
    let targets: HashSet<_> = requests.iter().map(|request| request.target()).collect();
    assert_eq!((requests.len(), targets.len()), (64, 64));
    assert!(requests.iter().all(|request| world.has_good_token(request)));
}

pub(crate) async fn an_outage_is_503_with_a_pause_and_the_session_lives(gateway: Gateway) {
    let world = World::start(gateway).await;
    let cookie = world.log_in().await;
    let ask = || world.get("/api/items").header("cookie", &cookie);
    world.clock.advance(ONE_LIFE);
    world.service.script(Endpoint::Refresh, [Misbehaviour::TooManyRequests(Some(3))]);
    let answer = send(ask(), 503).await;
    // Envoy does not pass on what comes with a failure, so its configuration says a time of its own.
    assert_eq!(answer.headers()["retry-after"], if gateway == Gateway::Envoy { "2" } else { "3" });
    assert!(answer.headers().get("set-cookie").is_none());
    assert!(answer.text().await.unwrap().contains("is kept"));
    assert!(world.api.requests().is_empty());
    world.clock.advance(Duration::from_secs(30));
    send(ask(), 200).await;
    assert!(world.has_good_token(&world.arrived()));
}

pub(crate) async fn a_session_that_the_service_has_ended_is_401_and_its_cookie_goes(gateway: Gateway) {
    let world = World::start(gateway).await;
    let cookie = world.log_in().await;
    world.clock.advance(ONE_LIFE);
    world.service.forget_tokens();
    let answer = send(world.get("/api/items").header("cookie", &cookie), 401).await;
    assert_eq!(cookie_pair(&answer).as_deref(), Some("session_id="));
    assert!(world.api.requests().is_empty());
}
