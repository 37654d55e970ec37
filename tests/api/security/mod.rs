//! What an attacker tries first.

mod ambient;
mod foreign;
mod injection;
mod tokens;
