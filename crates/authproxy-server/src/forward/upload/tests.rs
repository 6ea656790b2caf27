#![allow(clippy::unwrap_used)]

use std::{
    convert::Infallible,
    sync::atomic::{AtomicUsize, Ordering},
};

use futures_util::stream;
use http_body_util::StreamBody;

use super::*;

/// A byte that was read into a buffer of its own; counts those that are held.
struct Buffered(u8, Arc<AtomicUsize>);

impl AsRef<[u8]> for Buffered {
    fn as_ref(&self) -> &[u8] {
        std::slice::from_ref(&self.0)
    }
}

impl Drop for Buffered {
    fn drop(&mut self) {
        self.1.fetch_sub(1, Ordering::Relaxed);
    }
}

#[tokio::test]
async fn a_small_body_in_many_pieces_does_not_hold_on_to_the_buffer_of_each() {
    let held = Arc::new(AtomicUsize::new(0));
    let (counted, most) = (held.clone(), Arc::new(AtomicUsize::new(0)));
    let highest = most.clone();
    let pieces = (0..100).map(move |byte| {
        highest.fetch_max(counted.fetch_add(1, Ordering::Relaxed) + 1, Ordering::Relaxed);
        Ok::<_, Infallible>(Frame::data(Bytes::from_owner(Buffered(byte, counted.clone()))))
    });
    let body = whole(StreamBody::new(stream::iter(pieces))).await.unwrap();
    assert!(body.iter().copied().eq(0..100));
    assert!(most.load(Ordering::Relaxed) <= 2, "{most:?} buffers at once");
}
