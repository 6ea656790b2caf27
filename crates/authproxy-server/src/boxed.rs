//! Making a future where it is to be.

use std::pin::Pin;

/// `Box::pin(make())`, where `make` only calls an async function or block: what it makes is written to the heap, and not to the
/// stack first. A future's arguments are few bytes, and the space that it will need is kilobytes, which would be copied
/// as well (330 instructions a request, callgrind).
pub(crate) fn pinned<F>(make: impl FnOnce() -> F) -> Pin<Box<F>> {
    let place = Box::new_uninit();
    Box::into_pin(Box::write(place, make()))
}
