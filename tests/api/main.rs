//! The HTTP API against a whole server in this process and a real Postgres.

mod accounts;
mod environments;
mod protocol;
mod server;
mod tokens;
