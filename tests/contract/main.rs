//! What existing clients depend on: every endpoint with its success and its errors, in both
//! dialects, over HTTP against the server as a process.
//!
//! The tables (`*.table`) say what is asked and what must come back, a line each ([`table`] has
//! their form); `shapes` says which members an answer has ([`shape`] has its form). [`story`]
//! asks, line by line, and tells all that differs at the end.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a helper that fails is a failed test"
)]

#[path = "../common/mod.rs"]
mod common;

mod app;
mod limits;
mod shape;
mod sockets;
mod story;
mod table;

/// Where environments run.
const SITE: common::site::Site = common::site::Site::Local;

/// The two families of clients.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Dialect {
    /// What there is without any hint.
    Camel,
    /// The mobile app's.
    Snake,
}

impl Dialect {
    /// A name as this dialect spells it. The tables are in camel.
    pub fn spell(self, name: &str) -> String {
        if self == Self::Camel {
            return name.to_owned();
        }
        let mut spelled = String::new();
        for letter in name.chars() {
            if letter.is_ascii_uppercase() {
                spelled.push('_');
            }
            spelled.push(letter.to_ascii_lowercase());
        }
        spelled
    }
}
