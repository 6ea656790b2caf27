#![allow(clippy::unwrap_used)]
mod action;
mod broken_rules;
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
