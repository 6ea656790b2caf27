//! Connections that last: they belong to a session and end with it.
//!
//! A request that is answered at once never comes here; see [`LIVE_AFTER`].

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use authproxy_core::{error::TokenError, manager::TokenManager, session::SessionKey};
use futures_util::{StreamExt as _, stream};
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;

/// From when on a request counts as one that lasts: a stream, a tunnel, a long poll.
pub(crate) const LIVE_AFTER: Duration = Duration::from_millis(300);

/// How often the sessions behind lasting connections are looked at. Together with [`LIVE_AFTER`] below a second.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How many of them are looked at side by side.
const LOOKS_AT_ONCE: usize = 64;

/// The connections that last, by session.
#[derive(Debug, Default)]
pub(crate) struct Live {
    sessions: Mutex<HashMap<SessionKey, Entry>>,
}

#[derive(Debug, Default)]
struct Entry {
    ended: CancellationToken,
    connections: usize,
}

/// One connection that lasts, counted until it is dropped.
#[derive(Debug)]
pub(crate) struct Lasting {
    live: Arc<Live>,
    key: SessionKey,
    ended: CancellationToken,
}

impl Live {
    /// Counts one more connection of a session.
    pub(crate) fn enter(self: &Arc<Self>, key: SessionKey) -> Lasting {
        let mut sessions = self.lock();
        let entry = sessions.entry(key).or_default();
        entry.connections += 1;
        Lasting { live: self.clone(), key, ended: entry.ended.clone() }
    }

    /// How many connections last at this moment.
    pub(crate) fn len(&self) -> usize {
        self.lock().values().map(|entry| entry.connections).sum()
    }

    /// Ends every connection of a session.
    pub(crate) fn end(&self, key: &SessionKey) {
        if let Some(entry) = self.lock().get(key) {
            entry.ended.cancel();
        }
    }

    /// Ends the connections of sessions that are over, wherever they were ended. Never returns.
    ///
    /// # Cancel safety
    ///
    /// Can be dropped at any time.
    pub(crate) async fn watch(&self, manager: &TokenManager) {
        let mut tick = interval(LOOK_EVERY);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            tick.tick().await;
            let keys: Vec<_> = self.lock().keys().copied().collect();
            // Side by side: while a store of a fleet hangs, each look waits for it.
            let looks = stream::iter(keys).for_each_concurrent(LOOKS_AT_ONCE, async |key| {
                if let Err(TokenError::LogInAgain(_)) = manager.session(&key).await {
                    self.end(&key);
                }
            });
            looks.await;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<SessionKey, Entry>> {
        self.sessions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Lasting {
    /// Cancelled when the session ends.
    pub(crate) fn ended(&self) -> &CancellationToken {
        &self.ended
    }
}

impl Drop for Lasting {
    fn drop(&mut self) {
        let mut sessions = self.live.lock();
        if let Some(entry) = sessions.get_mut(&self.key) {
            entry.connections -= 1;
            if entry.connections == 0 {
                sessions.remove(&self.key);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use authproxy_core::session::SessionId;

    use super::*;

    #[test]
    fn connections_are_counted_and_end_with_their_session_only() {
        let live = Arc::new(Live::default());
        let (one, other) = (SessionId::random().key(), SessionId::random().key());
        let connections = [live.enter(one), live.enter(one), live.enter(other)];
        assert_eq!(live.len(), 3);
        live.end(&one);
        assert_eq!(connections.each_ref().map(|lasting| lasting.ended().is_cancelled()), [true, true, false]);
        drop(connections);
        assert_eq!(live.len(), 0);
        assert!(live.lock().is_empty());
    }
}
