//! The persistence layer on a real Postgres.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking, helpers included")]

mod administration;
mod audit;
mod embedded;
mod engine;
mod environments;
mod orphans;
mod people;
mod sealing;
mod support;
mod templates;
