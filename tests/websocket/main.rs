//! Terminal sessions from a client's side: the real server, real shells, real sockets.

#[path = "../common/mod.rs"]
mod common;

mod admission;
mod bad_input;
mod command_line;
mod flood;
mod json_dialect;
mod resume;
mod size;
