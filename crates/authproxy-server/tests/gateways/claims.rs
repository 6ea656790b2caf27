//! What holds of every gateway.

mod passing;
mod refreshing;
mod spoofing;

pub(crate) use self::{passing::*, refreshing::*, spoofing::*};
