//! Waiting for an upstream's answer to begin: not for ever, and not beyond the session's end.

use std::{
    future::{pending, poll_fn},
    pin::Pin,
    sync::Arc,
    task::Poll,
    time::Duration,
};

use authproxy_core::session::SessionKey;
use tokio::time::{Instant, sleep_until};

use super::{
    error::UpstreamError,
    live::{LIVE_AFTER, Live},
    upload::Progress,
};
use crate::alarm::{Timer, poll_deadline, ringing_at};

/// What bounds the wait for an answer's head.
pub(crate) struct Wait<'a> {
    /// From the last piece of the request to the answer's first.
    pub(crate) patience: Duration,
    /// How far the request's body has come, where it is streamed.
    pub(crate) progress: Option<&'a Progress>,
    /// Whose request it is.
    pub(crate) session: Option<(&'a Arc<Live>, SessionKey)>,
}

impl Wait<'_> {
    /// Waits for the answer's head. The `timer` is the connection's, kept from request to request: nearly every answer
    /// is there before it rings. One of its own is 350 instructions more, nine of them locked (callgrind).
    ///
    /// # Errors
    ///
    /// [`UpstreamError::TooSlow`] and [`UpstreamError::SessionEnded`].
    ///
    /// # Cancel safety
    ///
    /// Dropping the future ends the exchange.
    pub(crate) async fn for_head<T>(
        &self,
        mut sending: impl Future<Output = T> + Unpin,
        timer: &mut Option<Timer>,
    ) -> Result<T, UpstreamError> {
        let began = Instant::now();
        let lasts_from = began + LIVE_AFTER.min(self.patience);
        let at_once = poll_fn(|cx| match Pin::new(&mut sending).poll(cx) {
            Poll::Ready(sent) => Poll::Ready(Some(sent)),
            Poll::Pending => {
                let timer = timer.get_or_insert_with(|| ringing_at(lasts_from));
                poll_deadline(timer, lasts_from, cx).map(|()| None)
            }
        });
        if let Some(sent) = at_once.await {
            return Ok(sent);
        }
        let lasting = self.session.as_ref().map(|(live, key)| live.enter(*key));
        let ended = async {
            match &lasting {
                Some(lasting) => lasting.ended().cancelled().await,
                None => pending().await,
            }
        };
        tokio::select! {
            sent = &mut sending => Ok(sent),
            () = ended => Err(UpstreamError::SessionEnded),
            () = self.patience_ends(began) => Err(UpstreamError::TooSlow),
        }
    }

    /// A body that goes on buys the upstream time: it cannot answer what it has not seen.
    async fn patience_ends(&self, began: Instant) {
        loop {
            let last = self.progress.map_or(began, Progress::last).max(began);
            let deadline = last + self.patience;
            if deadline <= Instant::now() {
                return;
            }
            sleep_until(deadline).await;
        }
    }
}
