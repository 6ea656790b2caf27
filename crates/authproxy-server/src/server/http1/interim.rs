//! Answers before the answer (RFC 9110, section 15.2).

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    task::Waker,
};

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
    /// The connection's task, which writes it. It stays here when it is woken: it registers once, and is woken often.
    task: Mutex<Option<Waker>>,
}

impl Interim {
    /// Sends one.
    pub(crate) fn send(&self, status: StatusCode, headers: &HeaderMap) {
        let mut text = format!("{:?} {status}\r\n", Version::HTTP_11).into_bytes();
        fields::write_all(&mut text, headers);
        let mut bytes = lock(&self.0.bytes);
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
        has_any.then(|| std::mem::take(&mut *lock(&self.0.bytes)))
    }

    /// Has the connection's task look what there is to do.
    fn wake(&self) {
        if let Some(task) = &*lock(&self.0.task) {
            task.wake_by_ref();
        }
    }

    /// [`wake`](Self::wake), unless it is `this` task, which looks by itself.
    pub(super) fn wake_from(&self, this: &Waker) {
        if let Some(task) = lock(&self.0.task).as_ref().filter(|task| !task.will_wake(this)) {
            task.wake_by_ref();
        }
    }

    /// The connection's task, which is to be woken from now on.
    pub(super) fn register(&self, task: &Waker) {
        *lock(&self.0.task) = Some(task.clone());
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Nothing under these locks can be left half done.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
