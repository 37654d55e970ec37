//! The persistence layer on a real Postgres.

mod embedded;
mod engine;
mod environments;
mod people;
mod support;
mod templates;
