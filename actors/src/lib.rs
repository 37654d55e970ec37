//! The supervision tree of DevPocket Server: users, environments, terminals, the runtimes they
//! run on and the persistence behind them.

#![forbid(unsafe_code)]

pub mod mailer;
pub mod persistence;
pub mod runtime;
pub mod supervision;
pub mod templates;
pub mod terminal;
