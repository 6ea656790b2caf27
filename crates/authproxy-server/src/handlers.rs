//! The endpoints, one a file. A handler sees a request that has passed every guard, and never another handler.

pub(crate) mod docs;
pub(crate) mod login;
pub(crate) mod logout;
pub(crate) mod protected;
pub(crate) mod protected_auto;
pub(crate) mod refresh;
pub(crate) mod register;
pub(crate) mod session;
pub(crate) mod verify;
