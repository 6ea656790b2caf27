//! A logout on one node holds on all.

use std::{thread, time::Duration};

use super::world::{World, log_in, protected};
use crate::{
    http::Ask,
    program::{Stopwatch, poll_until},
};

const SOON: Duration = Duration::from_millis(100);

#[tokio::test(flavor = "multi_thread")]
async fn a_logout_on_one_node_ends_the_session_on_the_other_within_100_ms() {
    let world = World::of_two(&[]).await;
    let [here, there] = world.addresses();
    let mut took: [Duration; 5] = std::array::from_fn(|_| {
        let cookie = log_in(here).cookie_pair();
        for address in [here, there] {
            assert_eq!(protected(&cookie).send(address).status, 200);
        }
        let logout = Ask::post("/logout").cookie(&cookie).send(there);
        assert_eq!(logout.status, 200, "{}", logout.body);
        let watch = Stopwatch::start();
        assert_eq!(protected(&cookie).send(there).status, 401, "where it was logged out it ends at once");
        poll_until("it ends on the other node too", || protected(&cookie).send(here).status == 401);
        watch.elapsed()
    });
    took.sort();
    assert!(took[2] < SOON, "a machine that stands still may hold up one of them: {took:?}");
}

/// A stream through one node ends when its session is logged out on another.
#[tokio::test(flavor = "multi_thread")]
async fn a_logout_while_another_node_refreshes_is_final() {
    use authproxy_testing::{
        Gate,
        fake_auth::{Endpoint, Misbehaviour},
    };
    let world = World::of_two(&[]).await;
    let [here, there] = world.addresses();
    world.issue_short();
    let cookie = log_in(here).cookie_pair();
    super::world::expire();
    world.issue_long();
    let gate = Gate::new();
    world.service.script(Endpoint::Refresh, [Misbehaviour::HoldAfter(gate.clone())]);
    let ask = protected(&cookie);
    thread::scope(|scope| {
        let waiting = scope.spawn(|| ask.send(here).status);
        poll_until("the refresh token is presented", || world.service.presentations() == 1);
        assert_eq!(Ask::post("/logout").cookie(&cookie).send(there).status, 200);
        gate.open();
        assert_eq!(waiting.join().unwrap(), 401, "the refresh in flight revives nothing");
    });
    for address in [here, there] {
        assert_eq!(protected(&cookie).send(address).status, 401);
    }
    let live = || world.service.live_refresh_tokens().len();
    poll_until("the pair that came too late is revoked", || live() == 0);
}
