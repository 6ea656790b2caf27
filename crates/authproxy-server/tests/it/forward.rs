//! `[[route]]`s, judged by what the upstream received and by what the browser was left with.

mod answers;
mod client;
mod cookies;
mod faults;
mod headers;
mod limits;
mod live;
mod mixup;
mod paths;
mod replay;
mod reuse;
mod secure;
mod site;
mod streaming;
mod targets;
mod upgrades;

pub(crate) use self::site::Site;
