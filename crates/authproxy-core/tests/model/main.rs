//! The refresh protocol, explored exhaustively: two nodes, one store, one auth service, every interleaving within a budget.
#![allow(clippy::unwrap_used)]
// A model names its parts alike, passes small things about, and some of its words are for its reader only.
#![allow(clippy::similar_names, clippy::needless_for_each, clippy::trivially_copy_pass_by_ref, dead_code)]
#![allow(clippy::struct_excessive_bools, clippy::maybe_infinite_iter)]

mod action;
mod broken_rules;
mod conformance;
mod decision;
mod explore;
mod fold;
mod limits;
mod node;
mod properties;
mod record;
mod rules;
mod service;
mod state;
mod step;
