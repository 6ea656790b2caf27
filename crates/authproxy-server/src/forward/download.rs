//! An answer's body on its way to the browser: streamed, and ended early by silence or by its session's end.

use std::{
    pin::Pin,
    sync::Arc,
    task::{Context, Poll, ready},
    time::Duration,
};

use authproxy_core::session::SessionKey;
use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::time::{Instant, Sleep, sleep_until};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use super::{
    headers::{self, Names},
    live::{LIVE_AFTER, Lasting, Live},
    upstream::{AnswerBody, BrokenBody, Place},
};

/// Why an answer breaks off. The browser sees a connection that ends, never an answer that looks complete.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DownloadError {
    #[error("the upstream's answer broke off")]
    Broken(#[source] BrokenBody),
    #[error("the upstream's answer did not go on in time")]
    TooSlow,
    #[error("the session ended")]
    SessionEnded,
    #[error("the server ends")]
    ShuttingDown,
}

/// The body of an upstream's answer.
pub(crate) struct Download {
    body: AnswerBody,
    /// Gone once the answer was read to its end: the connection rests.
    place: Option<Place>,
    patience: Duration,
    /// When it turned out not to be there all at once.
    began: Option<Instant>,
    /// Since when the upstream has been silent, while it is.
    silent_since: Option<Instant>,
    timer: Option<Pin<Box<Sleep>>>,
    session: Option<(Arc<Live>, SessionKey)>,
    lasting: Option<(Lasting, Pin<Box<WaitForCancellationFutureOwned>>)>,
    /// The server's end, for a stream that has none of its own.
    shutdown: Option<Pin<Box<WaitForCancellationFutureOwned>>>,
}

impl Download {
    /// The body of an answer over the connection at `place`; `session` is whom it belongs to.
    pub(crate) fn new(
        body: AnswerBody,
        place: Place,
        patience: Duration,
        session: Option<(Arc<Live>, SessionKey)>,
    ) -> Self {
        let (began, silent_since, timer, lasting) = (None, None, None, None);
        let (place, shutdown) = (Some(place), None);
        let mut download = Self { body, place, patience, began, silent_since, timer, session, lasting, shutdown };
        // An answer without a body is not asked for its end either.
        if download.body.is_end_stream() {
            download.give_back();
        }
        download
    }

    /// Ends it with the server: it would never end by itself.
    pub(crate) fn end_with(&mut self, shutdown: &CancellationToken) {
        self.shutdown = Some(Box::pin(shutdown.clone().cancelled_owned()));
    }

    /// Waits for a reason to stop waiting for the upstream.
    fn poll_silence(&mut self, cx: &mut Context<'_>) -> Poll<DownloadError> {
        if self.shutdown.as_mut().is_some_and(|shutdown| shutdown.as_mut().poll(cx).is_ready()) {
            return Poll::Ready(DownloadError::ShuttingDown);
        }
        let silent_since = *self.silent_since.get_or_insert_with(Instant::now);
        let began = *self.began.get_or_insert(silent_since);
        let silence_ends = silent_since + self.patience;
        loop {
            if let Some((_, ended)) = &mut self.lasting
                && ended.as_mut().poll(cx).is_ready()
            {
                return Poll::Ready(DownloadError::SessionEnded);
            }
            let lasts_from = (self.lasting.is_none() && self.session.is_some()).then_some(began + LIVE_AFTER);
            let deadline = lasts_from.map_or(silence_ends, |from| from.min(silence_ends));
            let timer = self.timer.get_or_insert_with(|| Box::pin(sleep_until(deadline)));
            if timer.deadline() != deadline {
                timer.as_mut().reset(deadline);
            }
            ready!(timer.as_mut().poll(cx));
            if lasts_from != Some(deadline) {
                return Poll::Ready(DownloadError::TooSlow);
            }
            self.enter();
        }
    }

    /// Takes note of how long it has lasted, which its reader may be the reason of.
    fn go_on(&mut self) {
        self.silent_since = None;
        if self.lasting.is_none() && self.session.is_some() {
            let now = Instant::now();
            if now >= *self.began.get_or_insert(now) + LIVE_AFTER {
                self.enter();
            }
        }
    }

    /// Has it end with its session from now on.
    fn enter(&mut self) {
        self.lasting = self.session.as_ref().map(|(live, key)| {
            let lasting = live.enter(*key);
            let ended = Box::pin(lasting.ended().clone().cancelled_owned());
            (lasting, ended)
        });
    }

    fn give_back(&mut self) {
        if let Some(place) = self.place.take() {
            place.give_back(&mut self.body);
        }
    }

    fn has_ended(&self) -> bool {
        self.lasting.as_ref().is_some_and(|(lasting, _)| lasting.ended().is_cancelled())
    }
}

fn clean(mut frame: Frame<Bytes>) -> Frame<Bytes> {
    if let Some(trailers) = frame.trailers_mut() {
        headers::clean_trailers(trailers, &Names::default());
    }
    frame
}

impl Body for Download {
    type Data = Bytes;
    type Error = DownloadError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, DownloadError>>> {
        let this = self.get_mut();
        let outcome = if this.has_ended() {
            Some(Err(DownloadError::SessionEnded))
        } else if let Poll::Ready(frame) = Pin::new(&mut this.body).poll_frame(cx) {
            frame.map(|frame| frame.map(clean).map_err(DownloadError::Broken))
        } else {
            Some(Err(ready!(this.poll_silence(cx))))
        };
        match &outcome {
            Some(Err(_)) => this.place = None,
            // A body of known length is not asked for its end.
            _ if this.body.is_end_stream() => this.give_back(),
            Some(Ok(_)) => this.go_on(),
            None => {}
        }
        Poll::Ready(outcome)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
