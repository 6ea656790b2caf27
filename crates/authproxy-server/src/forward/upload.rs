//! A request's body on its way to the upstream: none, kept so that it can be sent again, or streamed.

use std::{
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::{Bytes, BytesMut};
use http_body::{Body, Frame, SizeHint};
use http_body_util::BodyExt;
use tokio::time::{Instant, Sleep, sleep_until, timeout};

use super::{
    Route,
    headers::{self, Names},
};
use crate::{body::RequestBody, problem::Problem};

/// The largest body that is kept for a second try.
const KEPT: u64 = 64 * 1024;

/// A request's body.
pub(crate) enum Upload {
    /// None, or at hand.
    Kept(Bytes),
    /// As it arrives.
    Streamed(Streamed),
}

/// A body that is read as fast as the upstream takes it, up to a limit, and without long silences.
pub(crate) struct Streamed {
    body: RequestBody,
    left: u64,
    patience: Duration,
    timer: Pin<Box<Sleep>>,
    progress: Progress,
    not_in_trailers: Arc<Names>,
}

/// How far a streamed body has come; shared with whoever waits for the answer.
#[derive(Clone, Debug)]
pub(crate) struct Progress(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    last: Instant,
    failed: Option<UploadError>,
}

/// Why a streamed body ended early. It ends the exchange: the upstream never sees a whole request.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum UploadError {
    #[error("the request's body is too large")]
    TooLarge,
    #[error("the request's body did not go on in time")]
    TooSlow,
    #[error("the request's body broke off")]
    Broken,
}

/// A request's body before it is sent, and what is known of it afterwards.
pub(crate) enum Source {
    Kept(Bytes),
    Streamed(Option<Streamed>, Progress),
}

impl Source {
    /// Reads a small body whole and prepares a larger one for streaming.
    ///
    /// # Errors
    ///
    /// [`Problem::BodyTooLarge`] when it says that it is; others when a small one cannot be read.
    pub(crate) async fn of(body: RequestBody, route: &Route) -> Result<Self, Problem> {
        let (limit, patience) = (route.config.body_limit, route.config.idle_timeout);
        if body.is_end_stream() {
            return Ok(Self::Kept(Bytes::new()));
        }
        match body.size_hint().exact() {
            Some(length) if length > limit => Err(Problem::BodyTooLarge),
            Some(length) if length <= KEPT => {
                timeout(patience, whole(body)).await.map_err(|_| Problem::BodyTooSlow)?.map(Self::Kept)
            }
            _ => {
                let progress = Progress::new();
                let timer = Box::pin(sleep_until(Instant::now() + patience));
                let not_in_trailers = route.not_in_trailers.clone();
                let streamed =
                    Streamed { body, left: limit, patience, timer, progress: progress.clone(), not_in_trailers };
                Ok(Self::Streamed(Some(streamed), progress))
            }
        }
    }

    /// The body to send; `None` when it is gone already.
    pub(crate) fn take(&mut self) -> Option<Upload> {
        match self {
            Self::Kept(bytes) => Some(Upload::Kept(bytes.clone())),
            Self::Streamed(streamed, _) => streamed.take().map(Upload::Streamed),
        }
    }

    /// Whether it can be sent once more.
    pub(crate) fn is_kept(&self) -> bool {
        matches!(self, Self::Kept(_))
    }

    /// How far it has come, where it is streamed.
    pub(crate) fn progress(&self) -> Option<&Progress> {
        match self {
            Self::Kept(_) => None,
            Self::Streamed(_, progress) => Some(progress),
        }
    }
}

/// Reads a small body. Pieces are copied: each may be a few bytes that hold on to a large buffer.
async fn whole(mut body: impl Body<Data = Bytes> + Unpin) -> Result<Bytes, Problem> {
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Problem::BodyUnreadable)?;
        let data = frame.into_data().map_err(|_| Problem::BodyUnreadable)?; // a known length, and trailers
        if whole.is_empty() && body.is_end_stream() {
            return Ok(data);
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}

impl Progress {
    fn new() -> Self {
        Self(Arc::new(Mutex::new(State { last: Instant::now(), failed: None })))
    }

    /// When the last piece went on.
    pub(crate) fn last(&self) -> Instant {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).last
    }

    /// Why the body ended early, if it did.
    pub(crate) fn failed(&self) -> Option<UploadError> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).failed
    }

    fn goes_on(&self) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).last = Instant::now();
    }

    fn fails(&self, error: UploadError) -> UploadError {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).failed = Some(error);
        error
    }
}

impl From<UploadError> for Problem {
    fn from(error: UploadError) -> Self {
        match error {
            UploadError::TooLarge => Self::BodyTooLarge,
            UploadError::TooSlow => Self::BodyTooSlow,
            UploadError::Broken => Self::BodyUnreadable,
        }
    }
}

impl Streamed {
    fn poll(&mut self, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(cx) else {
            let deadline = self.progress.last() + self.patience;
            if self.timer.deadline() != deadline {
                self.timer.as_mut().reset(deadline);
            }
            ready!(self.timer.as_mut().poll(cx));
            return Poll::Ready(Some(Err(self.progress.fails(UploadError::TooSlow))));
        };
        self.progress.goes_on();
        let outcome = frame.map(|frame| {
            let mut frame = frame.map_err(|_| UploadError::Broken)?;
            if let Some(trailers) = frame.trailers_mut() {
                headers::clean_trailers(trailers, &self.not_in_trailers);
            }
            let length = frame.data_ref().map_or(0, |data| data.len() as u64);
            self.left = self.left.checked_sub(length).ok_or(UploadError::TooLarge)?;
            Ok(frame)
        });
        Poll::Ready(outcome.map(|frame| frame.map_err(|error| self.progress.fails(error))))
    }
}

impl Body for Upload {
    type Data = Bytes;
    type Error = UploadError;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, UploadError>>> {
        match self.get_mut() {
            Self::Kept(whole) if whole.is_empty() => Poll::Ready(None),
            Self::Kept(whole) => Poll::Ready(Some(Ok(Frame::data(std::mem::take(whole))))),
            Self::Streamed(streamed) => streamed.poll(cx),
        }
    }

    fn is_end_stream(&self) -> bool {
        match self {
            Self::Kept(whole) => whole.is_empty(),
            Self::Streamed(streamed) => streamed.body.is_end_stream(),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match self {
            Self::Kept(whole) => SizeHint::with_exact(whole.len() as u64),
            Self::Streamed(streamed) => streamed.body.size_hint(),
        }
    }
}

#[cfg(test)]
mod tests;
