//! [`EventStream`]: server-sent events that a test sends one by one.

use std::sync::Arc;

use tokio::sync::watch;

/// A stream of server-sent events. Who listens gets every event from the first on; clones are the same stream.
#[derive(Clone, Debug)]
pub struct EventStream(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    sent: watch::Sender<Sent>,
    listeners: watch::Sender<usize>,
}

#[derive(Debug, Default)]
struct Sent {
    events: Vec<String>,
    ended: bool,
}

/// Somebody who listens, until dropped.
pub(super) struct Listening(Arc<Inner>, watch::Receiver<Sent>, usize);

impl Default for EventStream {
    fn default() -> Self {
        Self(Arc::new(Inner { sent: watch::Sender::default(), listeners: watch::Sender::default() }))
    }
}

impl EventStream {
    /// A stream without events so far.
    pub fn new() -> Self {
        Self::default()
    }

    /// Sends an event with this text, which has no line breaks.
    pub fn send(&self, text: &str) {
        self.0.sent.send_modify(|sent| sent.events.push(format!("data: {text}\n\n")));
    }

    /// Ends the stream by the book.
    pub fn end(&self) {
        self.0.sent.send_modify(|sent| sent.ended = true);
    }

    /// Waits until exactly so many listen: with 0, until all have hung up.
    pub async fn until_listeners(&self, count: usize) {
        let mut listeners = self.0.listeners.subscribe();
        listeners.wait_for(|now| *now == count).await.expect("the sender is ours");
    }

    pub(super) fn listen(&self) -> Listening {
        self.0.listeners.send_modify(|count| *count += 1);
        Listening(self.0.clone(), self.0.sent.subscribe(), 0)
    }
}

impl Listening {
    /// The next event; `None` after the last.
    pub(super) async fn next(&mut self) -> Option<String> {
        let heard = self.2;
        let sent = self.1.wait_for(|sent| sent.events.len() > heard || sent.ended).await.ok()?;
        let event = sent.events.get(heard).cloned();
        self.2 += 1;
        event
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.0.listeners.send_modify(|count| *count -= 1);
    }
}
