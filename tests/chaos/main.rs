//! Failures that are struck on purpose: what a person sees of them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a helper that fails is a failed test"
)]

#[path = "../common/mod.rs"]
mod common;

/// Where environments run.
const SITE: common::site::Site = common::site::Site::Local;

mod dashboard;
mod database;
mod draining;
mod inside;
mod late;
mod panics;
