//! The DevPocket server: the edge, the process, and the client that speaks to them.

pub mod cli;
pub mod client;
