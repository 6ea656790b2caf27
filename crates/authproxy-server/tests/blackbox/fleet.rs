//! Several nodes of the built program, one real Redis, one auth service that counts: what a fleet promises.

mod foreign_records;
mod logging_out;
mod outages;
mod rotation;
mod sharing;
mod starting;
mod world;
