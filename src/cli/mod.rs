//! The command line.

pub mod connect;
