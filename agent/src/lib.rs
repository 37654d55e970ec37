//! The agent: the one static binary that holds the terminal sessions inside an environment.
//!
//! It listens on a Unix socket and speaks the protocol of `docs/agent-protocol.md`. The server
//! reaches it through `devpocket-agent attach` (on Kubernetes) or the socket itself (locally),
//! and may come and go: sessions live here.
//!
//! * [`run`]: start, privileges, limits, the end.
//! * [`server`]: the socket; [`channel`]: what is spoken on one connection.
//! * [`session`]: a PTY, its ring, its screen, its input; [`screen`]: the headless terminal.
//! * [`commands`]: install and startup commands and their log.
//! * [`reaper`]: the only place that waits for processes.
//! * [`attach`], [`install`]: the two small subcommands.
//!
//! Everything runs on one thread. State is shared by `Rc` and `RefCell`, and no borrow is ever
//! held over an `await`.

mod agent;
pub mod attach;
pub mod channel;
pub mod commands;
pub mod install;
mod io;
mod limits;
mod processes;
mod pty;
pub mod reaper;
pub mod run;
pub mod screen;
pub mod server;
pub mod session;
mod shell;
mod socket;
mod usage;

/// The agent's version: in WELCOME, and of `--version`.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");
