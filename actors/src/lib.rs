//! The supervision tree of the server, and what it stands on.

pub mod persistence;
