//! Answers before the answer (RFC 9110, section 15.2).

use std::sync::{
    Arc, Mutex, PoisonError,
    atomic::{AtomicBool, Ordering},
};

use futures_util::task::AtomicWaker;
use http::{HeaderMap, StatusCode, Version};

use crate::http1::fields;

/// The most bytes of them that wait for one request's peer; more are dropped.
const LONGEST: usize = 16 * 1024;

/// Sends answers before the answer on one HTTP/1 connection.
#[derive(Clone, Debug, Default)]
pub(crate) struct Interim(Arc<Outbox>);

/// What waits to be written before the answer.
#[derive(Debug, Default)]
struct Outbox {
    has_any: AtomicBool,
    bytes: Mutex<Vec<u8>>,
    /// The connection's task, which writes it.
    task: AtomicWaker,
}

impl Interim {
    /// Sends one.
    pub(crate) fn send(&self, status: StatusCode, headers: &HeaderMap) {
        let mut text = format!("{:?} {status}\r\n", Version::HTTP_11).into_bytes();
        fields::write_all(&mut text, headers);
        let mut bytes = self.0.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        if bytes.len() + text.len() <= LONGEST {
            bytes.append(&mut text);
            self.0.has_any.store(true, Ordering::Release);
            drop(bytes);
            self.wake();
        }
    }

    /// What waits now. Looked at first: there hardly ever is any, and a swap costs more than a look.
    pub(super) fn take(&self) -> Option<Vec<u8>> {
        let has_any = self.0.has_any.load(Ordering::Relaxed) && self.0.has_any.swap(false, Ordering::Acquire);
        has_any.then(|| std::mem::take(&mut *self.0.bytes.lock().unwrap_or_else(PoisonError::into_inner)))
    }

    /// Has the connection's task look what there is to do.
    pub(super) fn wake(&self) {
        self.0.task.wake();
    }

    /// The connection's task, which is to be woken.
    pub(super) fn register(&self, task: &std::task::Waker) {
        self.0.task.register(task);
    }
}
