//! The last look: when everything works again, every session that nobody ended must be there, and no other.

use std::{sync::PoisonError, time::Duration};

use futures_util::{StreamExt, stream};
use tokio::time::{Instant, sleep};

use super::World;
use crate::{
    browser::Shared,
    census::{Closed, Lost, Outcome, Revival, Session},
};

/// How many are looked at side by side.
const AT_ONCE: usize = 64;
/// How many closed sessions are tried again, the last ones.
const MOST_CLOSED: usize = 10_000;

impl World {
    /// Looks at every session that was left alone and at those that were closed. Call it when everything works again.
    pub(crate) async fn look_again(&self) {
        let idle = std::mem::take(&mut *self.shared.idle.lock().unwrap_or_else(PoisonError::into_inner));
        // A permission that a dead node held runs out first.
        let patience = self.plan.lease() + Duration::from_secs(10);
        let deadline = Instant::now() + patience;
        stream::iter(idle).for_each_concurrent(AT_ONCE, |left| is_alive(&self.shared, left, deadline)).await;
        let closed: Vec<_> = self.shared.census().closed.iter().rev().take(MOST_CLOSED).cloned().collect();
        stream::iter(closed).for_each_concurrent(AT_ONCE, |closed| is_closed(&self.shared, closed, deadline)).await;
    }
}

/// A session that nobody ended answers, as soon as it can.
async fn is_alive(shared: &Shared, (session, left_at): (Session, Instant), deadline: Instant) {
    let mut node = 0;
    loop {
        let (sent, outcome) = shared.ask_node(&session, node).await;
        let said = match outcome {
            Outcome::Good | Outcome::WrongUser => return,
            Outcome::LoggedOut(said) => said,
            Outcome::Failed(_) if Instant::now() < deadline => {
                node = (node + 1) % shared.balancer.len();
                sleep(Duration::from_millis(200)).await;
                continue;
            }
            Outcome::Failed(class) => format!("never came back: {class}"),
        };
        let lost = Lost { session, at: Instant::now(), node: sent.node, said, left_at: Some(left_at) };
        return shared.census().lost.push(lost);
    }
}

/// A session that was closed is taken by no node.
async fn is_closed(shared: &Shared, closed: Closed, deadline: Instant) {
    for node in 0..shared.balancer.len() {
        loop {
            let (sent, outcome) = shared.ask_node(&closed.session, node).await;
            match outcome {
                Outcome::Good | Outcome::WrongUser => {
                    shared.census().revivals.push(Revival { closed: closed.clone(), at: sent.at, node });
                    break;
                }
                Outcome::Failed(_) if Instant::now() < deadline => sleep(Duration::from_millis(200)).await,
                Outcome::LoggedOut(_) | Outcome::Failed(_) => break,
            }
        }
    }
}
