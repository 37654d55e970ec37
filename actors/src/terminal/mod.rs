//! Terminal sessions: the heart of the product.
//!
//! A keystroke's way: the edge gives it to its [`Client`]'s lane (`lane`), the terminal's
//! channel (`channel`) writes it to the agent, which writes it to the PTY. The echo's way: the
//! channel reads it from the agent and appends it to the ring of the session's [`Hub`]
//! (`hub`), which wakes the client's [`Attachment`] (`attachment`): it reads the ring from its own
//! cursor, within its window (`window`), and the edge writes it to the socket. A client that fell off
//! the ring is given a snapshot (`snapshot`) that the agent made.
//!
//! The actor (`actor`) owns hub and channel. When it fails, clients keep their cursor and their
//! unacknowledged input, and join the hub of its successor. What administrators see of all this is in `shown`.

mod actor;
mod attachment;
mod channel;
mod client;
mod hub;
mod lane;
mod shown;
mod size;
mod snapshot;
mod window;

pub use actor::{Terminal, TerminalArgs, TerminalMessage};
pub use attachment::{AttachError, Attachment, Standing};
pub use client::{Client, Event, Kick, STALL_LIMIT, Start};
pub use hub::{Hub, RING_LIMIT, SessionName};
pub use lane::LANE_LIMIT;
pub use shown::ClientShown;
pub use size::SizePolicy;
pub use snapshot::Snapshot;
pub use window::{AckAhead, Window};
