//! The DevPocket server: the edge, the process, and the client that speaks to them.

#![forbid(unsafe_code)]

pub mod app;
pub mod auth;
pub mod cli;
pub mod client;
pub mod config;
pub mod http;
pub mod ws;
