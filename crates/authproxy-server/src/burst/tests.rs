use std::cell::RefCell;

use authproxy_core::session::SessionId;
use futures_util::{future::join_all, poll};

use super::*;

fn keys(count: usize) -> Vec<SessionKey> {
    (0..count).map(|_| SessionId::random().key()).collect()
}

/// What is announced when sessions of these keys are looked up at the same time.
async fn announced(keys: &[SessionKey]) -> Vec<Vec<SessionKey>> {
    let announced = RefCell::new(Vec::new());
    join_all(keys.iter().map(|key| announce_together(*key, |keys| announced.borrow_mut().push(keys.to_vec())))).await;
    announced.into_inner()
}

#[tokio::test]
async fn lookups_that_are_due_together_are_announced_together_and_once() {
    for count in [2, 3, GATHERED] {
        let keys = keys(count);
        assert_eq!(announced(&keys).await, [keys]);
    }
}

#[tokio::test]
async fn one_alone_is_not_announced() {
    assert!(announced(&keys(1)).await.is_empty());
}

#[tokio::test]
async fn no_more_are_announced_at_once_than_there_is_room_for() {
    let keys = keys(GATHERED + 10);
    assert_eq!(announced(&keys).await, [keys[..GATHERED].to_vec()]);
}

#[tokio::test]
async fn whoever_gives_up_leaves_nothing_undone() {
    let keys = keys(3);
    let mut gives_up = Box::pin(announce_together(keys[0], |_| unreachable!("it was dropped")));
    assert!(poll!(gives_up.as_mut()).is_pending());
    drop(gives_up);
    assert_eq!(announced(&keys[1..]).await, [keys]);
}
