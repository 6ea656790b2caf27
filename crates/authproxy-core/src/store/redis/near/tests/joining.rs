//! Who shares whose question.

use std::{
    pin::pin,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use futures_util::{FutureExt, future::join_all};
use tokio::sync::oneshot;

use super::*;
use crate::{error::StoreError, store::redis::near::loads::Answer};

/// A Redis whose answers the test gives, one by one, in the order of the questions.
#[derive(Clone, Default)]
struct Asked(Arc<(Mutex<Vec<oneshot::Sender<Answer>>>, AtomicUsize)>);

impl Asked {
    fn read(&self) -> impl Future<Output = Answer> + Send + 'static {
        let (answer, answered) = oneshot::channel();
        self.0.0.lock().unwrap().push(answer);
        self.0.1.fetch_add(1, Ordering::SeqCst);
        async move { answered.await.unwrap_or_else(|_| Err(StoreError::new("dropped"))) }
    }

    fn count(&self) -> usize {
        self.0.1.load(Ordering::SeqCst)
    }

    fn answer(&self, answer: Answer) {
        let _ = self.0.0.lock().unwrap().remove(0).send(answer); // whoever asked may be gone
    }
}

fn down() -> StoreError {
    StoreError::new("down")
}

#[tokio::test]
async fn a_thousand_callers_share_one_question() {
    let (world, asked) = (World::new(), Asked::default());
    let mut callers = pin!(join_all((0..1000).map(|_| world.near.load(&world.key, || asked.read()))));
    assert!(callers.as_mut().now_or_never().is_none());
    assert_eq!(asked.count(), 1);
    asked.answer(Ok(Some(world.session(1))));
    assert!(callers.await.iter().all(|answer| matches!(answer, Ok(Some(session)) if session.version == Version(1))));
    assert_eq!((asked.count(), world.peeked()), (1, Some(1)));
}

#[tokio::test]
async fn a_caller_that_hangs_up_or_is_never_polled_again_holds_up_nobody() {
    let (world, asked) = (World::new(), Asked::default());
    let mut never_again = Box::pin(world.near.load(&world.key, || asked.read()));
    assert!(never_again.as_mut().now_or_never().is_none());
    drop(Box::pin(world.near.load(&world.key, || asked.read())).as_mut().now_or_never());
    let mut joined = pin!(world.near.load(&world.key, || asked.read()));
    assert!(joined.as_mut().now_or_never().is_none());
    asked.answer(Ok(Some(world.session(1))));
    assert_eq!(joined.await.unwrap().unwrap().version, Version(1));
    assert_eq!(asked.count(), 1);
    drop(never_again);
}

#[tokio::test]
async fn nobody_joins_a_question_that_was_asked_before_a_change_was_heard() {
    let (world, asked) = (World::new(), Asked::default());
    let mut before = pin!(world.near.load(&world.key, || asked.read()));
    assert!(before.as_mut().now_or_never().is_none());
    world.near.changed(world.key.name(), OVER);
    let mut after = pin!(world.near.load(&world.key, || asked.read()));
    assert!(after.as_mut().now_or_never().is_none());
    assert_eq!(asked.count(), 2);
    asked.answer(Ok(Some(world.session(1))));
    assert_eq!(before.await.unwrap().unwrap().version, Version(1));
    assert_eq!(world.peeked(), None, "read before the logout, remembered by nobody");
    asked.answer(Ok(None));
    assert!(after.await.unwrap().is_none());
}

#[tokio::test]
async fn nobody_joins_a_question_that_is_older_than_near_ttl_and_with_zero_nobody_joins_at_all() {
    let (world, asked) = (World::new(), Asked::default());
    let mut slow = pin!(world.near.load(&world.key, || asked.read()));
    assert!(slow.as_mut().now_or_never().is_none());
    world.clock.advance(TTL);
    assert!(pin!(world.near.load(&world.key, || asked.read())).now_or_never().is_none());
    assert_eq!(asked.count(), 2);

    let (world, asked) = (World::with(NearLimits { near_ttl: Duration::ZERO, ..limits() }), Asked::default());
    let mut first = pin!(world.near.load(&world.key, || asked.read()));
    let mut second = pin!(world.near.load(&world.key, || asked.read()));
    assert!(first.as_mut().now_or_never().is_none() && second.as_mut().now_or_never().is_none());
    assert_eq!(asked.count(), 2);
    asked.answer(Ok(Some(world.session(2))));
    asked.answer(Ok(Some(world.session(2))));
    let (first, second) = (first.await.unwrap().unwrap(), second.await.unwrap().unwrap());
    assert!(first.is_same(&second), "what its browser was told is kept even so");
}

#[tokio::test(start_paused = true)]
async fn while_redis_fails_one_with_a_valid_token_hardly_waits_and_one_without_waits_for_the_answer() {
    let (world, asked) = (World::new(), Asked::default());
    world.load(1);
    world.clock.advance(TTL);
    let mut first = pin!(world.near.load(&world.key, || asked.read()));
    assert!(first.as_mut().now_or_never().is_none());
    asked.answer(Err(down()));
    assert!(first.await.is_err());

    let begun = tokio::time::Instant::now();
    assert!(world.near.load(&world.key, || asked.read()).await.is_err());
    assert_eq!(begun.elapsed(), Duration::from_millis(50), "nothing was answered");
    asked.answer(Ok(Some(world.session(1)))); // and then it was, for the next one
    let mut joined = pin!(world.near.load(&world.key, || asked.read()));
    assert_eq!(joined.as_mut().await.unwrap().unwrap().version, Version(1));
    assert_eq!(world.peeked(), Some(1));

    let other = SessionKey::spreading(1, 1);
    let mut unknown = pin!(world.near.load(&other, || asked.read()));
    assert!(tokio::time::timeout(Duration::from_secs(3), unknown.as_mut()).await.is_err());
}

#[test]
fn a_question_whose_runtime_has_ended_is_asked_again() {
    let (world, asked) = (World::new(), Asked::default());
    let runtime = || tokio::runtime::Builder::new_current_thread().build().unwrap();
    let short = runtime();
    short.block_on(async {
        assert!(pin!(world.near.load(&world.key, || asked.read())).now_or_never().is_none());
    });
    drop(short);
    asked.0.0.lock().unwrap().clear();
    runtime().block_on(async {
        let mut next = pin!(world.near.load(&world.key, || asked.read()));
        assert!(next.as_mut().now_or_never().is_none());
        asked.answer(Ok(None));
        assert!(next.await.unwrap().is_none());
    });
    assert_eq!(asked.count(), 2);
}

#[tokio::test]
async fn a_question_ends_with_the_cache() {
    let (world, asked) = (World::new(), Asked::default());
    assert!(pin!(world.near.load(&world.key, || asked.read())).now_or_never().is_none());
    let mut answer = asked.0.0.lock().unwrap().remove(0);
    drop(world);
    answer.closed().await;
}
