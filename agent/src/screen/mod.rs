//! The headless terminal: what a session's output looks like.
//!
//! [`Screen`] is all that the rest of the agent knows of it. [`Emulator`] stands behind it;
//! `docs/screen.md` says how it compares with the crates that could.

pub(crate) mod boundary;
mod cell;
mod clusters;
mod emulator;
mod grid;
mod modes;
mod perform;
mod reflow;
mod snapshot;

pub use emulator::Emulator;

use devpocket_protocol::Size;

/// A terminal without a display.
pub trait Screen {
    /// Shows bytes that end where every sequence and character is complete.
    fn feed(&mut self, bytes: &[u8]);
    /// Changes the size.
    fn resize(&mut self, size: Size);
    /// Whether the alternate screen is shown.
    fn alternate(&self) -> bool;
    /// What to write to a terminal of the same size to make it look and behave like this one;
    /// at most `budget` bytes. It begins with a reset.
    fn snapshot(&self, budget: usize) -> Vec<u8>;
}
