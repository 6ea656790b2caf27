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
mod rig;
mod rules;
mod service;
mod state;
mod step;
