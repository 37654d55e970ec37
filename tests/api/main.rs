//! The HTTP API against a whole server in this process and a real Postgres.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper that fails is a failed test")]

#[path = "../common/http.rs"]
mod http;

mod abuse;
mod accounts;
mod admin;
mod admin_acts;
mod audit;
mod clusters;
mod dialects;
mod docs;
mod environments;
mod google;
mod import;
mod lockout;
mod mail;
mod pages;
mod protocol;
mod refusals;
mod resources;
mod sealed;
mod security;
mod server;
mod sign_ins;
mod smtp;
mod templates;
mod tokens;
