//! The refresh protocol as a model, explored exhaustively: two nodes, one store, one auth service, one session, and
//! every interleaving of every mishap within a budget. It is also the place to learn the protocol from.
//!
//! Reading order: `record` (what the store does, atomically), `service` (what presenting a token does), `node` (what a
//! process has in memory), `action` (what may happen), `step` (what then becomes of it: the flight in its order),
//! `decision` (what a caller gets), `properties` (the promises). `rules` names what the protocol rests on.
//!
//! The tests: `explore` runs the checker for each rotation contract; `broken_rules` breaks one rule at a time and
//! demands a counterexample; `limits` shows what cannot be promised; `conformance` and `manager` hold the model against
//! the real store and the real manager. Numbers of states and traces are printed:
//!
//! ```text
//! cargo test -p authproxy-core --test model -- --nocapture
//! ```
//!
//! # What is abstracted
//!
//! - *Time*: a lease runs out, and a grace period ends, at any step. An access token's zone is no state at all: every
//!   property that looks at it holds in each of the four, whatever the rest of the state, so however time moves.
//! - *Callers*: they read states and start flights; see `action` for why a dropped caller is no step.
//! - *Crashes*: a node that is down takes no steps, so `kill -9` and the restart are one step, in any phase.
//! - *The store's outages*: a verb is applied and its answer lost; or the node gives up on it, and it is never applied,
//!   or applied at any later time, after whatever happened in between.
//! - *The network to the service*: an answer is lost; or the node gives up, and the request is never processed, or
//!   processed at any later time.
//! - *Standing still* (SIGSTOP, a long pause): a lease that ends between any two steps. Under a grace a holder is
//!   assumed not to stand still between its look at the clock and `write(2)`; `limits` shows why.
//! - *Not modelled*: back-off, admission, idle sessions, the salvage of half an answer (a commit and a new flight),
//!   near caches of a store, refreshing by hand (a flight like any other), shutdown (a crash that is polite).
//!
//! # Bounds
//!
//! Two versions can be refreshed (so three exist); one logout; one grace period ends; four mishaps of any kind under a
//! strict contract and two under the others. `--release -- --ignored one_more_mishap` goes one further.
#![allow(clippy::unwrap_used)]

mod action;
mod broken_rules;
mod conformance;
mod decision;
mod explore;
mod fold;
mod limits;
mod manager;
mod node;
mod properties;
mod record;
mod rules;
mod service;
mod state;
mod step;
