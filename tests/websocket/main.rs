//! Terminal sessions from a client's side: the real server, real shells, real sockets.

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

mod admin_acts;
mod admission;
mod bad_input;
mod command_line;
mod connect;
mod events;
mod flood;
mod json_dialect;
mod removal;
mod resume;
mod settings;
mod sign_ins;
mod size;
