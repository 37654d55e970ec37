//! The DevPocket server: the edge, the process, and the client that speaks to them.
//!
//! [`Server::start`] runs a whole server inside of a process: the binary and the tests use it
//! alike. [`http`] and [`ws`] are the edge, [`auth`] says who is asking, [`config`] is read
//! once, [`dialect`] is what clients of two families see of it all, [`cli`] is what the binary offers; [`client`] is the other side.

#![forbid(unsafe_code)]

pub mod admin;
pub mod app;
pub mod auth;
pub mod cli;
pub mod client;
pub mod config;
pub mod dialect;
pub mod events;
pub mod http;
pub mod logging;
mod running;
pub mod server;
pub mod ws;

pub use running::{Parts, Running, Server};
