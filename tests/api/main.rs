//! The HTTP API against a whole server in this process and a real Postgres.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper that fails is a failed test")]

mod accounts;
mod admin;
mod dialects;
mod docs;
mod environments;
mod google;
mod lockout;
mod pages;
mod protocol;
mod refusals;
mod resources;
mod server;
mod sign_ins;
mod templates;
mod tokens;
