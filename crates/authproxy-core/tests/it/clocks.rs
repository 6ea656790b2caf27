//! Clocks that step, and machines that sleep. Scenario 46.

use std::sync::Arc;

use authproxy_core::{
    backend::RotationContract,
    clock::{Clock, ManualClock, SystemClock},
};

use crate::world::{World, secs, text};

#[tokio::test(start_paused = true)]
async fn a_token_that_expired_while_the_machine_slept_is_not_handed_out() {
    let clock = ManualClock::default();
    let world = World::on(Arc::new(clock.clone()), RotationContract::Strict, |_| {});
    let opened = world.open().await;
    clock.advance(secs(600)); // the boot-time clock counts the sleep; tokio's timers did not move
    let token = world.manager.access_token(&opened.id.key()).await.unwrap();
    assert_ne!(text(&token), text(&opened.session));
    assert_eq!(world.backend.presentations(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_clock_that_steps_back_and_forth_causes_no_second_presentation_and_no_logout() {
    let clock = ManualClock::default();
    let world = World::on(Arc::new(clock.clone()), RotationContract::Strict, |_| {});
    let opened = world.open().await;
    let start = clock.now();
    for step in [secs(121), secs(0), secs(300), secs(60), secs(420)] {
        clock.set(start.plus(step));
        world.manager.access_token(&opened.id.key()).await.unwrap();
    }
    assert!(world.backend.presentations() <= 4);
    world.assert_each_token_presented_once();
}

/// The system clock is read once and then carried by the boot-time clock, so `date -s` cannot move it.
#[test]
fn the_system_clock_agrees_with_the_wall_at_its_making_and_never_goes_back() {
    let clock = SystemClock::new();
    #[allow(clippy::disallowed_methods)] // the comparison is the test
    let wall = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let off = clock.now().as_millis().abs_diff(u64::try_from(wall.as_millis()).unwrap());
    assert!(off < 1_000, "{off} ms off the wall clock");
    let mut last = clock.now();
    for _ in 0..100_000 {
        let now = clock.now();
        assert!(now >= last);
        last = now;
    }
}
