//! What both sides of this proxy have in common of HTTP/1 (RFC 9112): `server/http1` reads requests and writes answers,
//! `forward/http1` writes requests and reads answers.

pub(crate) mod decoder;
pub(crate) mod fields;
pub(crate) mod reading;
