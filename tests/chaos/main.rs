//! Failures that are struck on purpose: what a person sees of them.

#[path = "../common/mod.rs"]
mod common;

mod database;
mod inside;
mod panics;
