#![allow(clippy::unwrap_used)]
mod action;
mod decision;
mod node;
mod properties;
mod record;
mod rules;
mod service;
mod state;
mod step;
mod explore;
