//! The `devpocket` program.

use std::process::ExitCode;

use clap::Parser as _;

fn main() -> ExitCode {
    devpocket::cli::run(devpocket::cli::Cli::parse())
}
